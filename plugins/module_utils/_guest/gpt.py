# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""GUID partition tables (UEFI specification, chapter 5)."""

from __future__ import annotations

import struct
import typing as t
import uuid
import zlib

from .._device.device import read
from .._device.errors import CorruptDisk
from .parttypes import gpt_type_name

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice

_SECTOR_SIZES = (512, 4096)
_TABLE_LIMIT = 4 << 20  # bytes; the usual table has 16 KiB
_MOST = 256  # partitions, as Linux has it (DISK_MAX_PARTS)
_HEADER = struct.Struct("<8s4sII4xQQQQ16sQIII")  # 5.3.2


class Entry(t.NamedTuple):
    """A used entry; start and size in bytes."""

    number: int
    type_id: str
    type: str
    name: str | None
    uuid: str
    start: int
    size: int


class _Header(t.NamedTuple):
    sector: int
    table: int  # sector number
    entries: int
    entry_size: int
    table_crc: int


class _Bad(Exception):
    """Why a header is not to be believed."""


def read_entries(device: BlockDevice) -> list[Entry]:
    """By the primary header, else by the backup one. Raises CorruptDisk when both are bad."""
    reasons = []
    for sector in _SECTOR_SIZES:
        for which, lba in (("primary", 1), ("backup", device.size // sector - 1)):
            try:
                return _few(_read_table(device, sector, lba), device)
            except _Bad as bad:
                reasons.append(f"{which} header at byte {lba * sector}: {bad}")
    raise CorruptDisk(
        "the partition table says GPT, but no header is sound",
        path=getattr(device, "name", None),
        found="; ".join(reasons[:2]),
        hint="Repair a copy of the disk with gdisk (recovery menu), or restore it.",
    )


def _few(entries: list[Entry], device: BlockDevice) -> list[Entry]:
    if len(entries) > _MOST:
        raise CorruptDisk(
            "the partition table has more partitions than Linux can name",
            path=getattr(device, "name", None),
            found=len(entries),
            expected=f"at most {_MOST}",
            hint="Nobody makes such a table by accident: be careful with this disk.",
        )
    return entries


def _read_table(device: BlockDevice, sector: int, lba: int) -> list[Entry]:
    header = _read_header(device, sector, lba)
    length = header.entries * header.entry_size
    if length > _TABLE_LIMIT or (header.table * sector) + length > device.size:
        raise _Bad(f"a table of {length} bytes at sector {header.table}")
    table = bytes(read(device, header.table * sector, length))
    if zlib.crc32(table) != header.table_crc:
        raise _Bad("the table's checksum does not fit")
    return _parse(table, header, device.size)


def _read_header(device: BlockDevice, sector: int, lba: int) -> _Header:
    if lba < 1 or (lba + 1) * sector > device.size:
        raise _Bad("it lies outside the disk")
    raw = bytes(read(device, lba * sector, sector))
    fields = _HEADER.unpack_from(raw)
    magic, _revision, length, crc, here = fields[:5]
    if magic != b"EFI PART":
        raise _Bad("no EFI PART signature")
    if not 92 <= length <= sector:
        raise _Bad(f"a header of {length} bytes")
    if zlib.crc32(raw[:16] + bytes(4) + raw[20:length]) != crc:
        raise _Bad("its checksum does not fit")
    if here != lba:
        raise _Bad(f"it says it is at sector {here}")
    table, count, entry_size, table_crc = fields[9:]
    if entry_size < 128 or entry_size & (entry_size - 1):
        raise _Bad(f"entries of {entry_size} bytes")
    return _Header(sector, table, count, entry_size, table_crc)


def _parse(table: bytes, header: _Header, limit: int) -> list[Entry]:
    entries = []
    for index in range(header.entries):
        raw = table[index * header.entry_size : (index + 1) * header.entry_size]
        first, last = struct.unpack_from("<QQ", raw, 32)
        start, size = first * header.sector, (last - first + 1) * header.sector
        if any(raw[:16]) and size > 0 and start < limit:
            type_id = str(uuid.UUID(bytes_le=raw[:16]))
            name = raw[56:128].decode("utf-16-le", "replace").split("\0")[0] or None
            part_uuid = str(uuid.UUID(bytes_le=raw[16:32]))
            entry = Entry(index + 1, type_id, gpt_type_name(type_id), name, part_uuid, start, size)
            entries.append(entry)
    return entries
