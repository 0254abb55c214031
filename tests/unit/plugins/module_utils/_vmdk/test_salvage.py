# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left of a damaged disk is read, and what is not is told, to the byte."""

from __future__ import annotations

import os
import struct
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    ChainMismatch,
    CorruptDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    CREATABLE_TYPES,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SECTOR,
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.salvage.part import Fault
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.salvage.salvage import (
    open_salvaged,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.pokes import (
    GRAIN,
    MIB,
    get_entry,
    header_of,
    poke,
    put_entry,
    put_header,
)

CUT = "govmomi/ttylinux-pc_i486-16.1-disk1.vmdk"


def salvaged(path):
    """(content, what is lost)"""
    with open_salvaged(path) as disk:
        content = bytearray(disk.size)
        for run in disk.extents():
            if run.kind.value == "data":
                content[run.offset : run.end] = read(disk, run.offset, run.length)
        return bytes(content), disk.losses()


def blanked(content, faults):
    """The content with zeros where it is lost."""
    content = bytearray(content)
    for fault in faults:
        if fault.is_lost:
            content[fault.offset : fault.offset + fault.length] = bytes(fault.length)
    return bytes(content)


@pytest.fixture
def content():
    """16 grains: noise, but for grains 4 and 5."""
    grains = bytearray(Random(5).randbytes(MIB))
    grains[4 * GRAIN : 6 * GRAIN] = bytes(2 * GRAIN)
    return bytes(grains)


@pytest.fixture
def make(make_disk, content):
    return lambda disk_type: make_disk("disk.vmdk", disk_type, MIB, {0: content})


@pytest.mark.parametrize("disk_type", CREATABLE_TYPES)
def test_of_a_sound_disk_nothing_is_lost(make, content, disk_type):
    assert salvaged(make(disk_type)) == (content, [])


@pytest.mark.parametrize("disk_type", CREATABLE_TYPES)
def test_the_source_is_not_changed(make, tmp_path, disk_type):
    make(disk_type)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    salvaged(tmp_path / "disk.vmdk")
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


# Streams


def test_truncated_stream_is_read_as_far_as_it_goes(make, content):
    path = make("streamOptimized")
    os.truncate(path, 600_000)
    found, faults = salvaged(path)
    (lost,) = faults
    assert lost.offset + lost.length == MIB
    assert lost.offset >= 8 * GRAIN
    assert found == blanked(content, faults)


def test_headless_stream_is_read_by_its_markers(make, content):
    path = make("streamOptimized")
    poke(path, 0, bytes(SECTOR))
    assert salvaged(path) == (content, [])


def test_headless_and_truncated_stream(make, content):
    path = make("streamOptimized")
    poke(path, 0, Random(6).randbytes(21 * SECTOR))
    os.truncate(path, 600_000)
    found, _faults = salvaged(path)
    assert len(found) >= 8 * GRAIN
    assert content.startswith(found)


def test_one_bad_grain_is_all_that_is_lost(make, content):
    path = make("streamOptimized")
    poke(path, 128 * SECTOR + 1000, b"\xff" * 64)
    found, faults = salvaged(path)
    assert faults == [Fault(0, GRAIN)]
    assert found == blanked(content, faults)


def test_stream_without_tables_loses_nothing(make, content):
    path = make("streamOptimized")
    data = path.read_bytes()
    footer = SparseHeader.parse(data[-2 * SECTOR : -SECTOR], str(path))
    poke(path, footer.gd_offset * SECTOR, b"\xff\xff\xff\x7f")
    assert salvaged(path) == (content, [])


def test_stream_with_noise_in_its_middle(make, content):
    path = make("streamOptimized")
    poke(path, 300_000, Random(8).randbytes(100_000))
    found, faults = salvaged(path)
    assert 2 * GRAIN <= sum(fault.length for fault in faults) <= 3 * GRAIN
    assert found == blanked(content, faults)


def test_hostile_capacity_of_a_stream_takes_no_memory(make):
    path = make("streamOptimized")
    put_header(path, capacity=1 << 53)
    with open_salvaged(path) as disk:
        assert bytes(read(disk, 0, 10)) != bytes(10)


def test_stream_of_the_field_that_no_tool_opens(corpus, tmp_path):
    found, faults = salvaged(corpus[0] / CUT)
    assert len(found) == 30 * MIB
    assert faults == [Fault(7012352, 30 * MIB - 7012352)]
    assert found[510:512] == b"\x55\xaa"
    start = struct.unpack_from("<I", found, 446 + 8)[0] * SECTOR  # first partition
    assert found[446 + 4] == 0x83
    assert found[start + 1024 + 56 : start + 1024 + 58] == b"\x53\xef"  # ext superblock
    blocks, size = struct.unpack_from("<I16xI", found, start + 1024 + 4)
    assert blocks * (1024 << size) <= 30 * MIB - start


# Sparse


def test_either_table_is_enough(make, content):
    path = make("monolithicSparse")
    header = header_of(path)
    poke(path, header.gd_offset * SECTOR, Random(9).randbytes(5 * SECTOR))
    assert salvaged(path) == (content, [])


def test_truncated_sparse_disk_keeps_what_is_there(make, content):
    path = make("monolithicSparse")
    os.truncate(path, path.stat().st_size - GRAIN - 1000)
    found, faults = salvaged(path)
    (lost,) = faults
    assert (lost.offset + lost.length, lost.is_lost) == (MIB, True)
    assert GRAIN < lost.length <= 2 * GRAIN
    assert found == blanked(content, faults)


def test_grains_that_share_a_place_are_doubtful(make):
    path = make("monolithicSparse")
    put_entry(path, 8, get_entry(path, 2), both=True)
    faults = salvaged(path)[1]
    assert faults == [
        Fault(2 * GRAIN, GRAIN, is_lost=False),
        Fault(8 * GRAIN, GRAIN, is_lost=False),
    ]


def test_grain_beyond_the_end_is_lost(make, content):
    path = make("monolithicSparse")
    put_entry(path, 3, 1 << 20, both=True)
    found, faults = salvaged(path)
    assert faults == [Fault(3 * GRAIN, GRAIN)]
    assert found == blanked(content, faults)


def test_lost_descriptor_does_not_matter(make, content):
    path = make("monolithicSparse")
    poke(path, SECTOR, bytes(20 * SECTOR))
    assert salvaged(path) == (content, [])


def test_missing_extent_is_lost_as_a_whole(make, content, small_split):
    path = make("twoGbMaxExtentSparse")
    path.with_name("disk-s002.vmdk").unlink()
    found, faults = salvaged(path)
    assert faults == [Fault(small_split * SECTOR, small_split * SECTOR)]
    assert found == blanked(content, faults)


def test_truncated_flat_extent_keeps_what_is_there(make, content):
    path = make("monolithicFlat")
    os.truncate(path.with_name("disk-flat.vmdk"), 100_000)
    found, faults = salvaged(path)
    assert faults == [Fault(100_000, MIB - 100_000)]
    assert found == blanked(content, faults)


# Chains


@pytest.fixture
def child(tmp_path, make):
    make("monolithicSparse")
    create_child(tmp_path / "disk.vmdk", tmp_path / "child.vmdk")
    with open_disk(tmp_path / "child.vmdk", writable=True) as disk:
        disk.write(2 * GRAIN, b"\x77" * GRAIN)
    return tmp_path / "child.vmdk"


def test_child_is_read_over_its_parent(child, content):
    expected = bytearray(content)
    expected[2 * GRAIN : 3 * GRAIN] = b"\x77" * GRAIN
    assert salvaged(child) == (bytes(expected), [])


def test_damage_of_the_parent_shows_where_the_child_has_nothing(child):
    parent = child.with_name("disk.vmdk")
    put_entry(parent, 2, 1 << 20, both=True)
    put_entry(parent, 3, 1 << 20, both=True)
    assert salvaged(child)[1] == [Fault(3 * GRAIN, GRAIN)]


def test_without_its_parent_a_child_keeps_its_own(child):
    child.with_name("disk.vmdk").unlink()
    found, faults = salvaged(child)
    assert faults == [Fault(0, 2 * GRAIN), Fault(3 * GRAIN, 13 * GRAIN)]
    assert found == bytes(2 * GRAIN) + b"\x77" * GRAIN + bytes(13 * GRAIN)


def test_another_parent_is_refused(child):
    parent = child.with_name("disk.vmdk")
    poke(parent, parent.read_bytes().index(b"CID=") + 4, b"0badcafe")
    with pytest.raises(ChainMismatch, match="repair_cid"):
        open_salvaged(child)


def test_nothing_to_salvage(tmp_path):
    (tmp_path / "disk.vmdk").write_bytes(Random(1).randbytes(MIB))
    with pytest.raises(CorruptDisk, match="nothing can be salvaged"):
        open_salvaged(tmp_path / "disk.vmdk")


# Any damage at all


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    offset=st.integers(11000, 900_000),
    length=st.integers(1, 70_000),
    seed=st.integers(0, 9),
    cut=st.booleans(),
)
def test_a_damaged_stream_never_gives_wrong_bytes(make, content, offset, length, seed, cut):
    path = make("streamOptimized")
    try:
        if cut:
            os.truncate(path, offset)
        else:
            poke(path, offset, Random(seed).randbytes(length))
        found, faults = salvaged(path)
        assert found == blanked(content, faults)
    finally:
        path.unlink()
