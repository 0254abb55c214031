# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any damage of metadata at all: content is right, or refused, or the check says what is wrong."""

from __future__ import annotations

import dataclasses
import os
import struct
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskError,
    NotADisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.finding import is_healthy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.repair import repair_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    GD_AT_END,
    SECTOR,
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import (
    DiskSpec,
    directory_sectors,
    metadata_sectors,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.building import new_sparse
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import (
    create_disk,
    new_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.examples import examples

MIB = 1 << 20
SMALL, USUAL = 8 * SECTOR, 128 * SECTOR  # bytes of a grain
FIELDS = [(4, 4), (8, 4), (12, 8), (20, 8), (28, 8), (36, 8), (44, 4), (48, 8), (56, 8), (64, 8)]
FIELDS += [(72, 1), (73, 4), (77, 2)]


class Victim:
    """A sound disk, and what it holds. Its name is all that hypothesis shall print of it."""

    def __init__(self, name, path):
        self.name, self.path = name, path
        self.original = path.read_bytes()
        self.content = content_of_file(path)
        self.fields, self.sectors = metadata_of(self.original)
        self.has_zeroed_grains = bool(struct.unpack_from("<I", self.original, 8)[0] & 4)

    def __repr__(self):
        return self.name


def content_of_file(path):
    """None where reading is refused."""
    try:
        with open_disk(path) as disk:
            content = bytearray(disk.size)
            for run in disk.extents():
                if run.kind is Kind.DATA:
                    content[run.offset : run.end] = read(disk, run.offset, run.length)
            return bytes(content)
    except DiskError:
        return None


def metadata_of(data):
    """(offset, length) of fields worth damaging, and the sectors of all metadata."""
    header, at = SparseHeader.parse(data[:SECTOR], ""), 0
    first = header.descriptor_offset
    sectors = {0, *range(first, first + header.descriptor_size)}
    fields = list(FIELDS)
    if header.gd_offset == GD_AT_END:
        at = len(data) - 2 * SECTOR
        header = SparseHeader.parse(data[at : at + SECTOR], "")
        fields += [(at + offset, length) for offset, length in FIELDS]
        sectors.add(at // SECTOR)
    copies = [header.gd_offset]
    if header.has_redundant_tables and not header.is_stream:
        copies.append(header.rgd_offset)
    for directory in copies:
        sectors.update(range(directory, directory + directory_sectors(header)))
        for number in range(header.directory_entries):
            entry = directory * SECTOR + 4 * number
            (table,) = struct.unpack_from("<I", data, entry)
            sectors.update(range(table, table + 4))
            entries = struct.unpack_from("<512I", data, table * SECTOR)
            used = [index for index, value in enumerate(entries) if value]
            chosen = {*used[:5], *used[-2:], 200, 511}
            fields += [(entry, 4), *((table * SECTOR + 4 * index, 4) for index in sorted(chosen))]
    return fields, sorted(sectors)


# Disks


def small_grained(path, size, *, zeroed=False):
    """A disk with grains of 4 KiB, as VMware allows, so that it has several tables."""
    create_disk(path, DiskSpec(size, "monolithicSparse"))
    to_small_grains(path, zeroed=zeroed)


def to_small_grains(path, *, zeroed=False):
    """The descriptor of a disk stays; its extent is made anew, and empty."""
    data = path.read_bytes()
    old = SparseHeader.parse(data[:SECTOR], str(path))
    text = data[SECTOR : SECTOR * (1 + old.descriptor_size)].rstrip(b"\0")
    flags, version = (7, 2) if zeroed else (3, 1)
    header = dataclasses.replace(old, grain_size=8, flags=flags, version=version)
    primary = header.rgd_offset + metadata_sectors(header)
    front = -(-(primary + metadata_sectors(header)) // 8) * 8
    path.unlink()
    new_sparse(
        File.create(str(path)),
        dataclasses.replace(header, gd_offset=primary, overhead=front),
        text,
    ).finish()


def fill(path, grain, numbers):
    """Each grain has content of its own, so that none can stand for another."""
    with open_disk(path, writable=True) as disk:
        for number in numbers:
            disk.write(number * grain, Random(number).randbytes(grain))


def make_sparse(folder):
    create_disk(folder / "disk.vmdk", DiskSpec(40 * MIB, "monolithicSparse"))
    fill(folder / "disk.vmdk", USUAL, (0, 1, 2, 3, 600))


def make_small(folder):
    small_grained(folder / "disk.vmdk", 5 * MIB + 1024)
    fill(folder / "disk.vmdk", SMALL, (700, 0, 1, 514, 513, 3, 5, 1279))


def make_child(folder):
    base, path = folder / "base.vmdk", folder / "disk.vmdk"
    create_disk(base, DiskSpec(5 * MIB, "monolithicSparse"))
    fill(base, USUAL, range(80))
    create_child(base, path)
    to_small_grains(path, zeroed=True)
    fill(path, SMALL, (0, 1, 2, 3, 100, 513, 1279))
    with open_disk(path, writable=True) as disk:
        disk.zero(50 * SMALL, 3 * SMALL)
        disk.zero(600 * SMALL, SMALL)


def make_grown(folder):
    path = folder / "disk.vmdk"
    create_disk(path, DiskSpec(MIB, "monolithicSparse"))
    fill(path, USUAL, (0, 1))
    grow_disk(path, 70 * MIB)
    fill(path, USUAL, (640, 1100))


def make_stream(folder):
    with new_disk(folder / "disk.vmdk", DiskSpec(5 * MIB, "streamOptimized")) as disk:
        for number in (0, 1, 2, 10, 79):
            disk.write(number * USUAL, Random(number).randbytes(USUAL // 2) + bytes(USUAL // 2))


@pytest.fixture(
    scope="module", params=[make_sparse, make_small, make_child, make_grown, make_stream]
)
def victim(request, tmp_path_factory):
    """Sound again after each test."""
    folder = tmp_path_factory.mktemp("victim")
    request.param(folder)
    return Victim(request.param.__name__, folder / "disk.vmdk")


# Damage

VALUES = st.one_of(
    st.integers(0, 1 << 10),
    st.sampled_from([1 << shift for shift in range(64)]),
    st.integers(0, (1 << 64) - 1),
)


def damage_field(victim, data, draw):
    offset, length = draw(st.sampled_from(victim.fields))
    value = draw(VALUES) & ((1 << 8 * length) - 1)
    data[offset : offset + length] = value.to_bytes(length, "little")


def damage_sector(victim, data, draw):
    start = draw(st.sampled_from(victim.sectors)) * SECTOR
    other = draw(st.sampled_from(victim.sectors)) * SECTOR
    noise = Random(start).randbytes(SECTOR)
    copied = bytes(data[other : other + SECTOR])
    data[start : start + SECTOR] = draw(st.sampled_from([bytes(SECTOR), noise, copied]))


def damage_end(_victim, data, draw):
    del data[-draw(st.integers(1, 4 * SECTOR)) :]


DAMAGES = st.sampled_from(
    [
        (damage_field,),
        (damage_field, damage_field),
        (damage_sector,),
        (damage_field, damage_sector),
        (damage_end,),
    ]
)


@settings(max_examples=examples(60), deadline=None)
@given(data=st.data())
def test_damage_is_told_or_harmless_and_repair_makes_nothing_wrong(victim, data):
    damaged = bytearray(victim.original)
    for damage in data.draw(DAMAGES):
        damage(victim, damaged, data.draw)
    try:
        victim.path.write_bytes(damaged)
        judge(victim)
    finally:
        victim.path.write_bytes(victim.original)


def judge(victim):
    before = content_of_file(victim.path)
    try:
        found = check_disk(victim.path)
    except NotADisk:
        return
    # With zeroed grains a loss that is alike in both copies looks as what qemu leaves: a note.
    noted = victim.has_zeroed_grains and any(one.kind == "unused-space" for one in found)
    assert not is_healthy(found) or before == victim.content or noted
    planned = repair_disk(victim.path, dry_run=True)
    assert repair_disk(victim.path) == planned
    left, after = check_disk(victim.path), content_of_file(victim.path)
    doubts = [one for one in found if one.kind == "unused-space" and one.severity != "note"]
    assert not is_healthy([*left, *doubts]) or after == victim.content or noted
    assert before != victim.content or after in (victim.content, None)
    assert not any(one.repairable for one in left)
    assert repair_disk(victim.path, dry_run=True) == []


# What it has found


@pytest.fixture
def sparse(tmp_path):
    make_sparse(tmp_path)
    return Victim("sparse", tmp_path / "disk.vmdk")


@pytest.fixture
def child(tmp_path):
    make_child(tmp_path)
    return Victim("child", tmp_path / "disk.vmdk")


def put(victim, *fields):
    data = bytearray(victim.path.read_bytes())
    for offset, length, value in fields:
        data[offset : offset + length] = value.to_bytes(length, "little")
    victim.path.write_bytes(data)


def entry_at(victim, grain, copy="gd_offset"):
    header = SparseHeader.parse(victim.original[:SECTOR], "")
    number, index = divmod(grain, 512)
    place = getattr(header, copy) * SECTOR + 4 * number
    return struct.unpack_from("<I", victim.original, place)[0] * SECTOR + 4 * index


def test_directory_that_the_header_finds_within_a_table_gives_no_grain_away(sparse):
    put(sparse, (56, 8, 32))
    judge(sparse)
    assert content_of_file(sparse.path) == sparse.content


def test_descriptor_that_the_header_finds_among_the_tables_is_said_and_nothing_repaired(sparse):
    put(sparse, (28, 8, 31))
    judge(sparse)
    assert [one.kind for one in check_disk(sparse.path)] == ["descriptor"]


def test_directory_offset_of_zero_is_mended(sparse):
    put(sparse, (56, 8, 0))
    judge(sparse)
    assert content_of_file(sparse.path) == sparse.content


def test_place_that_two_grains_claim_is_given_to_neither(sparse):
    (place,) = struct.unpack_from("<I", sparse.original, entry_at(sparse, 2))
    put(sparse, (entry_at(sparse, 2), 4, 0), (entry_at(sparse, 9), 4, place))
    judge(sparse)
    assert repair_disk(sparse.path) == []


def test_hole_is_not_believed_where_a_grain_is_missing(sparse):
    put(sparse, (entry_at(sparse, 2), 4, 0), (entry_at(sparse, 2, "rgd_offset"), 4, 1 << 30))
    judge(sparse)
    assert not is_healthy(check_disk(sparse.path))


def test_table_that_both_directories_have_lost_is_found_where_it_was(child):
    header = SparseHeader.parse(child.original[:SECTOR], "")
    put(child, (header.gd_offset * SECTOR, 4, 0), (header.rgd_offset * SECTOR, 4, 0))
    assert not is_healthy(check_disk(child.path))
    judge(child)
    assert content_of_file(child.path) == child.content


@pytest.mark.parametrize("cut", [1, 511])
def test_sector_that_is_cut_is_told(sparse, cut):
    os.truncate(sparse.path, len(sparse.original) - cut)
    assert "beyond-end" in {one.kind for one in check_disk(sparse.path)}


@pytest.mark.parametrize("entry", [0, 1 << 8])
def test_copies_that_disagree_are_not_read_until_repaired(sparse, entry):
    """Where both could be: 0 is what a lost entry looks like, 256 is another grain's place."""
    put(sparse, (entry_at(sparse, 2), 4, entry))
    with open_disk(sparse.path) as disk, pytest.raises(CorruptDisk, match="disagree about grain 2"):
        read(disk, 0, disk.size)
    writing = open_disk(sparse.path, writable=True)
    with writing as disk, pytest.raises(CorruptDisk, match="disagree about grain 2"):
        disk.write(30 * MIB, b"new")
    assert repair_disk(sparse.path)
    assert content_of_file(sparse.path) == sparse.content


@pytest.mark.parametrize("copy", ["gd_offset", "rgd_offset"])
def test_write_that_reached_one_copy_only_is_read(sparse, copy):
    """The mark of an unclean shutdown explains it: data is there before the first entry is."""
    put(sparse, (entry_at(sparse, 2, copy), 4, 0), (72, 1, 1))
    assert content_of_file(sparse.path) == sparse.content


def test_content_of_a_disk_whose_tables_are_empty_is_a_warning(sparse):
    header = SparseHeader.parse(sparse.original[:SECTOR], "")
    put(sparse, *((at * SECTOR, 4096, 0) for at in (header.gd_offset + 1, header.rgd_offset + 1)))
    (found,) = check_disk(sparse.path)
    assert (found.kind, found.severity) == ("unused-space", "warning")
    assert "lost with all content" in found.message


def test_content_that_no_table_names_is_a_warning(sparse):
    copies = ("gd_offset", "rgd_offset")
    put(sparse, *((entry_at(sparse, 600, copy), 4, 0) for copy in copies))
    (found,) = check_disk(sparse.path)
    assert (found.kind, found.severity) == ("unused-space", "warning")
    assert sparse.original[found.offset :].startswith(Random(600).randbytes(USUAL))


def test_space_of_zeros_that_no_table_names_is_a_note(sparse):
    with sparse.path.open("ab") as stream:
        stream.write(bytes(3 * USUAL))
    (found,) = check_disk(sparse.path)
    assert (found.kind, found.severity) == ("unused-space", "note")


def test_tables_of_unusual_length_are_flagged(sparse):
    put(sparse, (44, 4, 128))
    with open_disk(sparse.path) as disk:
        assert "grain tables of 128 entries" in disk.flags[0]


def test_repair_keeps_tables_that_the_header_does_not_find_and_that_say_otherwise(child):
    """The entry of a grain says zeros, and the only other copy is where rgdOffset no more leads."""
    put(child, (17928, 4, 1), (48, 8, 64))
    damaged = child.path.read_bytes()
    judge(child)
    assert child.path.read_bytes() == damaged
    assert "tells otherwise" in str([one.message for one in check_disk(child.path)])
