# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One copy of the directory and tables of a sparse extent, read as far as it can be read."""

from __future__ import annotations

import typing as t

from ..extents.header import SECTOR
from ..extents.layout import directory_sectors, table_sectors
from ..extents.tables import entries_of

if t.TYPE_CHECKING:
    from array import array

    from ..._device.files import File
    from ..extents.header import SparseHeader

MAX_DIRECTORY = 1 << 24  # entries, 64 MiB; a file of holes may promise any length
_AHEAD = 128 << 10  # bytes of tables read at once


class TableCopy:
    """The primary or the redundant one. A place is a sector of the file; 0 is none."""

    def __init__(self, file: File, header: SparseHeader, sector: int, name: str) -> None:
        """`sector`: where the directory begins."""
        self.name, self.sector = name, sector
        self._file = file
        self._sectors = file.size // SECTOR
        self._entries = header.directory_entries
        self._overhead = header.overhead
        self.directory_sectors = directory_sectors(header)
        self.table_sectors = table_sectors(header)
        self.directory = self._read_directory()
        self._window = (0, b"")

    def _read_directory(self) -> array[int] | None:
        """None where it lies outside of the file."""
        length = 4 * self._entries
        if self.sector == 0 or self.sector * SECTOR + length > self._file.size:
            return None
        return entries_of(self._file.read(self.sector * SECTOR, length))

    @property
    def is_zeroed(self) -> bool:
        return self.directory is not None and not any(self.directory)

    @property
    def is_credible(self) -> bool:
        """Whether it looks like a directory at all: most of what it names is in the file."""
        named = [place for place in self.directory or () if place]
        return 2 * sum(map(self.is_in_file, named)) > len(named)

    def place(self, table: int) -> int:
        """Where the directory says that the table is."""
        return 0 if self.directory is None else self.directory[table]

    def usual_place(self, table: int) -> int:
        """Where VMware, qemu and we put it: all of them behind the directory, in order."""
        return self.sector + self.directory_sectors + table * self.table_sectors

    def is_in_file(self, place: int) -> bool:
        return 0 < place <= self._sectors - self.table_sectors

    def table(self, number: int) -> array[int] | None:
        """Its entries; None where the directory leads to no table."""
        place = self.place(number)
        return self.table_at(place) if self.is_in_file(place) else None

    def lost_table(self, number: int) -> array[int] | None:
        """The table at its usual place, where all tables lie before the grains."""
        end = self.usual_place(self._entries)
        if self.directory is None or end > self._overhead:
            return None
        usual = self.usual_place(number)
        return self.table_at(usual) if self.is_in_file(usual) else None

    def table_at(self, place: int) -> array[int]:
        """The entries that lie at a place of the file."""
        offset, length = place * SECTOR, self.table_sectors * SECTOR
        start, data = self._window
        if not start <= offset <= start + len(data) - length:
            start, data = offset, self._read(offset, length)
            self._window = (start, data)
        return entries_of(bytearray(data[offset - start : offset - start + length]))

    def _read(self, offset: int, length: int) -> bytes:
        end = max(offset + length, min(offset + _AHEAD, self._file.size))
        if self._file.end_of_hole(offset, end) == end:
            return bytes(end - offset)
        return bytes(self._file.read(offset, end - offset))
