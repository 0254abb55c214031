# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables that are grown: judged by sgdisk and sfdisk, after every single write."""

from __future__ import annotations

import json
import struct
import uuid
import zlib

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.slice import SliceDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.grow import (
    grow_table,
    plan_growth,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.grow_filesystem import (
    filesystem_size,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.grow_table import grow_gpt
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.partitions import (
    list_partitions,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.trim import subtract, union

MIB = 1 << 20
OLD, NEW = 64 * MIB, 96 * MIB
LINES = "start=2048, size=20M, type=linux\nstart=22M, type=linux\n"


@pytest.fixture
def disk(image, tool):
    """disk(label, lines): an image of 64 MiB, its last partition with ext4, grown to 96 MiB."""

    def make(label="gpt", lines=LINES, start=22 * MIB, size=NEW):
        path = image(OLD)
        tool("sfdisk", "-q", "--label", label, path, text=lines)
        tool("mkfs.ext4", "-q", "-F", "-E", f"offset={start}", path, "30M")
        with open(path, "r+b") as stream:
            stream.truncate(size)
        return path

    return make


def parts(path):
    with RawDevice.open(path) as device:
        return [(p.number, p.start, p.size, p.uuid, p.name) for p in list_partitions(device)]


def writes_of(path, wanted=None):
    with RawDevice.open(path) as device:
        return plan_growth(device, wanted).writes


def grow(path, wanted=None):
    with RawDevice.open(path, writable=True) as device:
        growth = plan_growth(device, wanted)
        grow_table(device, growth)
        return growth


def test_gpt_is_sound_afterwards(disk, tool):
    path = disk()
    before = parts(path)
    growth = grow(path)
    assert "No problems found" in tool("sgdisk", "-v", path)
    after = parts(path)
    assert after[0] == before[0]
    assert after[1][3:] == before[1][3:]
    assert after[1][1] + after[1][2] == NEW - MIB == after[1][1] + growth.partition_size
    assert writes_of(path) == []


def test_gpt_keeps_its_identity(disk, tool):
    path = disk()
    before = json.loads(tool("sfdisk", "--json", path))["partitiontable"]
    grow(path)
    after = json.loads(tool("sfdisk", "--json", path))["partitiontable"]
    assert after["id"] == before["id"]
    assert after["lastlba"] == NEW // 512 - 34
    assert "No errors" in tool("sfdisk", "--verify", path)


def test_mbr_is_sound_afterwards(disk, tool):
    path = disk("dos")
    grow(path)
    assert "No errors" in tool("sfdisk", "--verify", path)
    assert parts(path)[1][1:3] == (22 * MIB, NEW - 22 * MIB)
    assert writes_of(path) == []


def test_only_the_table_is_written(disk):
    path = disk()
    with RawDevice.open(path) as device:
        before = bytes(read(device, 34 * 512, OLD - 67 * 512))
    grow(path)
    with RawDevice.open(path) as device:
        assert bytes(read(device, 34 * 512, OLD - 67 * 512)) == before


def test_every_write_leaves_the_old_table_or_the_new(disk, image):
    path = disk()
    old = parts(path)
    writes = writes_of(path)
    assert len(writes) == 4
    new = None
    for torn in (False, True):
        for count in range(len(writes) + 1):
            again = image(NEW, "again.img")
            again.write_bytes(path.read_bytes())
            with RawDevice.open(again, writable=True) as device:
                for offset, data in writes[:count]:
                    device.write(offset, data)
                if torn and count < len(writes):
                    offset, data = writes[count]
                    device.write(offset, data[: len(data) // 2 // 512 * 512])
            found = parts(again)
            grow(again)
            new = new or parts(again)
            assert found in (old, new)
            assert parts(again) == new != old
            assert writes_of(again) == []


def test_gpt_of_large_sectors(image):
    path = image(NEW)
    path.write_bytes(_large_sector_gpt(OLD).ljust(NEW, b"\0"))
    with RawDevice.open(path) as device:
        change = grow_gpt(device, 1)
    with RawDevice.open(path, writable=True) as device:
        for offset, data in change.writes:
            device.write(offset, data)
    assert parts(path)[0][1:3] == (MIB, NEW - 2 * MIB)
    with open(path, "r+b") as stream:  # the backup alone says the same
        stream.seek(4096)
        stream.write(bytes(4096))
    assert parts(path)[0][1:3] == (MIB, NEW - 2 * MIB)


def _large_sector_gpt(size):
    """A GPT in sectors of 4096 bytes with one partition from 1 MiB to 20 MiB, no backup."""
    entry = uuid.UUID("0fc63daf-8483-4772-8e79-3d69d8477de4").bytes_le + bytes(range(16))
    entry += struct.pack("<QQQ", 256, 20 * 256 - 1, 0)
    table = entry.ljust(128 * 128, b"\0")
    last = size // 4096 - 1
    fields = [b"EFI PART", 0x10000, 92, 0, 0, 1, last, 6, last - 5, bytes(16), 2, 128, 128]
    layout = struct.Struct("<8sIIIIQQQQ16sQIII")
    packed = layout.pack(*fields, zlib.crc32(table))
    fields[3] = zlib.crc32(packed)
    header = layout.pack(*fields, zlib.crc32(table)).ljust(4096, b"\0")
    mbr = bytearray(512)
    mbr[446 + 4] = 0xEE
    struct.pack_into("<II", mbr, 446 + 8, 1, last)
    mbr[510:] = b"\x55\xaa"
    return bytes(mbr).ljust(4096, b"\0") + header + table


def test_damaged_primary_is_completed_from_a_backup_that_is_new_already(disk):
    path = disk()
    grow(path)
    after = path.read_bytes()
    with open(path, "r+b") as stream:
        stream.seek(512)
        stream.write(bytes(512))
    grow(path)
    assert path.read_bytes() == after


def test_damaged_primary_with_an_old_backup_is_refused(disk):
    path = disk(size=OLD)
    with open(path, "r+b") as stream:
        stream.seek(512)
        stream.write(bytes(512))
    before = path.read_bytes()
    # Its last partition ends where sfdisk let it end, a little behind the last whole MiB; so
    # there is nothing to change in the backup but what the primary lacks.
    grow(path)
    assert path.read_bytes() != before
    with open(path, "r+b") as stream:
        stream.seek(512)
        stream.write(bytes(512))
        stream.truncate(NEW)
    with pytest.raises(CorruptDisk):
        grow(path)


def test_first_partition_has_something_behind_it(disk, tool):
    path = disk()
    tool("mkfs.ext4", "-q", "-F", "-E", "offset=1048576", path, "20M")
    with pytest.raises(InvalidRequest, match="behind"):
        writes_of(path, "1")


@pytest.mark.parametrize("wanted", ["7", "nobody"])
def test_unknown_volume(disk, wanted):
    with pytest.raises(InvalidRequest, match=wanted):
        writes_of(disk(), wanted)


LOGICAL = "start=2048, size=10M, type=linux\nstart=20M, size=44M, type=extended\n"


@pytest.fixture
def logical_disk(image, tool):
    """logical_disk(number): that many logical partitions, the last one with ext4."""

    def make(number):
        path = image(OLD)
        starts = [22 * MIB + index * 5 * MIB for index in range(number)]
        lines = [f"start={start // 512}, size=4M, type=linux" for start in starts]
        tool("sfdisk", "-q", "--label", "dos", path, text=LOGICAL + "\n".join(lines) + "\n")
        tool("mkfs.ext4", "-q", "-F", "-E", f"offset={starts[-1]}", path, "4M")
        with open(path, "r+b") as stream:
            stream.truncate(NEW)
        return path, starts

    return make


@pytest.mark.parametrize("number", [1, 2, 3])
def test_logical_partition_grows_with_what_contains_it(logical_disk, tool, number):
    path, starts = logical_disk(number)
    before = parts(path)
    growth = grow(path)
    assert growth.volume.partition.number == 4 + number
    table = json.loads(tool("sfdisk", "--json", path))["partitiontable"]["partitions"]
    assert "No errors" in tool("sfdisk", "--verify", path)
    found = [(part["start"] * 512, part["size"] * 512) for part in table]
    assert found[1] == (20 * MIB, NEW - 20 * MIB)
    assert found[-1] == (starts[-1], NEW - starts[-1])
    assert parts(path)[2:-1] == before[2:-1]
    assert parts(path)[0] == before[0]
    said = tool("parted", "-s", "-m", path, "unit", "B", "print").splitlines()
    assert f":{starts[-1]}B:{NEW - 1}B:" in said[-1]
    assert writes_of(path) == []


@pytest.mark.parametrize("number", [1, 2])
def test_every_write_leaves_a_sound_table_of_logical_partitions(logical_disk, tool, number):
    path, _starts = logical_disk(number)
    old = parts(path)
    for offset, data in writes_of(path):
        with RawDevice.open(path, writable=True) as device:
            device.write(offset, data)
        tool("sfdisk", "--json", path)
        assert [part[1] for part in parts(path)] == [part[1] for part in old]
        assert [part[2] for part in parts(path)[2:-1]] == [part[2] for part in old[2:-1]]
    assert parts(path)[-1][1] + parts(path)[-1][2] == NEW


def test_logical_partition_with_a_primary_one_behind(image, tool):
    path = image(OLD)
    lines = "start=2048, size=20M, type=extended\nstart=40M, type=linux\nstart=3M, type=linux\n"
    tool("sfdisk", "-q", "--label", "dos", path, text=lines)
    tool("mkfs.ext4", "-q", "-F", "-E", f"offset={3 * MIB}", path, "10M")
    with pytest.raises(InvalidRequest, match="behind"):
        writes_of(path, "5")


@pytest.mark.parametrize(
    ("maker", "by_hand"),
    [
        (["mkswap"], "mkswap"),
        (["mkfs.ntfs", "-q", "-F"], "Windows"),
        (["mkfs.vfat"], "own tools"),
        (None, "own tools"),
    ],
)
def test_what_cannot_grow_is_refused_with_what_to_do(image, tool, maker, by_hand):
    path = image(OLD)
    if maker:
        tool(*maker, path)
    with pytest.raises(InvalidRequest, match=r"not grown here|no volume to grow") as caught:
        writes_of(path)
    assert maker is None or by_hand in caught.value.hint


MAKERS = {
    "ext4": ["mkfs.ext4", "-q", "-F", "-O", "64bit"],
    "ext2": ["mkfs.ext2", "-q", "-F", "-b", "1024"],
    "xfs": ["mkfs.xfs", "-q", "-f"],
    "btrfs": ["mkfs.btrfs", "-q", "-f"],
}


@pytest.mark.parametrize("kind", MAKERS)
def test_size_of_a_file_system(image, tool, kind):
    path = image(400 * MIB)
    tool(*MAKERS[kind], path)
    with RawDevice.open(path) as device:
        assert filesystem_size(SliceDevice(device, 0, device.size), kind) == 400 * MIB


def test_file_system_without_a_partition(image, tool):
    path = image(OLD)
    tool("mkfs.ext4", "-q", "-F", path)
    with open(path, "r+b") as stream:
        stream.truncate(NEW)
    with RawDevice.open(path) as device:
        growth = plan_growth(device, None)
    assert growth.writes == []
    assert (growth.filesystem_size, growth.partition_size) == (OLD, NEW)
    assert growth.needs_filesystem


def test_ranges():
    assert union([(5, 9), (1, 2), (2, 3), (8, 12)]) == [(1, 3), (5, 12)]
    assert subtract([(0, 10), (20, 30)], [(2, 3), (5, 25)]) == [(0, 2), (3, 5), (25, 30)]
    assert subtract([(0, 10)], []) == [(0, 10)]
    assert subtract([(3, 4), (6, 8)], [(0, 9)]) == []
