# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The redo log of ESXi on VMFS (COWD, vmfsSparse): read and written in place (TN p.10-11)."""

from __future__ import annotations

import dataclasses
import struct
import typing as t

from ..._device.errors import CorruptDisk, NotADisk, TruncatedDisk, UnsupportedDisk
from .grained import ZEROED
from .header import SECTOR
from .sparse import GrainedExtent
from .tables import little_endian

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice
    from ..._device.files import File

MAGIC = b"COWD"
HEADER_BYTES = 2048
_LAYOUT = struct.Struct("<4sIIIIIII")
_CAPACITY_OFFSET, _FREE_SECTOR_OFFSET = 12, 28
_UNCLEAN_OFFSET = 1648
_MAX_GRAIN = 2048  # sectors: 1 MiB (TN p.11)
# Sectors have 32 bits; this leaves room for the tables of grains of one sector.
MAX_BYTES = (2 << 40) - (32 << 30)
_MAX_DIRECTORY = 1 << 20  # what 2^32 sectors need with grains of one sector


@dataclasses.dataclass(frozen=True)
class CowdHeader:
    """The fields that matter; sizes and places are in sectors."""

    header_sectors: t.ClassVar[int] = HEADER_BYTES // SECTOR
    gtes_per_gt: t.ClassVar[int] = 4096
    rgd_offset: t.ClassVar[int] = 0
    has_redundant_tables: t.ClassVar[bool] = False
    has_zeroed_grains: t.ClassVar[bool] = False  # none that we might write: qemu knows none

    capacity: int
    grain_size: int
    gd_offset: int
    directory_entries: int
    free_sector: int
    unclean: bool

    @classmethod
    def parse(cls, block: bytes | bytearray, path: str) -> CowdHeader:
        """Read and validate the first 2048 bytes. Raises NotADisk, CorruptDisk, UnsupportedDisk."""
        if len(block) < HEADER_BYTES or not block.startswith(MAGIC):
            raise NotADisk("is not a COWD extent", path=path, found=bytes(block[:4]))
        _magic, version, _flags, capacity, grain, gd, entries, free = _LAYOUT.unpack_from(block)
        if version != 1:
            raise UnsupportedDisk(
                "unknown version of COWD", path=path, offset=4, found=version, expected=1
            )
        header = cls(capacity, grain, gd, entries, free, bool(block[_UNCLEAN_OFFSET]))
        header._check(path)
        return header

    def _check(self, path: str) -> None:
        """Refuse what no sane writer makes, before anything is allocated for it."""
        grain = self.grain_size
        if not 1 <= grain <= _MAX_GRAIN or grain & (grain - 1):
            raise CorruptDisk(
                "impossible grain size",
                path=path,
                offset=16,
                found=grain,
                expected=f"a power of two up to {_MAX_GRAIN} sectors",
            )
        if self.gd_offset < self.header_sectors:
            raise CorruptDisk(
                "the grain directory lies in the header", path=path, offset=20, found=self.gd_offset
            )
        if not 1 <= self.directory_entries <= _MAX_DIRECTORY:
            raise CorruptDisk(
                "impossible length of the grain directory",
                path=path,
                offset=24,
                found=self.directory_entries,
            )

    @property
    def coverage(self) -> int:
        """Sectors of disk that the directory can describe; the capacity is often rounded."""
        return self.directory_entries * self.gtes_per_gt * self.grain_size


class CowdExtent(GrainedExtent):
    """One COWD file. Tables are made when their first grain is: most are not there at first."""

    unclean_offset = _UNCLEAN_OFFSET

    def __init__(
        self,
        file: File,
        header: CowdHeader,
        *,
        size: int | None = None,
        parent: BlockDevice | None = None,
        inherits: bool = False,
    ) -> None:
        """`size` in bytes is that of the descriptor, which counts.

        Raises TruncatedDisk where the directory does not lie in the file, CorruptDisk where it
        cannot describe the whole extent.
        """
        super().__init__(file, header, size=size, parent=parent, inherits=inherits)
        self.header = header
        self._zeroed: str | None = None
        if self.size > header.coverage * SECTOR:
            raise CorruptDisk(
                "descriptor and extent disagree about the size",
                path=file.path,
                found=f"a directory for {header.coverage} sectors",
                expected=f"{self.size // SECTOR} sectors",
                hint="Restore descriptor and extent from the same good copy.",
            )

    def grow(self, capacity: int) -> None:
        """Let header and directory describe `capacity` sectors. Then it is to be opened anew.

        A directory that outgrows its sectors moves to the end of the file; gdOffset is there for
        that (TN p.10), and qemu and libvmdk go by it. What is new has no tables yet. The header's
        first sector leads to the old directory or to the new one.
        """
        header = self.header
        entries = max(
            header.directory_entries, -(-capacity // (header.gtes_per_gt * header.grain_size))
        )
        place = header.gd_offset
        self._require_whole()
        (directory,) = self.tables.directories()
        needed = _directory_sectors(entries)
        if needed > _directory_sectors(header.directory_entries):
            place = self._space.take(needed)
        self.file.write(place * SECTOR, little_endian(directory).ljust(needed * SECTOR, b"\0"))
        self.file.flush()
        fields = (max(capacity, header.capacity), header.grain_size, place, entries)
        self.file.write(_CAPACITY_OFFSET, struct.pack("<5I", *fields, self._end()))
        self.file.flush()

    @property
    def flags(self) -> list[str]:
        return [*super().flags, *([self._zeroed] if self._zeroed else [])]

    def _check_entry(self, entry: int, grain: int, count: int) -> None:
        if entry == ZEROED:  # XO knows it as zeros; sector 1 is in the header, never data
            self._zeroed = f"{self.name}: table entries of 1 were taken for zeros"
        elif entry < self.header.header_sectors:
            raise CorruptDisk(
                f"the table entry of grain {grain} points into the header",
                path=self.name,
                found=entry,
                hint="Restore the file from a good copy.",
            )
        else:
            super()._check_entry(entry, grain, count)

    def _require_whole(self) -> None:
        if self.header.free_sector > self._space.end:
            raise TruncatedDisk(
                "the file is shorter than its header says, so nothing can be added to it",
                path=self.name,
                offset=_FREE_SECTOR_OFFSET,
                found=f"{self._space.end} sectors",
                expected=f"{self.header.free_sector} sectors",
                hint="Restore the file from a good copy.",
            )

    def _begin(self) -> None:
        if not self._written:
            self._require_whole()
        super()._begin()

    def _end(self) -> int:
        """Sectors of the file: there is nothing behind it."""
        return max(self._space.end, -(-self.file.size // SECTOR))

    def _write_back(self) -> None:
        """freeSector last: ESXi would put the next grain there (TN p.11)."""
        super()._write_back()
        self.file.write(_FREE_SECTOR_OFFSET, struct.pack("<I", self._end()))


def _directory_sectors(entries: int) -> int:
    return -(-4 * entries // SECTOR)
