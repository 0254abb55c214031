# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Members of Linux RAIDs; the superblocks are made by hand, and judged by blkid."""

import struct
import uuid

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import md
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.filesystems import identify
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.volumes import list_volumes

MIB = 1 << 20
SIZE = 16 * MIB
ARRAY = uuid.UUID("01234567-89ab-cdef-0123-456789abcdef")
PLACES = {"1.1": 0, "1.2": 4096, "1.0": SIZE - 8192, "0.90": SIZE - (64 << 10)}


def write_superblock(disk, version):
    place = PLACES[version]
    if version == "0.90":
        words = [md._MAGIC, 0, 90, 0, 0, 0x01234567]
        block = struct.pack("<6I", *words).ljust(4096, b"\0")
    else:
        block = bytearray(struct.pack("<4I16s32s", md._MAGIC, 1, 0, 0, ARRAY.bytes, b"web:0"))
        block = block.ljust(256, b"\0")
        struct.pack_into("<Q", block, 144, place // 512)
        struct.pack_into("<I", block, 220, 2)
        struct.pack_into("<I", block, 216, checksum(block))
    disk[place : place + len(block)] = block


def checksum(block):
    """calc_sb_1_csum() of Linux."""
    block[216:220] = bytes(4)
    total = sum(struct.unpack("<64I", block))
    return (total & 0xFFFFFFFF) + (total >> 32)


@pytest.mark.parametrize("version", ["1.1", "1.2"])
def test_member_is_told_as_blkid_tells_it(tool, image, version):
    disk = bytearray(SIZE)
    write_superblock(disk, version)
    path = image(SIZE)
    path.write_bytes(disk)
    told = tool("blkid", "-p", "-o", "export", path)
    assert f"UUID={ARRAY}" in told and "TYPE=linux_raid_member" in told
    found = identify(MemoryDevice(disk))
    assert (found.kind, found.label, found.uuid) == ("linux_raid_member", "web:0", str(ARRAY))
    assert not found.mountable


@pytest.mark.parametrize("version", ["1.0", "0.90"])
def test_file_system_with_a_superblock_at_its_end_is_for_reading(tool, image, version):
    path = image(SIZE)
    tool("mkfs.ext4", "-q", path)
    disk = bytearray(path.read_bytes())
    assert list_volumes(MemoryDevice(disk))[0].read_only_because == ""
    write_superblock(disk, version)
    path.write_bytes(disk)
    assert "TYPE=linux_raid_member" in tool("blkid", "-p", "-o", "export", path)
    (volume,) = list_volumes(MemoryDevice(disk))
    assert volume.mountable
    assert "member of a Linux RAID" in volume.read_only_because


@pytest.mark.parametrize("size", [0, 1, 512, 4096, 65536, 65537])
def test_small_devices_are_no_members(size):
    assert not md.ends_as_member(MemoryDevice(size))
