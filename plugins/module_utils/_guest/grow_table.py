# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The writes that make a partition reach the end of its disk: MBR and GPT."""

from __future__ import annotations

import struct
import typing as t
import zlib

from .._device.device import read
from .._device.errors import CorruptDisk, InvalidRequest
from .parttypes import EXTENDED, PROTECTIVE

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice

ALIGNMENT = 1 << 20  # where partitioning tools let partitions end
_SECTOR = 512
_SECTOR_SIZES = (512, 4096)
_MBR_LIMIT = (1 << 32) - 1  # sectors; an entry has 32 bits for its start and for its length
_ENTRIES = (446, 462, 478, 494)  # of an MBR, and of the table before a logical partition
_BEYOND_CHS = b"\xfe\xff\xff"
_HEADER = struct.Struct("<8s4sIIIQQQQ16sQIII")  # UEFI specification 5.3.2
_TABLE_LIMIT = 4 << 20  # bytes; the usual table has 16 KiB


class TableChange(t.NamedTuple):
    """The end of the partition afterwards, and (offset, data) to write, in this order.

    All in bytes. Each write is made durable before the next: whatever is cut off, one valid table
    is there, the old one or the new one. Writes that would change nothing are left out.
    """

    end: int
    writes: list[tuple[int, bytes]]


def _change(device: BlockDevice, end: int, writes: list[tuple[int, bytes]]) -> TableChange:
    new = [(at, data) for at, data in writes if read(device, at, len(data)) != data]
    return TableChange(end, new)


def _aligned(end: int) -> int:
    return end // ALIGNMENT * ALIGNMENT


def grow_mbr(device: BlockDevice, number: int) -> TableChange:
    """For a primary partition: one sector, so it is written as a whole or not at all."""
    sector = read(device, 0, _SECTOR)
    place = _ENTRIES[number - 1]
    start, sectors = struct.unpack_from("<II", sector, place + 8)
    end = max(start + sectors, min(_aligned(device.size) // _SECTOR, start + _MBR_LIMIT))
    _set_sectors(sector, place, end - start)
    return _change(device, end * _SECTOR, [(0, bytes(sector))])


def grow_logical(device: BlockDevice, number: int) -> TableChange:
    """For a logical partition: first what contains it, so that it never reaches out of that.

    Raises InvalidRequest where there is not exactly one extended partition, CorruptDisk.
    """
    mbr = read(device, 0, _SECTOR)
    outer = [place for place in _ENTRIES if mbr[place + 4] in EXTENDED]
    if len(outer) != 1:
        raise InvalidRequest(
            f"partition {number} cannot grow: there is not exactly one extended partition",
            found=f"{len(outer)} of them",
        )
    (first,) = struct.unpack_from("<I", mbr, outer[0] + 8)
    end = min(_aligned(device.size) // _SECTOR, first + _MBR_LIMIT)
    tables = _logical_tables(device, first, number)
    at, table = tables[-1]
    place = next(at for at in _ENTRIES if table[at + 12 : at + 16] != bytes(4))
    start, sectors = struct.unpack_from("<II", table, place + 8)
    end = max(end, at + start + sectors)
    _set_sectors(mbr, outer[0], end - first)
    _set_sectors(table, place, end - at - start)
    writes = [(0, bytes(mbr))]
    if len(tables) > 1:
        before, link = tables[-2]
        _set_sectors(link, next(at for at in _ENTRIES if link[at + 4] in EXTENDED), end - at)
        writes.append((before * _SECTOR, bytes(link)))
    return _change(device, end * _SECTOR, [*writes, (at * _SECTOR, bytes(table))])


def _logical_tables(device: BlockDevice, first: int, number: int) -> list[tuple[int, bytearray]]:
    """(sector, content) of the tables that lead to a logical partition; its own is the last.

    Raises InvalidRequest for one that is not alone in its table.
    """
    tables: list[tuple[int, bytearray]] = []
    at = first
    for _number in range(5, number + 1):
        table = read(device, at * _SECTOR, _SECTOR)
        used = [
            table[place + 4] for place in _ENTRIES if table[place + 12 : place + 16] != bytes(4)
        ]
        if len([code for code in used if code not in EXTENDED]) != 1 or used[0] in EXTENDED:
            raise InvalidRequest(
                f"partition {number} cannot grow: the table of the logical partitions is unusual",
                path=getattr(device, "name", None),
                found=f"types {used} in sector {at}",
            )
        tables.append((at, table))
        links = [place for place in _ENTRIES if table[place + 4] in EXTENDED]
        at = first + struct.unpack_from("<I", table, links[0] + 8)[0] if links else at
    return tables


def _set_sectors(table: bytearray, place: int, sectors: int) -> None:
    """Make an entry that long, unless it is longer."""
    if sectors > struct.unpack_from("<I", table, place + 12)[0]:
        struct.pack_into("<I", table, place + 12, sectors)
        table[place + 5 : place + 8] = _BEYOND_CHS


class _Gpt(t.NamedTuple):
    sector: int  # bytes
    fields: tuple[t.Any, ...]
    table: bytearray
    is_primary: bool


def grow_gpt(device: BlockDevice, number: int) -> TableChange:
    """The backup first, at the new end; then the primary table, its header, the protective MBR.

    Raises CorruptDisk, InvalidRequest.
    """
    found = _load(device)
    sector, fields, table = found.sector, list(found.fields), found.table
    last = device.size // sector - 1
    table_sectors = -(-len(table) // sector)
    backup_table = last - table_sectors
    _require_free(device, found, backup_table)
    end = _extend(table, number, fields[12], sector, _aligned(backup_table * sector))
    fields[8], fields[13] = backup_table - 1, zlib.crc32(table)
    primary_table = fields[10] if found.is_primary else 2
    padded = bytes(table).ljust(table_sectors * sector, b"\0")
    backup = _change(
        device,
        end,
        [(backup_table * sector, padded + _header(fields, last, 1, backup_table, sector))],
    )
    if backup.writes and not found.is_primary:
        raise CorruptDisk(
            "the primary partition table is damaged, and the backup would have to be changed",
            path=getattr(device, "name", None),
            hint="Repair the table first (gdisk, recovery menu).",
        )
    primary = [
        (primary_table * sector, bytes(table)),
        (sector, _header(fields, 1, last, primary_table, sector)),
        (0, _protective(device, last)),
    ]
    return TableChange(end, backup.writes + _change(device, end, primary).writes)


def _load(device: BlockDevice) -> _Gpt:
    """By the primary header, else by the one at the end."""
    for sector in _SECTOR_SIZES:
        for lba in (1, device.size // sector - 1):
            found = _parse(device, sector, lba)
            if found is not None:
                return found
    raise CorruptDisk("no partition table header is sound", path=getattr(device, "name", None))


def _parse(device: BlockDevice, sector: int, lba: int) -> _Gpt | None:
    if lba < 1 or (lba + 1) * sector > device.size:
        return None
    raw = bytes(read(device, lba * sector, sector))
    fields = _HEADER.unpack_from(raw)
    if fields[0] != b"EFI PART" or fields[5] != lba or not 92 <= fields[2] <= sector:
        return None
    if zlib.crc32(raw[:16] + bytes(4) + raw[20 : fields[2]]) != fields[3]:
        return None
    place, count, size = fields[10:13]
    if count * size > _TABLE_LIMIT or size < 128 or place * sector + count * size > device.size:
        return None
    table = read(device, place * sector, count * size)
    if zlib.crc32(table) != fields[13]:
        return None
    return _Gpt(sector, fields, table, lba == 1)


def _header(fields: list[t.Any], here: int, other: int, table: int, sector: int) -> bytes:
    """One sector: the same header for one of its two places."""
    new = [*fields[:2], _HEADER.size, 0, 0, here, other, *fields[7:10], table, *fields[11:]]
    new[3] = zlib.crc32(_HEADER.pack(*new))
    return _HEADER.pack(*new).ljust(sector, b"\0")


def _require_free(device: BlockDevice, found: _Gpt, backup_table: int) -> None:
    """Nothing may lie where the backup goes."""
    size = found.fields[12]
    for at in range(0, len(found.table), size):
        if any(found.table[at : at + 16]):
            (last,) = struct.unpack_from("<Q", found.table, at + 40)
            if last >= backup_table:
                raise InvalidRequest(
                    f"partition {at // size + 1} reaches into the end of the disk, where the backup"
                    " of the partition table belongs",
                    path=getattr(device, "name", None),
                )


def _extend(table: bytearray, number: int, entry_size: int, sector: int, end: int) -> int:
    """Let an entry end at a byte of the disk, unless it ends there or behind; where it ends."""
    place = (number - 1) * entry_size + 40
    (last,) = struct.unpack_from("<Q", table, place)
    last = max(last, end // sector - 1)
    struct.pack_into("<Q", table, place, last)
    return int(last + 1) * sector


def _protective(device: BlockDevice, last: int) -> bytes:
    """The MBR that covers the whole disk, if it is nothing but that (a hybrid one stays)."""
    block = read(device, 0, _SECTOR)
    codes = [block[446 + 16 * index + 4] for index in range(4)]
    if sorted(codes) == [0, 0, 0, PROTECTIVE]:
        place = 446 + 16 * codes.index(PROTECTIVE)
        struct.pack_into("<I", block, place + 12, min(last, _MBR_LIMIT))
    return bytes(block)
