# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Partition tables: made by sfdisk, sgdisk and parted; damaged and hostile ones by hand."""

import json
import shutil
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import CorruptDisk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.partitions import (
    list_partitions,
)

MIB = 1 << 20
GPT_TABLE = 2 * 512


def partitions_of(path):
    with RawDevice.open(path) as device:
        return list_partitions(device)


def told_by_sfdisk(tool, path):
    """(number, start, size, type, uuid, name) as the independent reader tells them."""
    table = json.loads(tool("sfdisk", "-J", path))["partitiontable"]
    for part in table["partitions"]:
        number = int(part["node"].removeprefix(str(path)))
        kind = part["type"].lower()
        yield (
            number,
            part["start"] * table["sectorsize"],
            part["size"] * table["sectorsize"],
            kind if "-" in kind else f"0x{int(kind, 16):02x}",
            part.get("uuid", "").lower() or None,
            part.get("name"),
        )


def told_by_us(path, *, with_uuid=True):
    for part in partitions_of(path):
        part_uuid = part.uuid if with_uuid else None
        yield (part.number, part.start, part.size, part.type_id, part_uuid, part.name)


@pytest.fixture(scope="module")
def gpt_of_sgdisk(tool, tmp_path_factory):
    path = tmp_path_factory.mktemp("gpt") / "disk.img"
    path.write_bytes(bytes(64 * MIB))
    tool("sgdisk", "-n1:2048:+10M", "-t1:ef00", "-c1:EFI ä", "-n3:0:+20M", "-c3:root", path)
    return path


@pytest.fixture
def gpt(gpt_of_sgdisk, tmp_path):
    return shutil.copy(gpt_of_sgdisk, tmp_path / "disk.img")


@pytest.fixture
def logical(image, tool):
    """Three primary partitions, and four logical ones with gaps between."""
    path = image(64 * MIB)
    script = (
        "label: dos\nlabel-id: 0x12345678\n"
        "start=2048,size=8192,type=83\nstart=10240,size=8192,type=82\n"
        "start=20480,size=100000,type=5\nstart=122880,size=4096,type=7\n"
        "start=22528,size=4096,type=83\nstart=30720,size=4096,type=8e\n"
        "start=40960,size=8192,type=fd\nstart=60000,size=100,type=b\n"
    )
    tool("sfdisk", "-q", path, text=script)
    return path


def test_gpt_of_sgdisk_is_read_as_sfdisk_reads_it(gpt, tool):
    assert list(told_by_us(gpt)) == list(told_by_sfdisk(tool, gpt))


def test_gpt_keeps_numbers_and_names(gpt):
    found = [(p.number, p.name, p.type) for p in partitions_of(gpt)]
    assert found == [(1, "EFI ä", "EFI System"), (3, "root", "Linux filesystem")]


def test_gpt_of_parted(image, tool):
    path = image(64 * MIB)
    tool("parted", "-s", path, "mklabel", "gpt", "mkpart", "data", "ext4", "1MiB", "33MiB")
    assert list(told_by_us(path)) == list(told_by_sfdisk(tool, path))


def test_mbr_with_logical_partitions_is_read_as_sfdisk_reads_it(logical, tool):
    theirs = [(*row[:4], None, None) for row in told_by_sfdisk(tool, logical)]
    assert list(told_by_us(logical, with_uuid=False)) == theirs


def test_mbr_of_parted(image, tool):
    path = image(64 * MIB)
    steps = "mklabel msdos mkpart primary 1MiB 9MiB mkpart extended 9MiB 60MiB"
    steps += " mkpart logical 10MiB 20MiB mkpart logical 21MiB 59MiB"
    tool("parted", "-s", path, *steps.split())
    theirs = [(*row[:4], None, None) for row in told_by_sfdisk(tool, path)]
    assert list(told_by_us(path, with_uuid=False)) == theirs


def test_mbr_partition_uuid_is_that_of_blkid(logical, tool):
    start = partitions_of(logical)[4].start
    assert partitions_of(logical)[4].uuid == "12345678-05"
    entries = tool("partx", "-b", "-g", "-o", "NR,UUID,START", logical).split("\n")
    assert ["5", "12345678-05", str(start // 512)] in [line.split() for line in entries]


@pytest.mark.parametrize("damage", [512, 512 + 24, GPT_TABLE + 16])
def test_backup_is_used_when_the_primary_is_damaged(gpt, damage):
    before = partitions_of(gpt)
    with open(gpt, "r+b") as stream:
        stream.seek(damage)
        stream.write(b"\xff" * 8)
    assert partitions_of(gpt) == before


def test_both_copies_damaged_is_an_error_that_says_where(gpt):
    with open(gpt, "r+b") as stream:
        for offset in (512 + 24, 64 * MIB - 512 + 24):
            stream.seek(offset)
            stream.write(b"\xff" * 8)
    with pytest.raises(CorruptDisk, match=rf"byte 512: .*byte {64 * MIB - 512}: "):
        partitions_of(gpt)


def test_gpt_of_a_truncated_disk_is_clipped(gpt):
    whole = partitions_of(gpt)
    with open(gpt, "r+b") as stream:
        stream.truncate(whole[1].start + MIB)
    assert [p.size for p in partitions_of(gpt)] == [whole[0].size, MIB]


def test_gpt_with_sectors_of_4096_bytes():
    """As sfdisk --sector-size writes it, from util-linux 2.40 on; here by hand."""
    disk = made_gpt(sector=4096)
    (part,) = list_partitions(MemoryDevice(disk))
    assert (part.number, part.start, part.size) == (1, 64 * 4096, 32 * 4096)


def test_backup_with_sectors_of_4096_bytes():
    disk = made_gpt(sector=4096, where="backup")
    assert [p.start for p in list_partitions(MemoryDevice(disk))] == [64 * 4096]


def made_gpt(sector=512, where="primary", count=4, entry_size=128, first=64, last=95):
    """A protective MBR and one copy of a GPT with one entry."""
    sectors = 128
    disk = bytearray(sectors * sector)
    disk[446:462] = struct.pack("<B3xB3xII", 0, 0xEE, 1, 0xFFFFFFFF)
    disk[510:512] = b"\x55\xaa"
    here, table_at = (1, 2) if where == "primary" else (sectors - 1, sectors - 3)
    entry = bytes.fromhex("af3dc60f838472478e793d69d8477de4") + b"u" * 16
    entry += struct.pack("<QQQ72x", first, last, 0)
    table = entry.ljust(min(count * entry_size, sector), b"\0")
    disk[table_at * sector : table_at * sector + len(table)] = table
    header = bytearray(
        struct.pack("<8s4sII4xQQQQ16s", b"EFI PART", b"\0\0\1\0", 92, 0, here, 0, 6, 120, b"d" * 16)
        + struct.pack("<QIII", table_at, count, entry_size, zlib.crc32(table))
    )
    header[16:20] = struct.pack("<I", zlib.crc32(header))
    disk[here * sector : here * sector + 92] = header
    return disk


@pytest.mark.parametrize(
    "hostile",
    [
        {"count": 0xFFFFFFFF},
        {"count": 0xFFFF, "entry_size": 1 << 31},
        {"entry_size": 0},
        {"entry_size": 129},
    ],
)
def test_gpt_that_asks_for_absurd_memory_is_refused(hostile):
    with pytest.raises(CorruptDisk):
        list_partitions(MemoryDevice(made_gpt(**hostile)))


def test_more_partitions_than_linux_can_name_are_refused():
    disk = made_gpt(sector=4096, count=2, first=64, last=95)
    entry = bytes(disk[2 * 4096 : 2 * 4096 + 128])
    table = entry * 4096  # 512 KiB
    disk = disk.ljust(1 << 20, b"\0")
    disk[64 << 10 : (64 << 10) + len(table)] = table
    header = bytearray(disk[4096 : 4096 + 92])
    header[72:92] = struct.pack("<QIII", 16, 4096, 128, zlib.crc32(table))
    header[16:20] = bytes(4)
    header[16:20] = struct.pack("<I", zlib.crc32(header))
    disk[4096 : 4096 + 92] = header
    with pytest.raises(CorruptDisk, match="found 4096, expected at most 256"):
        list_partitions(MemoryDevice(disk))


@pytest.mark.parametrize("span", [(95, 64), (1 << 60, 1 << 61), (200, 300)])
def test_gpt_entries_outside_the_disk_are_left_out(span):
    assert list_partitions(MemoryDevice(made_gpt(first=span[0], last=span[1]))) == []


def made_mbr(*entries, size=MIB):
    disk = bytearray(size)
    write_table(disk, 0, *entries)
    return disk


def write_table(disk, sector, *entries):
    for index, (code, start, count) in enumerate(entries):
        at = sector * 512 + 446 + 16 * index
        disk[at : at + 16] = struct.pack("<B3xB3xII", 0, code, start, count)
    disk[sector * 512 + 510 : sector * 512 + 512] = b"\x55\xaa"


def test_logical_chain_that_bites_its_tail_ends():
    disk = made_mbr((0x05, 100, 1000))
    write_table(disk, 100, (0x83, 1, 8), (0x05, 50, 20))
    write_table(disk, 150, (0x83, 1, 8), (0x05, 0, 20))
    assert [p.number for p in list_partitions(MemoryDevice(disk))] == [1, 5, 6]


def test_endless_logical_chain_is_cut():
    disk = made_mbr((0x05, 1, 2000))
    for index in range(1900):
        write_table(disk, 1 + index, (0x83, 1, 1), (0x05, index + 1, 1))
    assert len(list_partitions(MemoryDevice(disk))) < 200


def test_mbr_entries_outside_the_disk_are_left_out_or_clipped():
    disk = made_mbr((0x83, 0xFFFFFFF0, 100), (0x83, 2047, 100), (0x83, 2048, 1))
    assert [(p.number, p.size) for p in list_partitions(MemoryDevice(disk))] == [(2, 512)]


@pytest.mark.parametrize("size", [0, 1, 511, 512, 1024])
def test_tiny_disks_have_no_partitions(size):
    assert list_partitions(MemoryDevice(size)) == []


def test_disk_without_a_table_has_no_partitions():
    assert list_partitions(MemoryDevice(MIB)) == []


@pytest.mark.parametrize(("program", "size"), [("mkfs.vfat", 8 * MIB), ("mkfs.ntfs", 8 * MIB)])
def test_boot_sector_of_a_volume_is_not_taken_for_a_table(image, tool, program, size):
    path = image(size)
    tool(program, *(["-F", "-Q"] if program == "mkfs.ntfs" else []), path)
    with open(path, "r+b") as stream:  # what would be an entry, were this a table
        stream.seek(446)
        stream.write(struct.pack("<B3xB3xII", 0, 0x83, 1, 100).ljust(64, b"\0"))
    assert partitions_of(path) == []


@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(0, 2100), st.integers(0, 2100))),
    st.lists(st.tuples(st.integers(0, 2047), st.binary(max_size=64)), max_size=8),
)
def test_any_mbr_ends_and_stays_inside_the_disk(entries, noise):
    disk = made_mbr(*entries[:4])
    for sector, table in noise:
        at = sector * 512 + 446
        disk[at : at + len(table)] = table
        disk[sector * 512 + 510 : sector * 512 + 512] = b"\x55\xaa"
    try:
        found = list_partitions(MemoryDevice(disk[:MIB]))
    except CorruptDisk:
        return
    assert all(0 <= p.start < p.start + p.size <= MIB for p in found)
