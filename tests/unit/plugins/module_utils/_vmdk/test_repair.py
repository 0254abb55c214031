# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is proven is mended, judged by qemu-img; what is not is left alone, and said."""

from __future__ import annotations

import os
import struct
from random import Random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.finding import is_healthy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.repair import repair_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import SECTOR
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import (
    DiskSpec,
    metadata_sectors,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.pokes import (
    GRAIN,
    MIB,
    TWO_TABLES,
    header_of,
    poke,
    put_header,
    table_offset,
)

SIZE = 40 * MIB


def by_name(path, name):
    header = header_of(path)
    return header.gd_offset if name == "primary" else header.rgd_offset


@pytest.fixture(scope="module")
def model():
    content = bytearray(SIZE)
    for offset, data in TWO_TABLES.items():
        content[offset : offset + len(data)] = data
    return bytes(content)


@pytest.fixture(scope="module")
def raw_model(tmp_path_factory, model):
    """The same as a sparse file, which qemu-img compares quickly."""
    path = tmp_path_factory.mktemp("model") / "model.raw"
    with path.open("wb") as file:
        file.truncate(len(model))
        for offset, data in TWO_TABLES.items():
            file.seek(offset)
            file.write(data)
    assert path.read_bytes() == model
    return path


@pytest.fixture
def disk(make_disk):
    return make_disk("disk.vmdk", "monolithicSparse", SIZE, TWO_TABLES)


@pytest.fixture
def mended(qemu_img, raw_model):
    """Asserts that repairing makes a disk whole: by our check, by qemu-img, and once for all."""

    def check(path):
        assert not is_healthy(check_disk(path))
        changes = repair_disk(path)
        assert changes
        assert check_disk(path) == []
        assert repair_disk(path) == []
        assert "No errors" in qemu_img("check", path)
        told = qemu_img("compare", "-f", "vmdk", "-F", "raw", path, raw_model)
        assert told == "Images are identical.\n"  # otherwise their sizes differ
        return changes

    return check


@pytest.fixture
def left_alone():
    """Asserts that a repair does not touch the file, and that the check still says why."""

    def check(path):
        before = path.read_bytes()
        assert repair_disk(path) == []
        assert path.read_bytes() == before
        assert not any(found.repairable for found in check_disk(path))
        assert not is_healthy(check_disk(path))

    return check


# Tables and directories, either copy


@pytest.mark.parametrize("copy", ["primary", "redundant"])
def test_5_zeroed_directory(disk, mended, copy):
    poke(disk, by_name(disk, copy) * SECTOR, bytes(8))
    mended(disk)


@pytest.mark.parametrize("copy", ["primary", "redundant"])
def test_zeroed_table(disk, mended, copy):
    poke(disk, table_offset(disk, by_name(disk, copy)), bytes(2048))
    mended(disk)


@pytest.mark.parametrize("copy", ["primary", "redundant"])
@pytest.mark.parametrize("entry", [0, 1, 129, 128, 384, 300, 1 << 20, 0xFFFFFFFF])
def test_damaged_entry(disk, mended, copy, entry):
    poke(disk, table_offset(disk, by_name(disk, copy)) + 4, struct.pack("<I", entry))
    mended(disk)


@pytest.mark.parametrize("copy", ["primary", "redundant"])
@pytest.mark.parametrize("entry", [1, 5, 30, 31, 256, 0x7FFFFFFF])
def test_damaged_directory_entry(disk, mended, copy, entry):
    poke(disk, by_name(disk, copy) * SECTOR + 4, struct.pack("<I", entry))
    mended(disk)


@pytest.mark.parametrize("copy", ["primary", "redundant"])
def test_directory_and_tables_overwritten_with_noise(disk, mended, copy):
    noise = Random(7).randbytes(SECTOR * metadata_sectors(header_of(disk)))
    poke(disk, by_name(disk, copy) * SECTOR, noise)
    mended(disk)


@pytest.mark.parametrize("field", ["gd_offset", "rgd_offset"])
@pytest.mark.parametrize("sector", [1 << 30, 5, 140])
def test_header_that_leads_to_no_directory(disk, mended, field, sector):
    put_header(disk, **{field: sector})
    (change,) = mended(disk)
    assert (change.what, change.offset) == ("the header", 0)


def test_disk_made_by_qemu(tmp_path, qemu_img, model, mended):
    raw = tmp_path / "source.raw"
    raw.write_bytes(model)
    path = tmp_path / "disk.vmdk"
    qemu_img("convert", "-O", "vmdk", raw, path)
    poke(path, header_of(path).gd_offset * SECTOR, bytes(8))
    mended(path)


def test_disk_from_the_field(tmp_path, corpus, qemu_img):
    path = tmp_path / "ext2.vmdk"
    path.write_bytes((corpus[0] / "dfvfs" / "ext2.vmdk").read_bytes())
    poke(path, table_offset(path, header_of(path).gd_offset), bytes(2048))
    assert repair_disk(path)
    assert check_disk(path) == []
    qemu_img("compare", path, corpus[0] / "dfvfs" / "ext2.vmdk")


def test_extent_of_a_split_disk(make_disk, small_split, content_of):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB, {0: b"x" * MIB})
    extent = path.with_name("disk-s003.vmdk")
    poke(extent, table_offset(extent, header_of(extent).gd_offset), bytes(12))
    assert [change.path for change in repair_disk(path)] == [str(extent)]
    assert check_disk(path) == []
    assert content_of(path) == b"x" * MIB


def test_lost_directory_and_a_lost_table_of_the_other_copy(disk, mended):
    """The primary tables are where they always were, and know what the redundant one has lost."""
    redundant = table_offset(disk, by_name(disk, "redundant"), 1)
    poke(disk, by_name(disk, "primary") * SECTOR, bytes(8))
    poke(disk, redundant, bytes(2048))
    mended(disk)


def test_dry_run_tells_the_same_and_writes_nothing(disk):
    poke(disk, by_name(disk, "primary") * SECTOR, bytes(8))
    poke(disk, 72, b"\x01")
    before = disk.read_bytes()
    planned = repair_disk(disk, dry_run=True)
    assert disk.read_bytes() == before
    assert repair_disk(disk) == planned


def test_change_tells_what_was_and_what_is(disk):
    poke(disk, table_offset(disk, by_name(disk, "primary")) + 4, bytes(4))
    (change,) = repair_disk(disk)
    assert (change.before, change.after) == ("1: 0", "1: 256")


def test_killed_between_any_two_writes_it_can_be_run_again(disk, mended, monkeypatch):
    """Each prefix of the writes leaves a disk that reads as before and that is mended again."""
    noise = Random(7).randbytes(SECTOR * metadata_sectors(header_of(disk)))
    poke(disk, by_name(disk, "primary") * SECTOR, noise)
    poke(disk, 72, b"\x01")
    damaged = disk.read_bytes()
    count = len(repair_disk(disk, dry_run=True))
    assert count >= 3
    for stop in range(count):
        disk.write_bytes(damaged)
        kill_after(monkeypatch, stop)
        with pytest.raises(KeyboardInterrupt):
            repair_disk(disk)
        monkeypatch.undo()
        mended(disk)


def kill_after(monkeypatch, count):
    real, left = File.write, [count]

    def write(self, offset, data):
        if left[0] == 0:
            raise KeyboardInterrupt
        left[0] -= 1
        real(self, offset, data)

    monkeypatch.setattr(File, "write", write)


# What nothing proves


def test_entries_that_are_wrong_in_both_copies(disk, left_alone):
    for directory in ("primary", "redundant"):
        poke(disk, table_offset(disk, by_name(disk, directory)) + 4, struct.pack("<I", 1 << 20))
    left_alone(disk)


def test_newline_damage(disk, left_alone):
    poke(disk, 73, b"\n \n\n")
    left_alone(disk)


def test_without_a_second_copy(disk, left_alone):
    put_header(disk, flags=1, rgd_offset=0)
    poke(disk, table_offset(disk, by_name(disk, "primary")) + 4, struct.pack("<I", 256 + 8))
    left_alone(disk)


def test_truncated_stream(make_disk, left_alone):
    path = make_disk("stream.vmdk", "streamOptimized", MIB, {0: Random(1).randbytes(MIB)})
    os.truncate(path, 500_000)
    left_alone(path)


def test_zeros_over_a_parent_in_one_copy_only(tmp_path, make_disk, qemu_img, qemu_io):
    """Whether the parent or zeros show is not proven, so nothing is changed."""
    base, child = tmp_path / "base.vmdk", tmp_path / "child.vmdk"
    qemu_img("create", "-f", "vmdk", base, "4M")
    qemu_io(base, "write -P 7 0 1M")
    backing = ("-o", f"backing_file={base},backing_fmt=vmdk,zeroed_grain=on")
    qemu_img("create", "-f", "vmdk", *backing, child)
    qemu_io(child, "write -z 0 64k")
    poke(child, table_offset(child, by_name(child, "primary")), bytes(4))
    before = child.read_bytes()
    assert repair_disk(child) == []
    assert child.read_bytes() == before
    assert not is_healthy(check_disk(child))


# The unclean mark


def test_unclean_mark_is_cleared_when_all_is_well(disk, mended):
    poke(disk, 72, b"\x01")
    mended(disk)


def test_unclean_mark_goes_together_with_what_else_is_mended(disk, mended):
    poke(disk, 72, b"\x01")
    poke(disk, table_offset(disk, by_name(disk, "primary")), bytes(2048))
    assert mended(disk)[-1].offset == 72


def test_unclean_mark_stays_where_something_stays_wrong(disk):
    poke(disk, 72, b"\x01")
    os.truncate(disk, disk.stat().st_size - 1000)
    assert repair_disk(disk) == []
    assert disk.read_bytes()[72] == 1


def test_write_cut_off_between_its_two_tables_is_completed(disk, model, qemu_img):
    """The redundant table is written first: what it names is on disk already."""
    before = disk.read_bytes()
    with open_disk(disk, writable=True) as opened:
        opened.write(10 * GRAIN, b"\x33" * GRAIN)
    after = bytearray(disk.read_bytes())
    start = table_offset(disk, by_name(disk, "primary"))
    after[start : start + 2048] = before[start : start + 2048]
    after[72] = 1
    disk.write_bytes(after)
    assert repair_disk(disk)
    assert check_disk(disk) == []
    expected = bytearray(model)
    expected[10 * GRAIN : 11 * GRAIN] = b"\x33" * GRAIN
    raw = disk.with_suffix(".raw")
    qemu_img("convert", "-f", "vmdk", "-O", "raw", disk, raw)
    assert raw.read_bytes() == expected


# The descriptor


def test_14_cid_is_repaired_only_when_asked_for(tmp_path, make_disk, content_of):
    base = make_disk("base.vmdk", "monolithicSparse", MIB, {0: b"base"})
    child = tmp_path / "child.vmdk"
    create_child(base, child)
    poke(base, base.read_bytes().index(b"CID=") + 4, b"0badcafe")
    before, right = child.read_bytes(), base.read_bytes()
    assert repair_disk(child) == []
    (change,) = repair_disk(child, proven=False, cid=True)
    assert change.after == "parentCID=0badcafe"
    assert base.read_bytes() == right
    assert [a for a, b in zip(before, child.read_bytes(), strict=True) if a != b]
    assert child.read_bytes() == before.replace(change.before.encode(), change.after.encode())
    assert check_disk(child) == []
    assert repair_disk(child, cid=True) == []
    assert content_of(child)[:4] == b"base"


def test_repair_cid_mends_no_tables(disk):
    poke(disk, by_name(disk, "primary") * SECTOR, bytes(8))
    before = disk.read_bytes()
    assert repair_disk(disk, proven=False, cid=True) == []
    assert disk.read_bytes() == before


def test_size_in_the_descriptor_follows_header_and_geometry(disk, mended):
    at = disk.read_bytes().index(b"RW 81920")
    poke(disk, at, b"RW 11920")
    mended(disk)
    assert disk.read_bytes()[at : at + 8] == b"RW 81920"


def test_size_that_the_geometry_does_not_prove_is_left(disk, left_alone):
    poke(disk, disk.read_bytes().index(b"RW 81920"), b"RW 81921")
    left_alone(disk)


def test_change_tracking_without_its_file_is_dropped(make_disk, content_of):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB, {0: b"data"})
    original = path.read_text()
    path.write_text(
        original.replace("version=1", "version=3", 1).replace(
            "# Extent", 'changeTrackPath="x-ctk.vmdk"\n# Extent', 1
        )
    )
    assert repair_disk(path)
    assert path.read_text() == original
    assert repair_disk(path) == []


# What killed jobs leave


def test_leftovers_are_removed_unless_they_are_in_use(disk):
    dead, alive = disk.with_name("disk-s001.vmdk.vdisk-tmp"), disk.with_name("disk.vmdk.vdisk-tmp")
    spec = DiskSpec(MIB, "monolithicSparse")
    other = disk.rename(disk.with_name("moved.vmdk"))
    with new_disk(disk, spec):
        assert alive.exists()
        dead.write_bytes(b"")
        disk.write_bytes(other.read_bytes())
        assert [change.path for change in repair_disk(disk)] == [str(dead)]
        assert alive.exists()
        disk.unlink()
    assert not dead.exists()


def test_interrupted_job_is_completed(make_disk, disk, content_of):
    other = make_disk("other.vmdk", "monolithicSparse", MIB, {0: b"new"})
    expected = content_of(other)
    other.rename(disk.with_name("disk.vmdk.vdisk-tmp"))
    journal = disk.with_name("disk.vmdk.vdisk-journal")
    journal.write_text('{"finished": ["disk.vmdk"], "removed": []}')
    assert [found.kind for found in check_disk(disk)] == ["journal"]
    assert [change.path for change in repair_disk(disk)] == [str(journal)]
    assert content_of(disk) == expected
    assert check_disk(disk) == []


def test_locked_by_vmware_is_not_repaired(disk):
    folder = disk.with_name("disk.vmdk.lck")
    folder.mkdir()
    (folder / "M1.lck").write_text("")
    poke(disk, 72, b"\x01")
    with pytest.raises(DiskInUse):
        repair_disk(disk)
