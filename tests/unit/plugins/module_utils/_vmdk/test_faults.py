# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults seen in other programs, by their number in section 3 of vmdk-format.md.

Beside these: 3, 14, 20 in test_redo.py, 13 and 16 in test_device_extents.py, 17 in
test_stream_scan.py and with the tests of _guest.
"""

from __future__ import annotations

import dataclasses
import shutil
import struct
import subprocess
import zlib
from random import Random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    MissingLink,
    TruncatedDisk,
    UnsafePath,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.defragment import (
    defragment,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.shrink import shrink
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SECTOR,
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child

GRAIN = 64 << 10


def _header(path):
    return SparseHeader.parse(path.read_bytes()[:SECTOR], str(path))


def _poke(path, offset, data):
    with path.open("r+b") as stream:
        stream.seek(offset)
        stream.write(data)


def _entry_of(path, grain):
    """Byte of the file where the primary table entry of a grain lies."""
    data, header = path.read_bytes(), _header(path)
    table = struct.unpack_from("<I", data, header.gd_offset * SECTOR)[0]
    return table * SECTOR + 4 * grain


def test_1_partial_write_in_a_later_extent_copies_the_right_bytes_of_the_parent(
    tmp_path, make_disk, small_split, content_of
):
    split = small_split * SECTOR
    size = 3 * split
    model = bytearray(b"\x11" * split + b"\x22" * split + b"\x33" * split)
    base = make_disk("base.vmdk", "monolithicSparse", size, {0: bytes(model)})
    create_child(base, tmp_path / "child.vmdk", "twoGbMaxExtentSparse")
    with open_disk(tmp_path / "child.vmdk", writable=True) as disk:
        disk.write(split + 4096, b"new")
    model[split + 4096 : split + 4099] = b"new"
    assert content_of(tmp_path / "child.vmdk") == model


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "twoGbMaxExtentSparse"])
def test_1b_write_where_no_table_exists_makes_one(make_disk, content_of, qemu_img, disk_type):
    path = make_disk("disk.vmdk", disk_type, 40 << 20, {0: b"old"})
    extent = path if disk_type == "monolithicSparse" else path.with_name("disk-s001.vmdk")
    header = _header(extent)
    for directory in (header.gd_offset, header.rgd_offset):
        _poke(extent, directory * SECTOR + 4, bytes(4))  # the second table is gone
    with open_disk(path, writable=True) as disk:
        disk.write(35 << 20, b"new")
    expected = bytearray(40 << 20)
    expected[:3], expected[35 << 20 : (35 << 20) + 3] = b"old", b"new"
    assert content_of(path) == expected
    assert "No errors" in qemu_img("check", path)


def test_2_zero_and_read_only_extents_keep_their_place(tmp_path, content_of):
    (tmp_path / "data").write_bytes(b"\x11" * 1024 + b"\x22" * 1024)
    (tmp_path / "disk.vmdk").write_text(
        "version=1\nCID=12345678\nparentCID=ffffffff\ncreateType=custom\n"
        'RW 2 FLAT "data" 0\nRW 3 ZERO\nRDONLY 2 FLAT "data" 2\nNOACCESS 0 ZERO \nRW 1 ZERO\n'
    )
    assert content_of(tmp_path / "disk.vmdk") == (
        b"\x11" * 1024 + bytes(1536) + b"\x22" * 1024 + bytes(512)
    )


def test_4_grain_beyond_the_end_of_the_file_is_an_error(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", 1 << 20, {0: b"\x11" * 4 * GRAIN})
    _poke(path, _entry_of(path, 2), struct.pack("<I", 1 << 20))
    header = _header(path)
    path.write_bytes(
        dataclasses.replace(header, flags=1, rgd_offset=0).pack() + path.read_bytes()[SECTOR:]
    )
    with open_disk(path) as disk, pytest.raises(TruncatedDisk, match="grain 2"):
        read(disk, 0, 4 * GRAIN)


def test_4_truncated_grain_is_an_error(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", 1 << 20, {0: b"\x11" * 4 * GRAIN})
    with path.open("r+b") as stream:
        stream.truncate(path.stat().st_size - 1000)
    with open_disk(path) as disk, pytest.raises(TruncatedDisk, match="ends too early"):
        read(disk, 0, 4 * GRAIN)


def test_4_truncated_flat_extent_is_an_error(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", 1 << 20)
    with path.with_name("disk-flat.vmdk").open("r+b") as stream:
        stream.truncate(1000)
    with pytest.raises(TruncatedDisk, match="1000 bytes, expected 1048576 bytes"):
        open_disk(path)


def test_5_zeroed_directory_falls_back_to_the_redundant_one(make_disk, content_of):
    path = make_disk("disk.vmdk", "monolithicSparse", 1 << 20, {GRAIN: b"data"})
    before = content_of(path)
    _poke(path, _header(path).gd_offset * SECTOR, bytes(4))
    with open_disk(path) as disk:
        assert read(disk, 0, disk.size) == before
        assert "redundant copy is used" in disk.flags[0]


def test_5_zeroed_table_falls_back_to_the_redundant_one(make_disk, content_of):
    path = make_disk("disk.vmdk", "monolithicSparse", 1 << 20, {GRAIN: b"data"})
    before = content_of(path)
    _poke(path, _entry_of(path, 0), bytes(2048))
    with open_disk(path) as disk:
        assert read(disk, 0, disk.size) == before
        assert "redundant copy is used" in disk.flags[0]


def test_5_writing_to_a_disk_on_its_redundant_table_mends_the_primary(make_disk, qemu_img):
    path = make_disk("disk.vmdk", "monolithicSparse", 1 << 20, {GRAIN: b"data"})
    _poke(path, _entry_of(path, 0), bytes(2048))
    with open_disk(path, writable=True) as disk:
        disk.write(5 * GRAIN, b"more")
    with open_disk(path) as disk:
        assert disk.flags == []
    qemu_img("convert", "-f", "vmdk", "-O", "raw", path, path.with_suffix(".raw"))
    content = path.with_suffix(".raw").read_bytes()
    assert content[GRAIN : GRAIN + 4] == b"data"
    assert content[5 * GRAIN : 5 * GRAIN + 4] == b"more"


def test_6_text_of_a_descriptor_is_never_taken_for_a_disk(tmp_path, make_disk, content_of):
    """Nor one that is damaged: what is not understood is refused, and not read as raw bytes."""
    path = make_disk("disk.vmdk", "monolithicFlat", 1 << 20, {0: b"data"})
    text = path.read_text()
    assert content_of(path)[:4] == b"data"
    for damaged in (text.replace("createType", "creaType"), text.replace("RW 2048", "XX 2048")):
        path.write_text(damaged)
        with pytest.raises(CorruptDisk):
            open_disk(path)


def test_6_delta_is_never_packed_without_its_parent(tmp_path, make_disk, content_of):
    base = make_disk("base.vmdk", "monolithicSparse", 1 << 20, {0: b"\x11" * (1 << 20)})
    create_child(base, tmp_path / "child.vmdk")
    with open_disk(tmp_path / "child.vmdk", writable=True) as disk:
        disk.write(GRAIN, b"new")
    making = new_disk(tmp_path / "out.vmdk", DiskSpec(1 << 20, "streamOptimized"))
    with open_disk(tmp_path / "child.vmdk") as source, making as target:
        copy(source, target, target_is_zero=True)
    expected = b"\x11" * GRAIN + b"new" + b"\x11" * ((1 << 20) - GRAIN - 3)
    assert content_of(tmp_path / "out.vmdk") == expected
    base.unlink()
    with pytest.raises(MissingLink):
        open_disk(tmp_path / "child.vmdk")


def _govmomi_stream(path, content, *, aligned):
    """As govmomi d2c98e38 lays it: no padding behind a grain, sectors of the tables cut short."""
    capacity = -(-len(content) // GRAIN) * (GRAIN // SECTOR)
    text = (
        '# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType="vmfs"\n'
        f'RW {capacity} SPARSE "{path.name}"\n'
    )
    data, entries = bytearray(128 * SECTOR), []
    for start in range(0, len(content), GRAIN):
        packed = zlib.compress(content[start : start + GRAIN].ljust(GRAIN, b"\0"))
        entries.append(len(data) // SECTOR)
        data += struct.pack("<QI", start // SECTOR, len(packed)) + packed
        if aligned:
            data += bytes(-len(data) % SECTOR)
    data += bytes(-len(data) % SECTOR)
    table = len(data) // SECTOR
    data += struct.pack("<512I", *entries, *[0] * (512 - len(entries)))
    directory = len(data) // SECTOR
    data += struct.pack("<128I", table, *[0] * 127)
    header = SparseHeader(
        capacity, version=3, flags=0x30001, descriptor_offset=1, descriptor_size=20,
        gd_offset=directory, overhead=128, compression=1,
    )  # fmt: skip
    data[:SECTOR] = header.pack()
    data[SECTOR : SECTOR + len(text)] = text.encode()
    path.write_bytes(data)


def test_7_stream_with_grains_at_odd_bytes_is_refused(tmp_path):
    path = tmp_path / "govmomi.vmdk"
    _govmomi_stream(path, Random(7).randbytes(3 * GRAIN), aligned=False)
    with open_disk(path) as disk, pytest.raises(CorruptDisk, match="grain"):
        read(disk, 0, disk.size)
    findings = check_disk(path)
    assert "bad-grain" in {found.kind for found in findings}
    assert all(found.how for found in findings)


def test_7_stream_that_calls_itself_vmfs_is_read(tmp_path, content_of):
    """Extents are what they are: the createType is not asked what a grain looks like."""
    path, content = tmp_path / "govmomi.vmdk", Random(7).randbytes(2 * GRAIN)
    _govmomi_stream(path, content, aligned=True)
    assert content_of(path) == content


@pytest.mark.parametrize("sectors", [1, 127, 129, 196])
def test_7_tail_of_our_streams_is_whole_for_others(tmp_path, make_disk, qemu_img, sectors):
    content = Random(sectors).randbytes(sectors * SECTOR)
    path = make_disk("disk.vmdk", "streamOptimized", len(content), {0: content})
    qemu_img("convert", "-f", "vmdk", "-O", "raw", path, tmp_path / "qemu.raw")
    assert (tmp_path / "qemu.raw").read_bytes() == content
    if shutil.which("7z"):
        subprocess.run(
            ["7z", "x", "-so", str(path)],
            check=True,
            stdout=(tmp_path / "7z.raw").open("wb"),
            stderr=subprocess.DEVNULL,
        )
        assert (tmp_path / "7z.raw").read_bytes()[: len(content)] == content


def test_8_comments_mean_nothing(make_disk, content_of):
    path = make_disk("disk.vmdk", "monolithicFlat", 1 << 20, {0: b"data"})
    before = content_of(path)
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if not line.startswith("#")))
    assert content_of(path) == before


def test_9_capacity_that_is_no_multiple_of_the_grain(make_disk, content_of):
    path = make_disk("disk.vmdk", "monolithicSparse", 200 * SECTOR, {0: b"\x11" * 200 * SECTOR})
    assert content_of(path) == b"\x11" * 200 * SECTOR


def test_10_keys_in_any_case_and_spacing(tmp_path, content_of):
    (tmp_path / "data").write_bytes(b"\x11" * 512)
    (tmp_path / "disk.vmdk").write_text(
        "version = 1\ncid = 1234\nPARENTCID = FFFFFFFF\ncreatetype = MONOLITHICflat\n"
        'rw 1 flat "data" 0\n'
    )
    assert content_of(tmp_path / "disk.vmdk") == b"\x11" * 512


@pytest.mark.parametrize("name", ["/etc/hostname", "../outside", "link"])
def test_11_extent_outside_the_folder_is_refused(tmp_path, name):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_bytes(bytes(512))
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "disk.vmdk").write_text(
        f'version=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\nRW 1 FLAT "{name}" 0\n'
    )
    with pytest.raises(UnsafePath, match="allow_outside"):
        open_disk(folder / "disk.vmdk")


def test_11_allowed_folder_is_opened(tmp_path, content_of):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "outside").write_bytes(b"\x11" * 512)
    (folder / "disk.vmdk").write_text(
        'version=1\nCID=1\nparentCID=ffffffff\ncreateType="monolithicFlat"\n'
        'RW 1 FLAT "../outside" 0\n'
    )
    assert content_of(folder / "disk.vmdk", allow_outside=[str(tmp_path)]) == b"\x11" * 512


@pytest.mark.parametrize(
    "capacity, message", [(1 << 39, "grain directory"), (1 << 60, "impossible capacity")]
)
def test_12_hostile_capacity_allocates_nothing(make_disk, capacity, message):
    path = make_disk("disk.vmdk", "monolithicSparse", 1 << 20)
    header = dataclasses.replace(_header(path), capacity=capacity)
    _poke(path, 0, header.pack())
    with pytest.raises(CorruptDisk, match=message):
        open_disk(path)


def test_12_hostile_descriptor_size_allocates_nothing(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", 1 << 20)
    _poke(path, 0, dataclasses.replace(_header(path), descriptor_size=1 << 60).pack())
    with pytest.raises(CorruptDisk, match="descriptor"):
        open_disk(path)


def test_15_stream_is_as_esxi_takes_it(make_disk):
    """Version 3, or "sparse VMDK version too old" (cot#65); the magic first (pyvmomi#398)."""
    path = make_disk("disk.vmdk", "streamOptimized", 1 << 20, {0: b"\x11" * GRAIN})
    assert _header(path).version == 3
    assert path.read_bytes()[:4] == b"KDMV"


def test_15_disk_of_esxi_has_no_hosted_part(make_disk):
    """ "Object type requires hosted I/O" is what ESXi says of any other extent."""
    path = make_disk("disk.vmdk", "vmfs", 1 << 20, {0: b"data"})
    with open_disk(path) as disk:
        assert disk.disk_type == "vmfs"
        assert [(line.kind, line.offset) for line in disk.descriptor.extents] == [("VMFS", None)]
    assert path.with_name("disk-flat.vmdk").read_bytes()[:4] == b"data"


def test_18_missing_parent_is_named_with_what_was_tried(tmp_path, make_disk):
    base = make_disk("base.vmdk", "monolithicSparse", 1 << 20)
    create_child(base, tmp_path / "child.vmdk")
    base.unlink()
    with pytest.raises(MissingLink, match=r"child\.vmdk.*'base\.vmdk'.*open this link alone"):
        open_disk(tmp_path / "child.vmdk")


def test_18_one_link_opens_alone(tmp_path, make_disk):
    base = make_disk("base.vmdk", "monolithicSparse", 1 << 20)
    create_child(base, tmp_path / "child.vmdk")
    base.unlink()
    with open_disk(tmp_path / "child.vmdk", single_link=True) as disk:
        assert [extent.kind.value for extent in disk.extents()] == ["inherited"]


def test_19_zeros_over_a_parent_hide_it(tmp_path, make_disk, content_of):
    base = make_disk("base.vmdk", "monolithicSparse", 1 << 20, {0: b"\x11" * (1 << 20)})
    create_child(base, tmp_path / "child.vmdk")
    with open_disk(tmp_path / "child.vmdk", writable=True) as disk:
        disk.zero(1000, 500_000)
    assert content_of(tmp_path / "child.vmdk") == (
        b"\x11" * 1000 + bytes(500_000) + b"\x11" * ((1 << 20) - 501_000)
    )


def test_21_defragment_then_shrink_hides_the_parent_with_entries_of_1(
    tmp_path, make_disk, content_of, qemu_img
):
    """Packer's order; a shrunk child keeps its zeros over the parent, in version 2 (TN p.7)."""
    base = make_disk("base.vmdk", "monolithicSparse", 1 << 20, {0: b"\x11" * (1 << 20)})
    child = tmp_path / "child.vmdk"
    create_child(base, child)
    with open_disk(child, writable=True) as disk:
        for grain in (5, 3, 1, 0):
            disk.write(grain * GRAIN, bytes(GRAIN) if grain in (1, 3) else b"\x22" * GRAIN)
    before, size = content_of(child), child.stat().st_size
    assert defragment(child)
    assert content_of(child) == before
    assert shrink(child) == 2 * GRAIN
    assert content_of(child) == before
    assert child.stat().st_size < size
    assert _header(child).version == 2
    entries = struct.unpack_from("<6I", child.read_bytes(), _entry_of(child, 0))
    assert [entry == 1 for entry in entries] == [False, True, False, True, False, False]
    qemu_img("convert", "-f", "vmdk", "-O", "raw", child, tmp_path / "out.raw")
    assert (tmp_path / "out.raw").read_bytes() == before


def test_a_table_entry_of_1_without_its_flag_is_corrupt(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", 1 << 20, {0: b"x"})
    header = dataclasses.replace(_header(path), flags=1, rgd_offset=0)
    entry = _entry_of(path, 3)
    with File(path, writable=True) as file:
        file.write(0, header.pack())
        file.write(entry, struct.pack("<I", 1))
    with open_disk(path) as disk, pytest.raises(CorruptDisk, match="grain 3"):
        read(disk, 0, disk.size)
