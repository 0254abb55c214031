# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sound disks raise no alarm, each kind of damage is found. Numbers: section 3 of the format."""

from __future__ import annotations

import os
import struct
from random import Random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    DiskNotFound,
    NotADisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.finding import is_healthy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    CREATABLE_TYPES,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import SECTOR
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.pokes import (
    GRAIN,
    MIB,
    TWO_TABLES,
    entry_of,
    get_entry,
    header_of,
    kinds,
    poke,
    put_entry,
    put_header,
    the_one,
)

SUBFORMATS = [
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "streamOptimized",
]
CORPUS = [
    "vmdk-rs/monolithicSparse.vmdk",
    "vmdk-rs/streamOptimized.vmdk",
    "vmdk-rs/twoGbMaxExtentSparse.vmdk",
    "vmdk-rs/vmfs_thick.vmdk",
    "dfvfs/ext2.vmdk",
    "cot/blank.vmdk",
    "cot/input.vmdk",
]


@pytest.fixture
def disk(make_disk):
    return make_disk("disk.vmdk", "monolithicSparse", 40 * MIB, TWO_TABLES)


# No false alarms


@pytest.mark.parametrize("disk_type", CREATABLE_TYPES)
@pytest.mark.parametrize("size", [512, 200 * 512, 40 * MIB + 512])
def test_ours_are_sound(make_disk, disk_type, size):
    length = min(size, 5 * GRAIN)
    path = make_disk("disk.vmdk", disk_type, size, {0: Random(2).randbytes(length)})
    assert is_healthy(check_disk(path))


@pytest.mark.parametrize("disk_type", CREATABLE_TYPES)
def test_ours_are_sound_when_empty(make_disk, disk_type):
    assert check_disk(make_disk("disk.vmdk", disk_type, 64 * MIB)) == []


@pytest.mark.parametrize("subformat", SUBFORMATS)
@pytest.mark.parametrize("size", [512, 33 * MIB + 512])
def test_those_of_qemu_are_sound(tmp_path, qemu_img, subformat, size):
    raw = tmp_path / "disk.raw"
    raw.write_bytes(Random(3).randbytes(min(size, 5 * GRAIN + 1024)))
    os.truncate(raw, size)
    path = tmp_path / "disk.vmdk"
    qemu_img("convert", "-O", "vmdk", "-o", f"subformat={subformat}", raw, path)
    assert is_healthy(check_disk(path))


def test_zeroed_grains_of_qemu_are_sound(tmp_path, qemu_img, qemu_io):
    path = tmp_path / "disk.vmdk"
    qemu_img("create", "-f", "vmdk", "-o", "zeroed_grain=on", path, "4M")
    qemu_io(path, "write -P 1 0 256k", "write -z 0 64k")
    assert is_healthy(check_disk(path))


@pytest.mark.parametrize("name", CORPUS)
def test_those_of_the_field_are_sound(corpus, name):
    assert check_disk(corpus[0] / name) == []


def test_chain_is_sound(tmp_path, make_disk):
    base = make_disk("base.vmdk", "monolithicFlat", 2 * MIB, {0: b"base"})
    create_child(base, tmp_path / "child.vmdk", "twoGbMaxExtentSparse")
    create_child(tmp_path / "child.vmdk", tmp_path / "grandchild.vmdk")
    with open_disk(tmp_path / "grandchild.vmdk", writable=True) as disk:
        disk.write(5 * GRAIN, b"new")
    assert check_disk(tmp_path / "grandchild.vmdk") == []


def test_disk_that_has_grown_twice_is_sound(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB, {0: b"x"})
    grow_disk(path, 200 * MIB)
    grow_disk(path, 1000 * MIB)
    assert is_healthy(check_disk(path))


def test_split_disk_of_many_extents_is_sound(make_disk, small_split):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", 2 * MIB, {0: b"x" * MIB})
    assert check_disk(path) == []


def test_checking_changes_nothing(disk):
    put_entry(disk, 1, 0)
    before = disk.read_bytes(), disk.stat().st_mtime_ns
    check_disk(disk)
    assert (disk.read_bytes(), disk.stat().st_mtime_ns) == before


# Tables


def test_entry_that_one_copy_lost_is_proven_by_the_other(disk):
    put_entry(disk, 1, 0)
    found = the_one(disk, "tables-differ")
    assert (found.repairable, found.offset) == (True, entry_of(disk, 1))
    assert "grain 1" in found.message


def test_entry_that_points_to_another_grain_is_proven_wrong(disk):
    put_entry(disk, 1, get_entry(disk, 2))
    assert the_one(disk, "tables-differ").repairable


def test_5_zeroed_directory_is_found(disk):
    poke(disk, header_of(disk).gd_offset * SECTOR, bytes(8))
    found = the_one(disk, "directory-entry")
    assert found.repairable
    assert "grain directory is zeroed" in found.message


def test_directory_entry_beyond_the_file_is_found(disk):
    poke(disk, header_of(disk).gd_offset * SECTOR + 4, b"\xff\xff\xff\x7f")
    found = the_one(disk, "directory-entry")
    assert (found.repairable, found.offset) == (True, header_of(disk).gd_offset * SECTOR + 4)


def test_directory_entry_that_leads_to_another_table_is_found(disk):
    start = header_of(disk).gd_offset * SECTOR
    poke(disk, start + 4, disk.read_bytes()[start : start + 4])
    assert kinds(disk) == ["directory-entry", "tables-differ"]
    assert all(found.repairable for found in check_disk(disk))


def test_directory_entry_that_leads_into_a_grain_is_found(disk):
    poke(disk, header_of(disk).gd_offset * SECTOR, struct.pack("<I", get_entry(disk, 2) + 8))
    assert "directory-entry" in kinds(disk)


def test_4_grain_beyond_the_end_is_an_error_that_nothing_repairs(disk):
    put_entry(disk, 1, 1 << 20, both=True)
    found = the_one(disk, "beyond-end")
    assert (found.severity, found.repairable) == ("error", False)
    assert "grain 1 at sector 1048576" in found.message


def test_4_truncated_file_is_an_error(disk):
    os.truncate(disk, disk.stat().st_size - 1000)
    assert "grain 600" in the_one(disk, "beyond-end").message


def test_grains_that_share_a_place_are_both_named(disk):
    put_entry(disk, 3, get_entry(disk, 1), both=True)
    message = the_one(disk, "duplicate").message
    assert "grain 3" in message
    assert "grain 1 lies" in message


def test_grains_that_overlap_are_found(disk):
    put_entry(disk, 3, get_entry(disk, 1) + 8, both=True)
    assert kinds(disk) == ["duplicate"]


@pytest.mark.parametrize("place", ["descriptor", "directory", "table"])
def test_grain_on_metadata_is_found(disk, place):
    start = header_of(disk).gd_offset
    places = {"descriptor": 5, "directory": start, "table": start + 1}
    put_entry(disk, 0, places[place], both=True)
    assert "in-metadata" in kinds(disk)


def test_entry_of_1_without_its_flag_is_found(disk):
    put_entry(disk, 1, 1, both=True)
    assert kinds(disk) == ["in-metadata"]


def test_without_a_second_copy_nothing_is_repairable(disk):
    put_header(disk, flags=1, rgd_offset=0)
    put_entry(disk, 1, 1 << 20)
    assert not the_one(disk, "beyond-end").repairable


# Headers


def test_unclean_mark_is_found(disk):
    put_header(disk, unclean=True)
    assert the_one(disk, "unclean").repairable


def test_newline_damage_is_found_and_nothing_else_is_guessed(disk):
    poke(disk, 73, b"\n \n\n")
    (found,) = check_disk(disk)
    assert (found.kind, found.repairable, found.offset) == ("newlines", False, 73)
    assert "binary" in found.how


def test_newline_damage_of_an_extent_is_found(make_disk):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB)
    poke(path.with_name("disk-s001.vmdk"), 73, b"\n \n\n")
    assert kinds(path) == ["newlines"]


@pytest.mark.parametrize("capacity", [1 << 39, 1 << 53, 1 << 60])
def test_12_hostile_capacity_is_a_finding(disk, capacity):
    put_header(disk, capacity=capacity)
    assert "error" in {found.severity for found in check_disk(disk)}


def test_unknown_version_is_a_finding(disk):
    put_header(disk, version=9)
    assert kinds(disk) == ["header"]


def test_wrong_grain_size_is_suspected(disk):
    put_header(disk, grain_size=64)
    assert not is_healthy(check_disk(disk))


def test_entries_lost_in_both_copies_leave_space_that_is_noted(disk):
    put_entry(disk, 1, 0, both=True)
    assert "128 sectors" in the_one(disk, "unused-space").message


def test_entries_lost_in_both_copies_are_suspected_when_the_copies_differ(disk):
    put_entry(disk, 1, 0, both=True)
    put_entry(disk, 2, 0)
    assert the_one(disk, "unused-space").severity == "warning"


def test_capacity_that_is_no_grain_multiple_is_only_noted(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", 200 * 512)
    (found,) = check_disk(path)
    assert (found.kind, found.severity) == ("capacity", "note")


# What is no damage


def test_no_disk_is_an_error(tmp_path):
    with pytest.raises(DiskNotFound):
        check_disk(tmp_path / "none.vmdk")


def test_something_else_is_an_error(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(NotADisk):
        check_disk(tmp_path / "notes.txt")


def test_one_extent_is_an_error(make_disk):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB)
    with pytest.raises(NotADisk, match="descriptor"):
        check_disk(path.with_name("disk-s001.vmdk"))


def test_a_disk_that_is_being_written_is_an_error(disk):
    with open_disk(disk, writable=True), pytest.raises(DiskInUse):
        check_disk(disk)


def test_zeros_instead_of_a_header_are_a_finding(disk):
    poke(disk, 0, bytes(SECTOR))
    (found,) = check_disk(disk)
    assert found.kind == "not-a-disk"
    assert "salvage_to" in found.how


def test_large_disk_takes_little_time(tmp_path, qemu_img):
    path = tmp_path / "large.vmdk"
    qemu_img("create", "-f", "vmdk", path, "1T")  # 64 MiB of tables in each copy
    poke(path, header_of(path).gd_offset * SECTOR + 400, bytes(4))
    assert kinds(path) == ["directory-entry"]
