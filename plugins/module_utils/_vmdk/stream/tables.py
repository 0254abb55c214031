# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where the grains of a stream are: its grain directory and grain tables."""

from __future__ import annotations

import sys
import typing as t
from array import array

from ..._device.errors import TruncatedDisk
from ..._device.recent import Recent
from ..extents.header import SECTOR

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.files import File
    from ..extents.header import SparseHeader

_TABLES_HELD = 256  # 2 KiB each, of 32 MiB of disk each
_ENTRY = 4


class StreamTables:
    """The directory is held as a whole, tables are read when asked for and the last ones held."""

    def __init__(self, file: File, header: SparseHeader) -> None:
        """Raises TruncatedDisk where the directory, or a table it names, is not in the file."""
        self._file = file
        self._sectors = -(-file.size // SECTOR)
        self._grains = header.grains
        self._per_table = header.gtes_per_gt
        self._zero_entry = 1 if header.has_zeroed_grains else 0  # GDE 1: a table of zeros (LY)
        self._directory = self._load(header.gd_offset, header.directory_entries, "grain directory")
        self._check(self._directory, header.gd_offset, "grain table")
        self._tables: Recent[int, array[int]] = Recent(_TABLES_HELD)

    @property
    def is_empty(self) -> bool:
        """The directory names no table at all."""
        return not any(self._directory)

    def entries(self, grain: int, count: int) -> array[int]:
        """The table entries of `count` grains: sectors of the file, or 0, or 1 (TN p.9)."""
        index, start = divmod(grain, self._per_table)
        found = self._table(index)[start : start + count]
        while len(found) < count:
            index += 1
            found.extend(self._table(index)[: count - len(found)])
        return found

    def walk(self, first: int, stop: int) -> Iterator[tuple[int, array[int]]]:
        """(grain, entries) for each table between two grains."""
        while first < stop:
            count = min(self._per_table - first % self._per_table, stop - first)
            yield first, self.entries(first, count)
            first += count

    def _table(self, index: int) -> array[int]:
        return self._tables.get(index, self._load_table)

    def _load_table(self, index: int) -> array[int]:
        # Entries beyond the capacity mean nothing; some writers leave rubbish there (LY).
        length = min(self._per_table, self._grains - index * self._per_table)
        sector = self._directory[index]
        if sector <= self._zero_entry:
            return array("I", (sector,)) * length
        table = self._load(sector, length, "grain table")
        self._check(table, sector, "grain")
        return table

    def _load(self, sector: int, length: int, what: str) -> array[int]:
        """Memory is taken only for what is there: the size is checked first."""
        if sector * SECTOR + length * _ENTRY > self._file.size:
            raise TruncatedDisk(
                f"the file ends before its {what} does",
                path=self._file.path,
                offset=sector * SECTOR,
                found=f"a file of {self._file.size} bytes",
                expected=f"{length * _ENTRY} bytes there",
                hint="Copy or download it again.",
            )
        entries = array("I", bytes(self._file.read(sector * SECTOR, length * _ENTRY)))
        if sys.byteorder == "big":
            entries.byteswap()
        return entries

    def _check(self, entries: array[int], sector: int, what: str) -> None:
        """Every entry points into the file."""
        largest = max(entries, default=0)
        if largest >= self._sectors:
            raise TruncatedDisk(
                f"a {what} lies behind the end of the file",
                path=self._file.path,
                offset=sector * SECTOR + entries.index(largest) * _ENTRY,
                found=f"sector {largest}",
                expected=f"a sector below {self._sectors}",
                hint="It was cut short or its tables are damaged: copy or download it again.",
            )
