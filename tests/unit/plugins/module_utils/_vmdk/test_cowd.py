# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""COWD, the redo log of ESXi: read as qemu reads it, written as qemu can read it."""

from __future__ import annotations

import os
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
    TruncatedDisk,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.info import describe
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.made_cowd import (
    CAPACITY,
    ENTRIES,
    GRAINS,
    SECTOR,
    base_of,
    by_qemu,
    lay_down,
    patch,
)


@pytest.mark.parametrize("order", [None, [9999, 77, 0, 4095, 1]], ids=["ascending", "any order"])
def test_reads_what_qemu_reads(tmp_path, content_of, qemu_img, order):
    path = lay_down(tmp_path, CAPACITY, GRAINS, grain=8, order=order)
    expected = bytearray(CAPACITY * SECTOR)
    for number, content in GRAINS.items():
        expected[number * 4096 : number * 4096 + 4096] = content
    assert content_of(path) == expected
    assert by_qemu(qemu_img, path) == expected


def test_grains_of_one_sector_over_a_flat_parent(tmp_path, content_of, qemu_img):
    base = os.urandom(9000 * SECTOR)
    path = lay_down(
        tmp_path, 9000, {3: b"x" * 512, 8999: b"y" * 512}, parent=base_of(tmp_path, base)
    )
    expected = bytearray(base)
    expected[3 * 512 : 4 * 512] = b"x" * 512
    expected[8999 * 512 :] = b"y" * 512
    assert content_of(path) == expected
    assert by_qemu(qemu_img, path) == expected


def test_extents_tell_own_data_from_the_parents(tmp_path):
    path = lay_down(tmp_path, 9000, {3: b"x" * 512}, parent=base_of(tmp_path, bytes(9000 * SECTOR)))
    with open_disk(path, single_link=True) as disk:
        runs = [(run.offset, run.length, run.kind) for run in disk.extents()]
    assert runs == [
        (0, 1536, Kind.INHERITED),
        (1536, 512, Kind.DATA),
        (2048, 9000 * 512 - 2048, Kind.INHERITED),
    ]


def test_entry_of_1_is_zeros_over_the_parent_and_is_told(tmp_path):
    path = lay_down(tmp_path, 64, {2: 1}, parent=base_of(tmp_path, b"p" * 64 * SECTOR))
    with open_disk(path) as disk:
        assert read(disk, 2 * 512, 1024) == bytes(512) + b"p" * 512
        assert any("taken for zeros" in flag for flag in disk.flags)


@pytest.mark.parametrize("rounded", [4096, 4000], ids=["up", "down"])
def test_capacity_that_was_rounded(tmp_path, rounded):
    base = os.urandom(4095 * SECTOR)
    path = lay_down(tmp_path, 4095, {4094: b"z" * 512}, parent=base_of(tmp_path, base))
    patch(tmp_path / "d-delta.vmdk", 12, "<I", rounded)
    with open_disk(path) as disk:
        assert disk.size == 4095 * SECTOR
        assert read(disk, 0, disk.size) == base[:-512] + b"z" * 512


def test_more_tables_than_the_capacity_needs(tmp_path, content_of):
    path = lay_down(tmp_path, 100, {5: b"q" * 512}, entries=7)
    assert content_of(path)[5 * 512 : 6 * 512] == b"q" * 512


# Damage and hostility


@pytest.mark.parametrize(
    "offset, value, error",
    [
        (4, 2, UnsupportedDisk),
        (16, 0, CorruptDisk),
        (16, 3, CorruptDisk),
        (16, 1 << 20, CorruptDisk),
        (20, 0, CorruptDisk),
        (20, 1 << 31, TruncatedDisk),
        (24, 0, CorruptDisk),
        (24, 0xFFFFFFFF, CorruptDisk),
        (24, 1 << 20, TruncatedDisk),
        (24, 1, CorruptDisk),
    ],
)
def test_fault_12_hostile_header_allocates_nothing(tmp_path, offset, value, error):
    path = lay_down(tmp_path, CAPACITY, GRAINS, grain=8)
    patch(tmp_path / "d-delta.vmdk", offset, "<I", value)
    tracemalloc.start()
    with pytest.raises(error) as caught:
        open_disk(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert caught.type is error
    assert peak < 2 << 20


@pytest.mark.parametrize("sector", [1, 4, 100_000], ids=["header", "directory", "outside"])
def test_table_in_an_impossible_place_is_an_error(tmp_path, sector):
    path = lay_down(tmp_path, CAPACITY, GRAINS, grain=8)
    patch(tmp_path / "d-delta.vmdk", 4 * SECTOR, "<I", sector)
    with open_disk(path, writable=True) as disk:
        with pytest.raises(TruncatedDisk):
            read(disk, 0, 4096)
        with pytest.raises(TruncatedDisk):
            disk.write(0, b"N" * 4096)


@pytest.mark.parametrize("entry, error", [(2, CorruptDisk), (1 << 30, TruncatedDisk)])
def test_grain_in_an_impossible_place_is_an_error(tmp_path, entry, error):
    path = lay_down(tmp_path, CAPACITY, GRAINS, grain=8)
    patch(tmp_path / "d-delta.vmdk", 5 * SECTOR, "<I", entry)
    with open_disk(path) as disk, pytest.raises(error):
        read(disk, 0, 4096)


def test_file_cut_short_takes_no_writes(tmp_path):
    """A new grain would lie where an old table entry points."""
    path = lay_down(tmp_path, CAPACITY, GRAINS, grain=8)
    delta = tmp_path / "d-delta.vmdk"
    os.truncate(delta, delta.stat().st_size - 4096)
    before = delta.read_bytes()
    with open_disk(path, writable=True) as disk, pytest.raises(TruncatedDisk, match="shorter"):
        disk.write(20 << 20, b"N")
    assert delta.read_bytes() == before


def test_extent_named_as_a_disk_is_explained(tmp_path):
    lay_down(tmp_path, 64, {})
    with pytest.raises((NotADisk, UnsupportedDisk), match="COWD"):
        open_disk(tmp_path / "d-delta.vmdk")


def test_describe_names_the_type_as_vmware_does(tmp_path):
    path = lay_down(tmp_path, 64, {})
    path.write_text(path.read_text().replace("vmfsSparse", "VMFSSPARSE"))
    with open_disk(path) as disk:
        assert describe(disk)["disk_type"] == "vmfsSparse"


@settings(max_examples=150, deadline=None)
@given(
    damage=st.lists(
        st.tuples(st.integers(0, 5 * SECTOR + 4 * ENTRIES), st.integers(0, 255)), max_size=6
    )
)
def test_fault_12_no_damage_does_more_than_raise_an_error(damage):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        path = lay_down(folder, 8192, {0: b"a" * 4096, 1000: b"b" * 4096}, grain=8)
        data = bytearray((folder / "d-delta.vmdk").read_bytes())
        for place, value in damage:
            data[place] = value
        (folder / "d-delta.vmdk").write_bytes(data)
        try:
            with open_disk(path) as disk:
                list(disk.extents())
                read(disk, 0, disk.size)
        except DiskError:
            pass
