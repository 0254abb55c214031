# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Partition tables: MBR with logical partitions, and GPT."""

from __future__ import annotations

import struct
import typing as t

from .._device.device import read
from . import gpt
from .filesystems import identify
from .parttypes import EXTENDED, PROTECTIVE, mbr_type_name

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .._device.device import BlockDevice

LVM, LUKS = "lvm", "luks"  # the schemes of logical volumes and of what was unlocked
SECTOR = 512  # an MBR counts in these; disks of 4096-byte sectors carry a GPT
_LOGICAL_LIMIT = 128  # a chain of logical partitions is not followed further
_BOOT_SECTORS = ("vfat", "exfat", "ntfs")  # end with the signature of an MBR, but are none


class Partition(t.NamedTuple):
    """One partition; start and size are bytes, clipped to the disk. The whole disk is number 0.

    So is what goes by its name: logical volumes, `group/volume`, and what is inside of LUKS.
    """

    number: int
    scheme: str  # mbr, gpt, lvm, luks, or none for a disk without a table
    type_id: str  # 0x83, or a GUID
    type: str
    name: str | None
    uuid: str | None
    start: int
    size: int

    @property
    def extended(self) -> bool:
        """Whether it is only there to hold logical partitions."""
        return self.scheme == "mbr" and int(self.type_id, 16) in EXTENDED


class _Entry(t.NamedTuple):
    status: int
    code: int
    start: int
    sectors: int


def list_partitions(device: BlockDevice) -> list[Partition]:
    """The partitions of a disk; none where it has no table. Raises CorruptDisk."""
    if device.size < SECTOR:
        return []
    sector = read(device, 0, SECTOR)
    if not _is_table(sector):
        return []
    entries = _entries(sector)
    if any(entry.code == PROTECTIVE for entry in entries):
        return [_from_gpt(entry, device.size) for entry in gpt.read_entries(device)]
    found = identify(device)
    if found is not None and found.kind in _BOOT_SECTORS:
        return []
    return list(_read_mbr(device, sector, entries))


def _is_table(sector: bytearray) -> bool:
    """Signature, and status bytes as they can only be (the boot code of a volume differs)."""
    entries = _entries(sector)
    return (
        sector[510:] == b"\x55\xaa"
        and all(entry.status & 0x7F == 0 for entry in entries)
        and any(entry.code and entry.sectors for entry in entries)
    )


def _entries(sector: bytearray) -> list[_Entry]:
    table = [struct.unpack_from("<B3xB3xII", sector, 446 + 16 * index) for index in range(4)]
    return [_Entry(*fields) for fields in table]


def _read_mbr(device: BlockDevice, sector: bytearray, table: list[_Entry]) -> Iterator[Partition]:
    signature = struct.unpack_from("<I", sector, 440)[0]
    logical = _LogicalChain(device)
    for number, entry in enumerate(table, 1):
        yield from _from_mbr(number, signature, entry, entry.start, device.size)
    for entry in table:
        if entry.code in EXTENDED:
            for number, part in logical.follow(entry.start):
                yield from _from_mbr(number, signature, part, part.start, device.size)


def _from_mbr(
    number: int, signature: int, entry: _Entry, start: int, limit: int
) -> Iterator[Partition]:
    first = start * SECTOR
    size = min(entry.sectors * SECTOR, limit - first)
    if entry.code and size > 0:
        name = mbr_type_name(entry.code)
        part_uuid = f"{signature:08x}-{number:02x}"
        yield Partition(number, "mbr", f"0x{entry.code:02x}", name, None, part_uuid, first, size)


class _LogicalChain:
    """Logical partitions: each table holds one, relative to itself, and the way to the next."""

    def __init__(self, device: BlockDevice) -> None:
        self.device = device
        self.number = 5  # 1 to 4 are the primary ones, used or not
        self.seen: set[int] = set()

    def follow(self, first: int) -> Iterator[tuple[int, _Entry]]:
        at = first
        while at not in self.seen and len(self.seen) < _LOGICAL_LIMIT:
            self.seen.add(at)
            if (at + 1) * SECTOR > self.device.size:
                return
            sector = read(self.device, at * SECTOR, SECTOR)
            if sector[510:] != b"\x55\xaa":
                return
            table = _entries(sector)
            for entry in table:
                if entry.code and entry.sectors and entry.code not in EXTENDED:
                    yield self.number, entry._replace(start=at + entry.start)
                    self.number += 1
            links = [e for e in table if e.code in EXTENDED and e.sectors]
            if not links:
                return
            at = first + links[0].start


def _from_gpt(entry: gpt.Entry, limit: int) -> Partition:
    size = min(entry.size, limit - entry.start)
    return Partition(
        entry.number, "gpt", entry.type_id, entry.type, entry.name, entry.uuid, entry.start, size
    )
