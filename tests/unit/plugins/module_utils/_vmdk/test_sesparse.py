# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""seSparse, the redo log of VMFS 6: read as qemu reads it, never written."""

from __future__ import annotations

import os
import random
import struct
import tempfile
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskError,
    NotADisk,
    ReadOnlyDisk,
    TruncatedDisk,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.made_cowd import (
    SECTOR,
    base_of,
    by_qemu,
    patch,
)

GRAIN = 4096
ENTRIES = 4096  # of one table: 16 MiB of disk
UNMAPPED, ZERO = 1, 2
# Sectors where ESXi puts things; bitmap and back map are there in name only.
VOLATILE, JOURNAL_HEADER, JOURNAL, GD, TABLES = 1, 2, 2048, 4096, 6144


def sesparse(capacity, grains, *, table_order=None, replay=0):
    """A file as ESXi makes it, with the grains in the order given: {grain: content or a nibble}."""
    count = -(-capacity // (ENTRIES * 8))
    used = {number // ENTRIES for number in grains}
    tables = {table: i for i, table in enumerate(table_order or sorted(used))}
    data = TABLES + 64 * len(tables) + 64
    header = [0xCAFEBABE, 0x200000001, capacity, 8, 64, 0, 0, 0, 0, 0]
    header += [VOLATILE, 1, JOURNAL_HEADER, 2, JOURNAL, 2048, GD, 2048]
    header += [TABLES, 64 * len(tables), data - 64, 8, data - 56, 8, data, 8 * len(grains)]
    body = bytearray(data * SECTOR)
    struct.pack_into(f"<{len(header)}Q", body, 0, *header)
    struct.pack_into("<4Q", body, VOLATILE * SECTOR, 0xCAFECAFE, len(tables), 7, replay)
    directory = [0x1000000000000000 | tables[t] if t in tables else 0 for t in range(count)]
    struct.pack_into(f"<{count}Q", body, GD * SECTOR, *directory)
    index = 0
    for number, content in grains.items():
        if content in (UNMAPPED, ZERO):
            entry = content << 60
        else:  # the low 12 bits of the grain's index stand above the rest of it
            entry = 3 << 60 | (index & 0xFFF) << 48 | index >> 12
            index += 1
            body += content.ljust(GRAIN, b"\0")
        place = TABLES * SECTOR + tables[number // ENTRIES] * 64 * SECTOR
        struct.pack_into("<Q", body, place + number % ENTRIES * 8, entry)
    return body


def lay_down(folder, capacity, grains, *, parent=None, create_type="seSparse", **options):
    (folder / "d-sesparse.vmdk").write_bytes(sesparse(capacity, grains, **options))
    text = f"# Disk DescriptorFile\nversion=1\nCID=0badcafe\nparentCID={parent or 'ffffffff'}\n"
    text += f'createType="{create_type}"\n'
    if parent:
        text += 'parentFileNameHint="base.vmdk"\n'
    (folder / "d.vmdk").write_text(text + f'RW {capacity} SESPARSE "d-sesparse.vmdk"\n#DDB\n')
    return folder / "d.vmdk"


# 40 MiB and a bit: three tables, the last one short
CAPACITY = 81920 + 8
GRAINS = {
    0: b"a" * GRAIN,
    1: b"b" * GRAIN,
    2: UNMAPPED,
    3: ZERO,
    77: os.urandom(GRAIN),
    9000: b"c" * GRAIN,
    10240: b"d" * GRAIN,
}


def expected_over(base):
    content = bytearray(base)
    for number, data in GRAINS.items():
        data = bytes(GRAIN) if data in (UNMAPPED, ZERO) else data
        content[number * GRAIN : (number + 1) * GRAIN] = data
    return content


@pytest.mark.parametrize("table_order", [None, [2, 0]], ids=["in order", "out of order"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_reads_what_qemu_reads(tmp_path, content_of, qemu_img, table_order, shuffled):
    grains = dict(random.Random(7).sample(sorted(GRAINS.items()), len(GRAINS)))
    path = lay_down(tmp_path, CAPACITY, grains if shuffled else GRAINS, table_order=table_order)
    expected = expected_over(bytes(CAPACITY * SECTOR))
    assert content_of(path) == expected
    assert by_qemu(qemu_img, path) == expected


def test_delta_over_a_parent_reads_what_qemu_reads(tmp_path, content_of, qemu_img):
    """Grains that the guest has unmapped are zeros in both, not the parent's."""
    base = os.urandom(1 << 20) * 41
    base = base[: CAPACITY * SECTOR]
    path = lay_down(tmp_path, CAPACITY, GRAINS, parent=base_of(tmp_path, base))
    assert content_of(path) == expected_over(base)
    assert by_qemu(qemu_img, path) == expected_over(base)


def test_index_of_more_than_12_bits(tmp_path, content_of, qemu_img):
    grains = {number: number.to_bytes(4, "little") * 1024 for number in range(4200)}
    path = lay_down(tmp_path, 4200 * 8, grains)
    expected = b"".join(grains.values())
    assert content_of(path) == expected
    assert by_qemu(qemu_img, path) == expected


def test_the_other_name_of_the_type(tmp_path):
    path = lay_down(tmp_path, CAPACITY, GRAINS, create_type="vmfsSeSparse")
    with open_disk(path) as disk:
        assert disk.disk_type == "seSparse"
        assert read(disk, 0, 4) == b"aaaa"


def test_extents(tmp_path):
    path = lay_down(tmp_path, CAPACITY, GRAINS, parent=base_of(tmp_path, bytes(CAPACITY * SECTOR)))
    with open_disk(path, single_link=True) as disk:
        runs = [(run.offset // GRAIN, run.length // GRAIN, run.kind) for run in disk.extents()]
    data, zero, inherited = Kind.DATA, Kind.ZERO, Kind.INHERITED
    assert runs == [
        (0, 2, data),
        (2, 2, zero),
        (4, 73, inherited),
        (77, 1, data),
        (78, 8922, inherited),
        (9000, 1, data),
        (9001, 1239, inherited),
        (10240, 1, data),
    ]


def test_writing_is_refused(tmp_path):
    path = lay_down(tmp_path, CAPACITY, GRAINS)
    before = (tmp_path / "d-sesparse.vmdk").read_bytes()
    with pytest.raises(UnsupportedDisk, match="only read") as caught:
        open_disk(path, writable=True)
    assert "vmdk_convert" in caught.value.hint
    with open_disk(path) as disk, pytest.raises(ReadOnlyDisk):
        disk.write(0, b"x")
    assert (tmp_path / "d-sesparse.vmdk").read_bytes() == before


def test_journal_that_waits_is_refused(tmp_path):
    path = lay_down(tmp_path, CAPACITY, GRAINS, replay=1)
    with pytest.raises(UnsupportedDisk, match="only ESXi can replay"):
        open_disk(path)


def test_extent_named_as_a_disk_is_explained(tmp_path):
    lay_down(tmp_path, CAPACITY, GRAINS)
    with pytest.raises((NotADisk, UnsupportedDisk), match="seSparse"):
        open_disk(tmp_path / "d-sesparse.vmdk")


# Damage and hostility


@pytest.mark.parametrize(
    "offset, value, error",
    [
        (8, 0x300000001, UnsupportedDisk),
        (16, 1 << 50, CorruptDisk),
        (16, 1 << 37, CorruptDisk),  # more than its directory describes
        (16, 8, CorruptDisk),  # less than the descriptor says
        (24, 0, CorruptDisk),
        (24, 1 << 40, CorruptDisk),
        (32, 0, CorruptDisk),
        (32, 3, CorruptDisk),
        (40, 1, UnsupportedDisk),
        (80, 1 << 50, TruncatedDisk),
        (80, 2, CorruptDisk),
    ],
)
def test_fault_12_hostile_header_allocates_nothing(tmp_path, offset, value, error):
    path = lay_down(tmp_path, CAPACITY, GRAINS)
    patch(tmp_path / "d-sesparse.vmdk", offset, "<Q", value)
    tracemalloc.start()
    with pytest.raises(error) as caught:
        open_disk(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.type is error
    assert peak < 2 << 20


@pytest.mark.parametrize(
    "offset, value",
    [
        (GD * SECTOR, 0x2000000000000000),
        (GD * SECTOR, 0x1000000000000002),  # a table behind the last
        (GD * SECTOR, 5),
        (TABLES * SECTOR, 0x4000000000000000),
        (TABLES * SECTOR, 0x3000000000000001),  # a grain behind the last
    ],
)
def test_entry_that_makes_no_sense_is_an_error(tmp_path, offset, value):
    path = lay_down(tmp_path, CAPACITY, GRAINS)
    patch(tmp_path / "d-sesparse.vmdk", offset, "<Q", value)
    with open_disk(path) as disk, pytest.raises(CorruptDisk, match="makes no sense"):
        read(disk, 0, GRAIN)


def test_file_cut_short_is_an_error(tmp_path):
    path = lay_down(tmp_path, CAPACITY, GRAINS)
    extent = tmp_path / "d-sesparse.vmdk"
    os.truncate(extent, extent.stat().st_size - GRAIN)
    with open_disk(path) as disk:
        assert read(disk, 0, 4) == b"aaaa"
        with pytest.raises(TruncatedDisk):
            read(disk, 10240 * GRAIN, GRAIN)


def test_62_tib_opens_without_reading_its_directory(tmp_path):
    capacity = 62 << 31
    header = sesparse(1 << 15, {})
    struct.pack_into("<Q", header, 16, capacity)
    entries = capacity // (ENTRIES * 8)
    struct.pack_into("<2Q", header, 128, GD, entries * 8 // SECTOR)
    path = lay_down(tmp_path, 8, {})
    (tmp_path / "d-sesparse.vmdk").write_bytes(header)
    os.truncate(tmp_path / "d-sesparse.vmdk", 64 << 20)
    path.write_text(path.read_text().replace("RW 8 ", f"RW {capacity} "))
    tracemalloc.start()
    with open_disk(path) as disk:
        assert disk.size == 62 << 40
        assert read(disk, 61 << 40, 4096) == bytes(4096)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20


@settings(max_examples=100, deadline=None)
@given(
    damage=st.lists(
        st.tuples(
            st.sampled_from([0, VOLATILE * SECTOR, GD * SECTOR, TABLES * SECTOR]),
            st.integers(0, 255),
            st.integers(0, 255),
        ),
        max_size=5,
    )
)
def test_fault_12_no_damage_does_more_than_raise_an_error(damage):
    data = sesparse(8192, {0: b"a" * GRAIN, 1000: b"b" * GRAIN})
    for start, place, value in damage:
        data[start + place] = value
    with tempfile.TemporaryDirectory() as folder:
        path = lay_down(Path(folder), 8192, {})
        (Path(folder) / "d-sesparse.vmdk").write_bytes(data)
        try:
            with open_disk(path) as disk:
                list(disk.extents())
                read(disk, 0, disk.size)
        except DiskError:
            pass
