# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes and the choice among them."""

import struct

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.assembled import Piece
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.filesystems import FileSystem
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.partitions import Partition
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.volumes import (
    Volume,
    choose,
    list_volumes,
)

MIB = 1 << 20


def volume(number, kind=None, label=None, uuid=None):
    part = Partition(number, "gpt", "t", "Linux filesystem", None, "p", number * MIB, MIB)
    content = FileSystem(kind, label, uuid) if kind else None
    return Volume(part, content, Piece(0, number * MIB, MIB))


ROOT = volume(1, "ext4", "root", "6A3C-77f0")
DATA = volume(2, "xfs", "data", "beef")
SWAP = volume(3, "swap", "swap", "5555")
BLANK = volume(4)


@pytest.mark.parametrize("wanted", ["1", "root", "6A3C-77f0", "6a3c-77F0"])
def test_by_number_label_or_uuid(wanted):
    assert choose([ROOT, DATA, SWAP, BLANK], wanted) is ROOT


def test_the_only_mountable_one_needs_no_name():
    assert choose([SWAP, DATA, BLANK], None) is DATA


@pytest.mark.parametrize(
    ("volumes", "wanted", "reason"),
    [
        ([ROOT, DATA], None, "say which"),
        ([SWAP, BLANK], None, "no volume can be mounted"),
        ([ROOT, DATA], "9", "no volume '9'"),
        ([ROOT, SWAP], "3", "no file system that can be mounted"),
        ([ROOT, BLANK], "4", "no file system that can be mounted"),
        ([ROOT, volume(5, "ext4", "root")], "root", "more than one"),
        ([], None, "no volumes"),
    ],
)
def test_anything_else_is_refused(volumes, wanted, reason):
    with pytest.raises(InvalidRequest, match=reason):
        choose(volumes, wanted)


def test_refusal_lists_all_volumes():
    with pytest.raises(InvalidRequest) as caught:
        choose([ROOT, SWAP, BLANK], "home")
    for word in (
        "number 1, ext4, label root, uuid 6A3C-77f0",
        "number 3, swap",
        "number 4, nothing",
    ):
        assert word in str(caught.value)


def test_shape_of_results():
    assert ROOT.as_dict() == {
        "number": 1,
        "name": None,
        "type": "Linux filesystem",
        "fs": "ext4",
        "label": "root",
        "uuid": "6A3C-77f0",
        "start": MIB,
        "size": MIB,
    }


def test_volumes_of_a_partitioned_disk(image, tool):
    path, inner = image(64 * MIB), image(16 * MIB, "ext4.img")
    tool("sgdisk", "-n1:2048:+16M", "-n2:0:+8M", path)
    tool("mkfs.ext4", "-q", "-L", "inner", inner)
    with open(path, "r+b") as stream:
        stream.seek(MIB)
        stream.write(inner.read_bytes())
    with RawDevice.open(path) as device:
        found = [
            (v.partition.number, v.filesystem and v.filesystem.label) for v in list_volumes(device)
        ]
    assert found == [(1, "inner"), (2, None)]


def test_bare_file_system_is_volume_0(image, tool):
    path = image(16 * MIB)
    tool("mkfs.ext4", "-q", path)
    with RawDevice.open(path) as device:
        (found,) = list_volumes(device)
    assert (found.partition.number, found.partition.size) == (0, 16 * MIB)
    assert found.filesystem.kind == "ext4"


def test_blank_disk_has_no_volumes(image):
    with RawDevice.open(image(MIB)) as device:
        assert list_volumes(device) == []


def mbr(*entries):
    disk = bytearray(8 * MIB)
    for index, (code, start, count) in enumerate(entries):
        entry = struct.pack("<B3xB3xII", 0, code, start, count)
        disk[446 + 16 * index : 462 + 16 * index] = entry
    disk[510:512] = b"\x55\xaa"
    return MemoryDevice(disk)


def test_partitions_that_overlap_are_for_reading():
    volumes = list_volumes(mbr((0x83, 100, 100), (0x83, 199, 100), (0x83, 299, 100)))
    because = [v.read_only_because for v in volumes]
    assert because == ["it overlaps partition 2", "it overlaps partition 1", ""]


def test_logical_partitions_do_not_overlap_the_extended_one():
    disk = mbr((0x05, 100, 1000))
    disk.content[100 * 512 + 446 : 100 * 512 + 462] = struct.pack("<B3xB3xII", 0, 0x83, 10, 50)
    disk.content[100 * 512 + 510 : 100 * 512 + 512] = b"\x55\xaa"
    assert [(v.number, v.read_only_because) for v in list_volumes(disk)] == [(1, ""), (5, "")]
