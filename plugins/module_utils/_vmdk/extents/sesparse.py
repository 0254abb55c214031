# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The redo log of ESXi on VMFS 6 (seSparse), for reading.

VMware has published nothing; the layout is what qemu, XO and dissect read. Whether the free
bitmap and the back map may be left as they are is not known, so nothing is ever written.
"""

from __future__ import annotations

import dataclasses
import struct
import sys
import typing as t
from array import array

from ..._device.errors import CorruptDisk, NotADisk, TruncatedDisk, UnsupportedDisk
from ..._device.recent import Recent
from .grained import NOTHING, ZEROED, GrainedDevice
from .header import SECTOR

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import BlockDevice
    from ..._device.files import File

MAGIC = 0xCAFEBABE
MAGIC_BYTES = struct.pack("<Q", MAGIC)
_VOLATILE_MAGIC = 0xCAFECAFE
_VERSION = 0x2_0000_0001
_CONST = struct.Struct("<QQQQQQ32x16Q")
_VOLATILE = struct.Struct("<QQQQ")
_ENTRY = 8
_MAX_GRAIN = 2048  # sectors; all known files have 8
_MAX_TABLE = 1024  # sectors; all known files have 64
_MAX_CAPACITY = 1 << 38  # sectors: 128 TiB, and VMFS ends at 64
_MAX_SECTOR = 1 << 54  # so that bytes fit a signed 64-bit offset

_TABLE_TAG = 0x10000000  # high half of a directory entry that names a table
_UNALLOCATED, _UNMAPPED, _ZERO, _ALLOCATED = range(4)  # top four bits of a table entry
_LOW_48 = (1 << 48) - 1
_PAGE = 512  # directory entries that are read together
_HELD = 64  # tables of 32 KiB, and pages of the directory


@dataclasses.dataclass(frozen=True)
class SeSparseHeader:
    """The constant header; sizes and places are in sectors."""

    header_sectors: t.ClassVar[int] = 1
    has_zeroed_grains: t.ClassVar[bool] = True
    has_redundant_tables: t.ClassVar[bool] = False
    rgd_offset: t.ClassVar[int] = 0
    unclean: t.ClassVar[bool] = False  # else it is refused

    capacity: int
    grain_size: int
    table_sectors: int
    volatile_offset: int
    gd_offset: int
    gd_size: int
    tables_offset: int
    tables_size: int
    grains_offset: int
    grains_size: int

    @classmethod
    def parse(cls, block: bytes | bytearray, path: str) -> SeSparseHeader:
        """Read and validate the first 512 bytes. Raises NotADisk, CorruptDisk, UnsupportedDisk."""
        if len(block) < SECTOR or not block.startswith(MAGIC_BYTES):
            raise NotADisk("is not a seSparse extent", path=path, found=bytes(block[:8]))
        _magic, version, capacity, grain, table, flags, *places = _CONST.unpack_from(block)
        if version != _VERSION or flags:
            raise UnsupportedDisk(
                "unknown version of seSparse",
                path=path,
                offset=8,
                found=f"{version:#x}, flags {flags:#x}",
                expected=f"{_VERSION:#x}, flags 0",
            )
        header = cls(capacity, grain, table, places[0], *places[6:10], *places[14:16])
        header._check(path)
        return header

    def _check(self, path: str) -> None:
        for name, value, most, offset in (
            ("grain size", self.grain_size, _MAX_GRAIN, 24),
            ("size of a grain table", self.table_sectors, _MAX_TABLE, 32),
        ):
            if not 1 <= value <= most or value & (value - 1):
                raise CorruptDisk(f"impossible {name}", path=path, offset=offset, found=value)
        for name, value, most, offset in (
            ("capacity", self.capacity, _MAX_CAPACITY, 16),
            ("place of the grains", self.grains_offset, _MAX_SECTOR, 192),
        ):
            if value > most:
                raise CorruptDisk(f"impossible {name}", path=path, offset=offset, found=value)
        if self.directory_entries * _ENTRY > self.gd_size * SECTOR:
            raise CorruptDisk(
                "the grain directory is too small for the capacity",
                path=path,
                offset=136,
                found=f"{self.gd_size} sectors",
                expected=f"{self.directory_entries} entries",
            )

    @property
    def gtes_per_gt(self) -> int:
        return self.table_sectors * SECTOR // _ENTRY

    @property
    def directory_entries(self) -> int:
        return -(-self.capacity // (self.gtes_per_gt * self.grain_size))


def check_clean(file: File, header: SeSparseHeader) -> None:
    """Raises UnsupportedDisk where a journal waits to be replayed, CorruptDisk."""
    offset = header.volatile_offset * SECTOR
    magic, _free, _sequence, replay = _VOLATILE.unpack(file.read(offset, _VOLATILE.size))
    if magic != _VOLATILE_MAGIC:
        raise CorruptDisk(
            "the volatile header is damaged",
            path=file.path,
            offset=offset,
            found=f"{magic:#x}",
            expected=f"{_VOLATILE_MAGIC:#x}",
        )
    if replay:
        raise UnsupportedDisk(
            "has a journal that only ESXi can replay: it was in use when it was copied, or its "
            "host crashed",
            path=file.path,
            offset=offset + 24,
            found=f"replayJournal {replay}",
            hint="Power the VM on and off on its host, or clone the disk there; then copy again.",
        )


class SeSparseExtent(GrainedDevice):
    """One seSparse file. Read-only; for parent and inherits see GrainedDevice."""

    def __init__(
        self,
        file: File,
        header: SeSparseHeader,
        *,
        size: int | None = None,
        parent: BlockDevice | None = None,
        inherits: bool = False,
    ) -> None:
        """Raises UnsupportedDisk, CorruptDisk, TruncatedDisk."""
        check_clean(file, header)
        super().__init__(file, header, _Tables(file, header), size, parent, inherits)
        self.header = header


class _Tables:
    """Entries as other extents have them: 0 nothing, 1 zeros, else the sector of the grain."""

    def __init__(self, file: File, header: SeSparseHeader) -> None:
        self.flags: list[str] = []
        self._file, self._header = file, header
        self._length = header.gtes_per_gt
        self._nothing = array("Q", bytes(_ENTRY * self._length))
        self._pages: Recent[int, array[int]] = Recent(_HELD)
        self._tables: Recent[int, array[int]] = Recent(_HELD)

    def slices(self, first: int, last: int) -> Iterator[tuple[int, array[int], bool]]:
        while first < last:
            index, start = divmod(first, self._length)
            table = self._tables.get(index, self._load_table)
            stop = min(last - index * self._length, self._length)
            yield first, table[start:stop], table is self._nothing
            first = index * self._length + stop

    def _load_table(self, index: int) -> array[int]:
        number, place = divmod(index, _PAGE)
        entry = self._pages.get(number, self._load_page)[place]
        if entry == 0:
            return self._nothing
        if entry >> 32 != _TABLE_TAG:
            raise self._corrupt("directory entry", index, entry)
        header = self._header
        sector = (entry & 0xFFFFFFFF) * header.table_sectors
        if sector + header.table_sectors > header.tables_size:
            raise self._corrupt("directory entry", index, entry)
        start = (header.tables_offset + sector) * SECTOR
        table = self._load(start, header.table_sectors * SECTOR)
        if not any(table):
            return self._nothing
        return array("Q", [self._place(entry) for entry in table])

    def _load_page(self, number: int) -> array[int]:
        first = number * _PAGE
        count = min(_PAGE, self._header.directory_entries - first)
        return self._load(self._header.gd_offset * SECTOR + first * _ENTRY, count * _ENTRY)

    def _load(self, start: int, length: int) -> array[int]:
        """Holes of the file are not read. Raises TruncatedDisk."""
        if start + length > self._file.size:
            raise TruncatedDisk(
                "the file ends before its grain tables do",
                path=self._file.path,
                offset=start,
                found=f"a file of {self._file.size} bytes",
                hint="Restore the file from a good copy.",
            )
        if self._file.end_of_hole(start, start + length) == start + length:
            return array("Q", bytes(length))
        entries = array("Q", bytes(self._file.read(start, length)))
        if sys.byteorder == "big":
            entries.byteswap()
        return entries

    def _place(self, entry: int) -> int:
        """What the guest has unmapped reads as zeros, as in qemu. dissect shows the parent there,
        which would bring back what the guest has thrown away."""
        kind = entry >> 60
        if kind == _UNALLOCATED:
            return NOTHING
        if kind in (_UNMAPPED, _ZERO):
            return ZEROED
        header = self._header
        index = (entry >> 48 & 0xFFF) | (entry & _LOW_48) << 12
        sector = index * header.grain_size
        if kind != _ALLOCATED or sector + header.grain_size > header.grains_size:
            raise self._corrupt("table entry", None, entry)
        return header.grains_offset + sector

    def _corrupt(self, what: str, index: int | None, entry: int) -> CorruptDisk:
        which = "" if index is None else f" {index}"
        return CorruptDisk(
            f"{what}{which} makes no sense",
            path=self._file.path,
            found=f"{entry:#018x}",
            hint="Restore the file from a good copy.",
        )
