# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writing to vmfsSparse (COWD) extents, and growing them."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.made_cowd import (
    CAPACITY,
    ENTRIES,
    GRAINS,
    SECTOR,
    base_of,
    by_qemu,
    lay_down,
    patch,
    unpacked,
)


def test_fault_01b_write_where_no_table_exists_leaves_the_header_alone(
    tmp_path, content_of, qemu_img
):
    base = os.urandom(CAPACITY * SECTOR)
    path = lay_down(tmp_path, CAPACITY, {}, grain=8, parent=base_of(tmp_path, base))
    header = (tmp_path / "d-delta.vmdk").read_bytes()[:28]
    with open_disk(path, writable=True) as disk:
        disk.write(35 << 20, b"N" * 5000)
    expected = bytearray(base)
    expected[35 << 20 : (35 << 20) + 5000] = b"N" * 5000
    assert (tmp_path / "d-delta.vmdk").read_bytes()[:28] == header
    assert content_of(path) == expected
    assert by_qemu(qemu_img, path) == expected


def test_free_sector_is_the_end_of_the_file(tmp_path):
    path = lay_down(tmp_path, CAPACITY, GRAINS, grain=8)
    delta = tmp_path / "d-delta.vmdk"
    before = unpacked(delta, 28)
    with open_disk(path, writable=True) as disk:
        disk.write(20 << 20, b"N")
    assert unpacked(delta, 28) == delta.stat().st_size // SECTOR
    aligned = -(-before // 8) * 8
    assert unpacked(delta, 28) == aligned + 8 + 32  # a grain and its table


def test_unclean_mark_stands_while_it_is_open(tmp_path):
    path = lay_down(tmp_path, CAPACITY, {}, grain=8)
    delta = tmp_path / "d-delta.vmdk"
    with open_disk(path, writable=True) as disk:
        assert unpacked(delta, 1648, "B") == 0
        disk.write(0, b"N")
        assert unpacked(delta, 1648, "B") == 1
    assert unpacked(delta, 1648, "B") == 0


def test_unclean_mark_is_told(tmp_path):
    path = lay_down(tmp_path, 64, {})
    patch(tmp_path / "d-delta.vmdk", 1648, "B", 1)
    with open_disk(path) as disk:
        assert any("not closed" in flag for flag in disk.flags)


def test_free_sector_before_the_end_of_the_file_overwrites_nothing(tmp_path, content_of):
    """qemu adds grains and leaves freeSector behind."""
    path = lay_down(tmp_path, CAPACITY, GRAINS, grain=8)
    patch(tmp_path / "d-delta.vmdk", 28, "<I", 6)
    with open_disk(path, writable=True) as disk:
        disk.write(20 << 20, b"N" * 4096)
    content = content_of(path)
    for number, data in GRAINS.items():
        assert content[number * 4096 : number * 4096 + 4096] == data


def test_fault_19_zeros_over_a_parent_are_real_ones(tmp_path, content_of, qemu_img):
    """Marked with an entry of 1, qemu would read sector 1 there."""
    path = lay_down(tmp_path, 64, {}, grain=8, parent=base_of(tmp_path, b"p" * 64 * SECTOR))
    with open_disk(path, writable=True) as disk:
        disk.zero(4096, 10000)
    expected = b"p" * 4096 + bytes(10000) + b"p" * (64 * SECTOR - 14096)
    assert content_of(path) == expected
    assert by_qemu(qemu_img, path) == expected


def test_write_over_an_entry_of_1_copies_nothing_from_the_parent(tmp_path, content_of):
    path = lay_down(tmp_path, 64, {1: 1}, grain=8, parent=base_of(tmp_path, b"p" * 64 * SECTOR))
    with open_disk(path, writable=True) as disk:
        disk.write(4096 + 100, b"N" * 100)
    assert content_of(path)[4096:8192] == bytes(100) + b"N" * 100 + bytes(4096 - 200)


def test_order_of_writes(tmp_path, monkeypatch):
    """Data, flush, table, flush, directory, flush, freeSector: whatever is cut off, tables name
    only what is there."""
    path = lay_down(tmp_path, CAPACITY, {}, grain=8)
    done = []
    write, flush = File.write, File.flush

    def note_write(file, offset, data):
        if file.path.endswith("-delta.vmdk"):
            done.append((offset, memoryview(data).nbytes))
        write(file, offset, data)

    def note_flush(file):
        if file.path.endswith("-delta.vmdk"):
            done.append("flush")
        flush(file)

    monkeypatch.setattr(File, "write", note_write)
    monkeypatch.setattr(File, "flush", note_flush)
    with open_disk(path, writable=True) as disk:
        disk.write(0, b"N" * 4096)
    end = 4 + 1  # header and directory
    aligned = -(-end // 8) * 8
    assert done == [
        (1648, 1),
        (aligned * SECTOR, 4096),
        "flush",
        ((aligned + 8) * SECTOR, 4 * ENTRIES),
        "flush",
        (4 * SECTOR, 12),
        "flush",
        (28, 4),
        "flush",
        (1648, 1),
        "flush",
    ]


# Growing: the directory has room for 128 tables in its sector, which is 2 GiB with this grain


@pytest.mark.parametrize("sectors", [CAPACITY + 1, 2 * CAPACITY, 6 << 21, 1 << 27])
def test_grown_disk_reads_as_before_and_then_zeros(tmp_path, qemu_img, sectors):
    path = lay_down(tmp_path, CAPACITY, GRAINS, grain=8)
    before = by_qemu(qemu_img, path)
    assert grow_disk(path, sectors * SECTOR)
    tail = min(sectors - 8, CAPACITY + 70000) * SECTOR
    with open_disk(path, writable=True) as disk:
        assert disk.size == sectors * SECTOR
        assert read(disk, 0, len(before)) == before
        kinds = {run.kind for run in disk.extents(len(before))}
        assert kinds == {Kind.ZERO}
        disk.write(disk.size - 512, b"E" * 512)
        disk.write(max(0, tail - 700), b"T" * 700)
    assert unpacked(tmp_path / "d-delta.vmdk", 12) == sectors
    assert unpacked(tmp_path / "d-delta.vmdk", 28) == (
        (tmp_path / "d-delta.vmdk").stat().st_size // SECTOR
    )
    for offset, length, wanted in (
        (0, len(before), before),
        (sectors * SECTOR - 512, 512, b"E" * 512),
    ):
        raw = tmp_path / "piece.raw"
        qemu_img(
            "dd",
            "-O",
            "raw",
            "bs=512",
            f"skip={offset // 512}",
            f"count={(offset + length) // 512}",
            f"if={path}",
            f"of={raw}",
        )
        found = raw.read_bytes()
        shown = bytearray(wanted)
        start = max(0, tail - 700)
        if offset < tail and start < offset + length:
            low, high = max(start, offset), min(tail, offset + length)
            shown[low - offset : high - offset] = b"T" * (high - low)
        assert found == shown


def test_directory_that_is_too_short_moves_to_the_end(tmp_path):
    path, delta = lay_down(tmp_path, CAPACITY, GRAINS, grain=8), tmp_path / "d-delta.vmdk"
    end = delta.stat().st_size // SECTOR
    grow_disk(path, 6 << 30)
    assert (unpacked(delta, 20), unpacked(delta, 24)) == (end, 384)
    assert unpacked(delta, 28) == end + 3 == delta.stat().st_size // SECTOR


def test_grain_behind_the_end_does_not_show_in_a_grown_disk(tmp_path, content_of):
    """Of some disks the tables know more grains than the disk has (LY)."""
    path = lay_down(tmp_path, 3 * 8 + 4, {0: b"a" * 4096, 3: b"b" * 4096, 9: b"c" * 4096}, grain=8)
    before = content_of(path)
    assert before[-2048:] == b"b" * 2048
    grow_disk(path, 200 * SECTOR)
    assert content_of(path) == before.ljust(200 * SECTOR, b"\0")


def test_interrupted_growing_leaves_the_old_disk_or_the_new(tmp_path, content_of, monkeypatch):
    path, delta = lay_down(tmp_path, CAPACITY, GRAINS, grain=8), tmp_path / "d-delta.vmdk"
    whole, before = delta.read_bytes(), content_of(path)
    written = []
    write = File.write

    def note(file, offset, data):
        if file.path.endswith("-delta.vmdk"):
            written.append((offset, bytes(data)))
        write(file, offset, data)

    monkeypatch.setattr(File, "write", note)
    text = path.read_bytes()
    grow_disk(path, 6 << 30)
    monkeypatch.undo()
    assert len(written) == 2
    for count in range(3):
        delta.write_bytes(whole)
        path.write_bytes(text)
        for offset, data in written[:count]:
            with open(delta, "r+b") as stream:
                stream.seek(offset)
                stream.write(data)
        assert content_of(path) == before
        assert grow_disk(path, 6 << 30)
        with open_disk(path) as disk:
            assert read(disk, 0, len(before)) == before


def test_growing_ends_below_2_tib(tmp_path):
    path = lay_down(tmp_path, CAPACITY, GRAINS, grain=8)
    before = (tmp_path / "d-delta.vmdk").read_bytes(), path.read_bytes()
    with pytest.raises(UnsupportedDisk, match="2 TiB"):
        grow_disk(path, 2 << 40)
    assert ((tmp_path / "d-delta.vmdk").read_bytes(), path.read_bytes()) == before


SIZE = 300 * SECTOR
WRITES = st.lists(
    st.tuples(
        st.sampled_from(["write", "zero", "flush", "reopen"]),
        st.integers(0, SIZE - 1),
        st.integers(1, 9000),
        st.integers(1, 255),
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(steps=WRITES, grain=st.sampled_from([1, 8, 128]), over_parent=st.booleans())
def test_any_writes_read_back(steps, grain, over_parent):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model = bytearray((b"parent" * SIZE)[:SIZE] if over_parent else bytes(SIZE))
        parent = base_of(folder, bytes(model)) if over_parent else None
        path = lay_down(folder, 300, {}, grain=grain, parent=parent)
        disk = open_disk(path, writable=True)
        for verb, offset, length, value in steps:
            length = min(length, SIZE - offset)
            if verb == "write":
                disk.write(offset, bytes([value]) * length)
                model[offset : offset + length] = bytes([value]) * length
            elif verb == "zero":
                disk.zero(offset, length)
                model[offset : offset + length] = bytes(length)
            elif verb == "flush":
                disk.flush()
            else:
                disk.close()
                disk = open_disk(path, writable=True)
            assert read(disk, 0, SIZE) == model
        disk.close()
        with open_disk(path) as disk:
            assert read(disk, 0, SIZE) == model


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=WRITES.filter(lambda steps: len(steps) > 4), grain=st.sampled_from([1, 8]))
def test_qemu_reads_what_we_wrote(qemu_img, steps, grain):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        model = bytearray((b"parent" * SIZE)[:SIZE])
        path = lay_down(folder, 300, {}, grain=grain, parent=base_of(folder, bytes(model)))
        with open_disk(path, writable=True) as disk:
            for _verb, offset, length, value in steps:
                length = min(length, SIZE - offset)
                disk.write(offset, bytes([value]) * length)
                model[offset : offset + length] = bytes([value]) * length
        assert by_qemu(qemu_img, path) == model


def test_libvmdk_reads_what_we_wrote(tmp_path):
    pyvmdk = pytest.importorskip("pyvmdk")
    path = lay_down(tmp_path, CAPACITY, GRAINS, grain=8)
    # It wants this comment, which means nothing, and an entry behind it (fault 8).
    end = '\n# The Disk Data Base\n#DDB\n\nddb.adapterType = "lsilogic"\n'
    path.write_text(path.read_text().replace("#DDB\n", end))
    with open_disk(path, writable=True) as disk:
        disk.write(20 << 20, b"N" * 9000)
        expected = read(disk, 0, disk.size)
    handle = pyvmdk.handle()
    handle.open(str(path))
    handle.open_extent_data_files()
    assert b"".join(handle.read_buffer(1 << 20) for _piece in range(40)) == expected
