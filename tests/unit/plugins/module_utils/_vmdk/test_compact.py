# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Laying extents anew: what comes out, what is refused, and what a killed job leaves."""

from __future__ import annotations

import os
import struct

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskInUse,
    NoSpace,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact import rebuild
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.defragment import (
    defragment,
    fragmentation,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.shrink import (
    shrink,
    surplus,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import SECTOR
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import create_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.pokes import (
    GRAIN,
    get_entry,
    header_of,
    put_entry,
    table_offset,
)

SIZE = 10 * GRAIN
BOTH = pytest.mark.parametrize("operation", [defragment, shrink])


@pytest.fixture
def untidy(tmp_path):
    """untidy(disk_type): a disk whose grains lie back to front; two of nine hold zeros."""

    def make(disk_type="monolithicSparse", folder=tmp_path, size=SIZE):
        path = folder / "disk.vmdk"
        create_disk(path, DiskSpec(size, disk_type))
        with open_disk(path, writable=True) as disk:
            for grain in reversed(range(9)):
                disk.write(grain * GRAIN, bytes([grain + 1]) * GRAIN)
            disk.write(3 * GRAIN, bytes(2 * GRAIN))
        return path

    return make


def entries_of(path):
    """The table entries of the first grains, from both tables."""
    data, header = path.read_bytes(), header_of(path)
    one, other = (
        struct.unpack_from("<10I", data, table_offset(path, directory))
        for directory in (header.rgd_offset, header.gd_offset)
    )
    assert one == other
    return one


def test_defragment_lays_grains_in_order_behind_the_tables(untidy):
    path = untidy()
    assert fragmentation(path).layout.fragments == 9
    assert defragment(path)
    first = header_of(path).overhead
    assert entries_of(path) == (*range(first, first + 9 * 128, 128), 0)
    assert path.stat().st_size == first * SECTOR + 9 * GRAIN


def test_shrink_gives_up_grains_of_zeros(untidy, content_of):
    path = untidy()
    content = content_of(path)
    assert shrink(path) == 2 * GRAIN
    first = header_of(path).overhead
    assert entries_of(path)[2:6] == (first + 2 * 128, 0, 0, first + 3 * 128)
    assert header_of(path).version == 1
    assert content_of(path) == content


def test_shrunk_child_hides_its_parent_with_zeroed_grains(untidy, tmp_path, content_of):
    base, child = untidy(), tmp_path / "child.vmdk"
    create_child(base, child)
    with open_disk(child, writable=True) as disk:
        disk.write(0, bytes(2 * GRAIN))
        disk.write(5 * GRAIN, b"x" * GRAIN)
    content = content_of(child)
    assert shrink(child) == 2 * GRAIN
    assert entries_of(child)[:2] == (1, 1)
    assert header_of(child).version == 2
    assert header_of(child).has_zeroed_grains
    assert content_of(child) == content


def test_zeroed_grains_stay(untidy, tmp_path, content_of):
    base, child = untidy(), tmp_path / "child.vmdk"
    create_child(base, child)
    with open_disk(child, writable=True) as disk:
        disk.write(0, bytes(GRAIN) + b"y" * GRAIN)
    shrink(child)
    with open_disk(child, writable=True) as disk:
        disk.write(8 * GRAIN, b"x" * GRAIN)
        disk.write(7 * GRAIN, b"x" * GRAIN)
    content = content_of(child)
    assert defragment(child)
    assert entries_of(child)[0] == 1
    assert content_of(child) == content


def test_holes_of_the_file_stay_holes(untidy):
    path = untidy()
    with open_disk(path, writable=True) as disk:
        disk.zero(0, 8 * GRAIN)
    before = path.stat().st_blocks
    assert defragment(path)
    assert path.stat().st_blocks <= before


@BOTH
def test_descriptor_stays_byte_for_byte(untidy, operation):
    path = untidy()
    header = header_of(path)
    place = slice(SECTOR, SECTOR * (1 + header.descriptor_size))
    before = path.read_bytes()[place]
    assert operation(path)
    assert path.read_bytes()[place] == before


def test_free_ranges_count_as_zeros(untidy):
    path = untidy()
    assert surplus(path) == 2 * GRAIN
    assert surplus(path, free=[(0, GRAIN), (2 * GRAIN, 3 * GRAIN - 1)]) == 3 * GRAIN


@pytest.mark.parametrize("grains", [(0, 1), (2, 3), (5, 7), (6, 9)])
def test_free_ranges_are_those_of_the_whole_disk(untidy, small_split, grains):
    path = untidy("twoGbMaxExtentSparse")
    free = [(grains[0] * GRAIN, grains[1] * GRAIN)]
    assert surplus(path, free=free) == surplus(path) + free[0][1] - free[0][0]


def test_flat_extents_that_share_a_file(tmp_path, content_of):
    """As in disks whose partitions are separate extents of one file."""
    path, flat = tmp_path / "disk.vmdk", tmp_path / "disk-flat.vmdk"
    create_disk(path, DiskSpec(4 * GRAIN, "monolithicFlat"))
    flat.write_bytes(b"a" * GRAIN + bytes(2 * GRAIN) + b"b" * GRAIN)
    line = f'RW {4 * 128} FLAT "disk-flat.vmdk" 0'
    two = 'RW 256 FLAT "disk-flat.vmdk" 0\nRW 256 FLAT "disk-flat.vmdk" 256'
    assert line in path.read_text()
    path.write_text(path.read_text().replace(line, two))
    content = content_of(path)
    assert surplus(path) == 2 * GRAIN
    assert shrink(path) == 2 * GRAIN
    assert content_of(path) == content
    assert shrink(path) == 0


# What is refused


@BOTH
def test_grain_in_two_places_is_refused(untidy, operation):
    path = untidy()
    put_entry(path, 0, get_entry(path, 5), both=True)
    before = path.read_bytes()
    with pytest.raises(CorruptDisk, match="share"):
        operation(path)
    assert path.read_bytes() == before


@BOTH
def test_truncated_grain_is_refused(untidy, operation):
    path = untidy()
    os.truncate(path, path.stat().st_size - 1000)
    before = path.read_bytes()
    with pytest.raises(TruncatedDisk, match="grain 0"):
        operation(path)
    assert path.read_bytes() == before


@BOTH
def test_disk_that_was_not_closed_is_refused(untidy, operation):
    path = untidy()
    data = bytearray(path.read_bytes())
    data[72] = 1
    path.write_bytes(data)
    with pytest.raises(CorruptDisk, match="not closed"):
        operation(path)


@BOTH
def test_disk_that_somebody_reads_is_refused(untidy, operation):
    path = untidy()
    with open_disk(path), pytest.raises(DiskInUse):
        operation(path)


@BOTH
def test_a_vmware_lock_is_respected(untidy, operation, tmp_path):
    path = untidy()
    (tmp_path / "disk.vmdk.lck").mkdir()
    (tmp_path / "disk.vmdk.lck" / "M1.lck").touch()
    with pytest.raises(DiskInUse, match="VMware"):
        operation(path)


@BOTH
def test_too_little_space_is_told_before_anything_is_written(untidy, operation, monkeypatch):
    path = untidy()
    before = path.read_bytes()

    def full(folder, size):
        raise NoSpace("too full", path=folder, expected=size)

    monkeypatch.setattr(rebuild, "require_space", full)
    with pytest.raises(NoSpace):
        operation(path)
    assert path.read_bytes() == before
    assert not path.with_name("disk.vmdk.vdisk-tmp").exists()


def test_an_error_on_the_way_leaves_nothing(untidy, monkeypatch):
    path = untidy()
    before = path.read_bytes()
    monkeypatch.setattr(rebuild, "replace_durably", _fail)
    with pytest.raises(NoSpace):
        defragment(path)
    assert [name.name for name in path.parent.iterdir()] == ["disk.vmdk"]
    assert path.read_bytes() == before


def _fail(*_ignored):
    raise NoSpace("no space left")


# Judged by others


@BOTH
@pytest.mark.parametrize("subformat", ["monolithicSparse", "twoGbMaxExtentSparse"])
def test_qemu_reads_and_writes_what_was_laid_anew(
    tmp_path, qemu_img, qemu_io, operation, subformat, content_of
):
    path = tmp_path / "disk.vmdk"
    qemu_img("create", "-f", "vmdk", "-o", f"subformat={subformat}", path, "100M")
    qemu_io(path, "write -P 1 70M 1M", "write -P 2 1M 100k", "write -P 0 40M 64k")
    qemu_img("convert", "-O", "raw", path, tmp_path / "before.raw")
    assert operation(path)
    qemu_img("convert", "-O", "raw", path, tmp_path / "after.raw")
    assert (tmp_path / "after.raw").read_bytes() == (tmp_path / "before.raw").read_bytes()
    qemu_img("check", path)
    qemu_io(path, "write -P 9 50M 64k", "read -P 9 50M 64k", "read -P 1 70M 1M")
    assert content_of(path)[50 << 20 :][:GRAIN] == b"\x09" * GRAIN
