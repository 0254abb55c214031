# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The free space of FAT12, FAT16 and FAT32 by the table, of exFAT by its bitmap."""

from __future__ import annotations

import array
import struct
import sys
import typing as t

from ...._device.device import read
from ...._device.errors import CorruptDisk
from .bitmap import clear_runs

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ...._device.device import BlockDevice
    from .bitmap import Run

_SECTOR = 512
_LARGEST_TABLE = 256 << 20  # bytes: 1 TiB of clusters of 16 KiB
_BITMAP_ENTRY = 0x81  # of exFAT's root directory, 7.1 of Microsoft's specification
_EXFAT_DIRECTORY = 64 << 10  # bytes searched for it; it stands at the front


def fat_runs(device: BlockDevice) -> tuple[int, Iterator[Run]]:
    """The size of a cluster, and (offset, length) in bytes (Microsoft's fatgen103).

    Raises CorruptDisk.
    """
    head = bytes(read(device, 0, _SECTOR))
    sector, cluster, reserved, fats, entries = struct.unpack_from("<HBHBH", head, 11)
    small, _media, short = struct.unpack_from("<HBH", head, 19)
    large, long = struct.unpack_from("<II", head, 32)
    table = short or long
    unit = sector * cluster
    if not unit or not 0 < table * sector <= _LARGEST_TABLE:
        raise CorruptDisk("the boot sector of FAT makes no sense", offset=0)
    data = reserved + fats * table + -(-entries * 32 // sector)
    count = ((small or large) - data) // cluster
    raw = bytes(read(device, reserved * sector, table * sector))
    used = _entries(raw, count + 2, is_fat32=not short)
    return unit, _zeros(used, data * sector, unit)


def _entries(raw: bytes, count: int, *, is_fat32: bool) -> list[int]:
    """The numbers of the table, without the upper four bits that FAT32 reserves."""
    if is_fat32:
        return [number & 0x0FFFFFFF for number in _numbers("I", raw[: count * 4])]
    if count - 2 >= 4085:  # FAT16
        return list(_numbers("H", raw[: count * 2]))
    packed = raw[: -(-count * 3 // 2)].ljust(-(-count // 2) * 3, b"\0")
    triples = (packed[at : at + 3] for at in range(0, len(packed), 3))
    pairs = (int.from_bytes(three, "little") for three in triples)
    return [number for pair in pairs for number in (pair & 0xFFF, pair >> 12)][:count]


def _numbers(kind: str, raw: bytes) -> array.array[int]:
    numbers = array.array(kind)
    numbers.frombytes(raw[: len(raw) // numbers.itemsize * numbers.itemsize])
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def _zeros(entries: list[int], start: int, unit: int) -> Iterator[Run]:
    """The first two entries of the table stand for no cluster."""
    for number, entry in enumerate(entries[2:]):
        if not entry:
            yield start + number * unit, unit


def exfat_runs(device: BlockDevice) -> tuple[int, Iterator[Run]]:
    """The size of a cluster, and (offset, length) in bytes. Raises CorruptDisk."""
    head = bytes(read(device, 0, _SECTOR))
    heap, count, root = struct.unpack_from("<3I", head, 88)
    sector, unit = head[108], 1 << (head[108] + head[109])
    start = heap << sector
    place = start + (root - 2) * unit
    for entry in _directory(device, place, min(unit, _EXFAT_DIRECTORY)):
        if entry[0] == _BITMAP_ENTRY:
            first, size = struct.unpack_from("<IQ", entry, 20)
            bits = bytes(read(device, start + (first - 2) * unit, min(size, -(-count // 8))))
            return unit, clear_runs(bits, min(count, len(bits) * 8), start, unit)
    raise CorruptDisk("exFAT's bitmap is not in the root directory", offset=place)


def _directory(device: BlockDevice, place: int, size: int) -> Iterator[bytes]:
    table = bytes(read(device, place, size))
    return (table[at : at + 32] for at in range(0, size - 31, 32))
