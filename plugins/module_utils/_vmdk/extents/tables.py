# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Grain directory and grain tables of a sparse extent: where each grain lies (TN p.8-11)."""

from __future__ import annotations

import functools
import sys
import threading
import typing as t
from array import array

from ..._device.errors import CorruptDisk, TruncatedDisk, UnsupportedDisk
from ..._device.zeros import is_zero
from .header import GTES_PER_GT, SECTOR
from .places import consecutive
from .table_pair import reconciled

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..._device.files import File
    from .tables_header import TablesHeader

PAGE_TABLES = 16  # tables that are read and kept together: 32 KiB, 512 MiB of disk
_MAX_PAGES = 1024  # kept in memory, of tables of the usual length: 32 MiB
_MAX_DIRTY_PAGES = 256  # changed and not yet written back
_MAX_DIRECTORY = 1 << 24  # entries, 64 MiB: 512 TiB of disk with grains of the usual size
_MAX_SECTORS = 1 << 32  # an entry has 32 bits
_HOLE_TABLES = 1024  # tables that are looked at together where the file has a hole
_HOLE_ENTRIES = 1 << 19


@functools.cache
def _nothing(length: int) -> array[int]:
    """Entries of 0, shared by all disks: never written to."""
    return array("I", bytes(4 * length))


class FileSpace:
    """The end of an extent's file, where everything new goes. Sectors."""

    def __init__(self, file: File) -> None:
        self._file = file
        self.end = -(-file.size // SECTOR)

    def take(self, sectors: int, align: int = 1) -> int:
        """The first sector of a new run. Raises UnsupportedDisk beyond 2 TiB."""
        end = max(self.end, -(-self._file.size // SECTOR))  # a descriptor may have moved there
        start = -(-end // align) * align
        if start + sectors > _MAX_SECTORS:
            raise UnsupportedDisk(
                "the file would grow beyond 2 TiB, which a sparse extent cannot address",
                path=self._file.path,
                hint="Convert the disk to twoGbMaxExtentSparse.",
            )
        self.end = start + sectors
        return start


class GrainTables:
    """Entries by number of the grain: 0 nothing, 1 zeros, else the sector of the grain.

    Reading is safe from many threads; set() and flush() belong to one writer.
    """

    def __init__(self, file: File, header: TablesHeader, space: FileSpace) -> None:
        """Raises TruncatedDisk where neither directory lies within the file."""
        self._file, self._header, self._space = file, header, space
        self._length = header.gtes_per_gt
        self._table_bytes = 4 * self._length
        self._table_sectors = -(-self._table_bytes // SECTOR)
        self._page_grains = PAGE_TABLES * self._length
        self._empty_page = _nothing(PAGE_TABLES * self._length)
        self._grains = -(-header.capacity // header.grain_size)
        self._max_pages = max(2, _MAX_PAGES * GTES_PER_GT // self._length)
        self._pages: dict[int, array[int]] = {}
        self._lock = threading.Lock()
        self._dirty: set[int] = set()  # numbers of tables
        self._directory_changed = False
        self.flags: list[str] = []
        self._primary, self._redundant = self._load_directories()

    # Directories

    def _load_directories(self) -> tuple[array[int], array[int] | None]:
        header = self._header
        if header.directory_entries > _MAX_DIRECTORY:  # a file of holes may promise any length
            raise CorruptDisk("impossible capacity", path=self._file.path, found=header.capacity)
        primary = self._read_directory(header.gd_offset)
        redundant = None
        if header.has_redundant_tables:
            redundant = self._read_directory(header.rgd_offset)
        if primary is None and redundant is None:
            raise TruncatedDisk(
                "the grain directory lies beyond the end of the file",
                path=self._file.path,
                offset=header.gd_offset * SECTOR,
                expected=f"{header.directory_entries} entries",
                hint="Restore the file from a good copy.",
            )
        if redundant is None and header.has_redundant_tables:
            self._flag("the redundant grain directory is unusable")
        if primary is None:
            self._flag("the grain directory is unusable, its redundant copy is used")
            primary = array("I", bytes(4 * header.directory_entries))
        return primary, redundant

    def _read_directory(self, sector: int) -> array[int] | None:
        length = 4 * self._header.directory_entries
        if sector == 0 or sector * SECTOR + length > self._file.size:
            return None
        return entries_of(self._file.read(sector * SECTOR, length))

    def _flag(self, text: str) -> None:
        if text not in self.flags:
            self.flags.append(text)

    # Reading

    def slices(self, first: int, last: int) -> Iterator[tuple[int, array[int], bool]]:
        """(first grain, entries, all of them 0) for grains first..last-1."""
        while first < last:
            number, start = divmod(first, self._page_grains)
            page = self._pages.get(number)
            hole = 0
            if not page and not start and last - first > self._page_grains:
                hole = min(self._hole(number), (last - first) // self._length)
            if hole:
                stop = first + hole * self._length
                for begin in range(first, stop, _HOLE_ENTRIES):
                    yield begin, _nothing(_HOLE_ENTRIES)[: stop - begin], True
                first = stop
                continue
            page = page or self._load(number)
            stop = min(last - number * self._page_grains, self._page_grains)
            yield first, page[start:stop], page is self._empty_page
            first = number * self._page_grains + stop

    def _hole(self, number: int) -> int:
        """Tables from page `number` on that no file stores: whole pages, at most _HOLE_TABLES."""
        first = number * PAGE_TABLES
        tables = _HOLE_TABLES
        for directory in self.directories():
            tables = min(tables, self._tables_in_hole(directory, first, tables))
        pages = tables // PAGE_TABLES
        held = (page for page in range(number, number + pages) if page in self._pages)
        return PAGE_TABLES * (next(held, number + pages) - number)

    def _tables_in_hole(self, directory: array[int], first: int, most: int) -> int:
        """Tables that lie behind each other in a hole of the file, or nowhere at all."""
        places = directory[first : first + most]
        if not places:
            return 0
        start, step = places[0], self._table_sectors
        if start == 0:
            return len(places) if not any(places) else 0
        if not self._is_in_file(start) or not self._is_in_file(places[-1]):
            return 0
        if places[-1] - start != step * (len(places) - 1):
            return 0
        if places != array("I", range(start, start + step * len(places), step)):
            return 0
        end = (places[-1] + step) * SECTOR
        hole = self._file.end_of_hole(start * SECTOR, end) - start * SECTOR
        return hole // self._table_bytes

    def _load(self, number: int) -> array[int]:
        with self._lock:
            page = self._pages.get(number)
            if page is None:
                page = self._read_page(number)
                self._make_room()
                self._pages[number] = page
            return page

    def _make_room(self) -> None:
        """Forget the oldest page that needs no writing back."""
        if len(self._pages) < self._max_pages:
            return
        dirty = {table // PAGE_TABLES for table in self._dirty}
        for number in self._pages:
            if number not in dirty:
                del self._pages[number]
                return

    def _read_page(self, number: int) -> array[int]:
        first = number * PAGE_TABLES
        count = min(PAGE_TABLES, self._header.directory_entries - first)
        primary = self._read_tables(self._primary, first, count)
        if self._is_plainly_empty(primary, first, count):
            return primary
        doubtful = [i for i in range(count) if not self._is_sound(primary, i)]
        spare = self._empty_page
        if self._redundant is not None:
            spare = self._read_tables(self._redundant, first, count)
        for i in doubtful:
            if self._is_sound(spare, i):
                table = spare[i * self._length : (i + 1) * self._length]
                primary = self._with_table(primary, i, table)
                self._flag("a grain table is unusable, its redundant copy is used")
                self._dirty.add(first + i)  # written back to both places, if ever
            elif self._primary[first + i] == 1 and self._header.has_zeroed_grains:
                table = array("I", [1]) * self._length  # a table of zeros (LY)
                primary = self._with_table(primary, i, table)
            else:
                self._check_place(first + i)
        if self._redundant is not None and primary != spare:
            for i in range(count):
                if self._is_in_file(self._redundant[first + i]):
                    primary = self._reconcile(primary, spare, first, i)
                elif self._is_in_file(self._primary[first + i]):
                    self._flag("a grain table has no redundant copy")
        return primary

    def _reconcile(self, page: array[int], spare: array[int], first: int, i: int) -> array[int]:
        """Where both copies of a table are there and differ: what both allow."""
        start, end = i * self._length, (i + 1) * self._length
        stop = min(end, start + self._grains - (first + i) * self._length)
        if page[start:end] == spare[start:end]:
            return page
        page = page[:] if page is self._empty_page else page
        # Rubbish behind the capacity, even of one copy alone: who grows the extent must see it.
        page[stop:end] = array("I", map(max, page[stop:end], spare[stop:end]))
        one, other = page[start:stop], spare[start:stop]
        if one != other:
            self._flag("the two copies of a grain table differ")
            self._dirty.add(first + i)
            page[start:stop] = reconciled(one, other, self._space.end, self._header.unclean)
        return page

    def _is_plainly_empty(self, primary: array[int], first: int, count: int) -> bool:
        """Zeros in both copies, in their proper places: the usual case of a sparse disk."""
        if primary is not self._empty_page:
            return False
        for directory in self.directories():
            places = directory[first : first + count]
            if not self._is_in_file(min(places)) or not self._is_in_file(max(places)):
                return False
        spare = self._redundant
        return spare is None or self._read_tables(spare, first, count) is primary

    def _with_table(self, page: array[int], i: int, table: array[int]) -> array[int]:
        page = page[:] if page is self._empty_page else page
        page[i * self._length : (i + 1) * self._length] = table
        return page

    def _check_place(self, table: int) -> None:
        """A table that should be somewhere and is in no copy is not one of zeros."""
        places = [directory[table] for directory in self.directories()]
        if table in self._dirty or not any(places) or any(map(self._is_in_file, places)):
            return
        raise TruncatedDisk(
            f"grain table {table} does not lie within the file",
            path=self._file.path,
            offset=(self._header.gd_offset + table * 4 // SECTOR) * SECTOR,
            found=f"sector {max(places)}",
            expected=f"0 or a sector up to {self._space.end}",
            hint="Restore the file from a good copy.",
        )

    def _read_tables(self, directory: array[int], first: int, count: int) -> array[int]:
        """`count` tables; zeros where there is none. Holes of the file are not read."""
        buffer: bytearray | None = None
        for index, tables in self._neighbours(directory, first, count):
            start = directory[index] * SECTOR
            end = start + tables * self._table_bytes
            if self._file.end_of_hole(start, end) == end:
                continue
            buffer = buffer or bytearray(PAGE_TABLES * self._table_bytes)
            place = (index - first) * self._table_bytes
            self._file.readinto(start, memoryview(buffer)[place : place + end - start])
        if buffer is None or is_zero(buffer, 0, len(buffer)):
            return self._empty_page
        return entries_of(buffer)

    def _neighbours(
        self, directory: array[int], first: int, count: int
    ) -> Iterator[tuple[int, int]]:
        """(table, number of tables) that lie in the file and behind each other in it."""
        index, last = first, first + count
        while index < last:
            start, tables = directory[index], 0
            while (
                index + tables < last
                and directory[index + tables] == start + tables * self._table_sectors
                and self._is_in_file(directory[index + tables])
            ):
                tables += 1
            if tables:
                yield index, tables
            index += max(tables, 1)

    def _is_in_file(self, sector: int) -> bool:
        first = self._header.header_sectors + 1  # the directory takes at least one
        return first <= sector <= self._space.end - self._table_sectors

    def _is_sound(self, page: array[int], i: int) -> bool:
        """Whether a table has grains and each lies in the file. An empty one proves nothing."""
        if page is self._empty_page:
            return False
        table = page[i * self._length : (i + 1) * self._length]
        if not self._header.has_zeroed_grains and table.count(1):
            return False
        return 0 < max(table) < self._space.end

    # Writing

    def set(self, first: int, entries: array[int]) -> None:
        """Entries of the grains from `first` on; on disk after flush()."""
        done = 0
        while done < len(entries):
            number, start = divmod(first + done, self._page_grains)
            count = min(len(entries) - done, self._page_grains - start)
            page = self._load(number)
            if page is self._empty_page:
                page = self._empty_page[:]
                self._pages[number] = page
            page[start : start + count] = entries[done : done + count]
            done += count
        tables = range(first // self._length, (first + len(entries) - 1) // self._length + 1)
        self._dirty.update(tables)

    @property
    def wants_flush(self) -> bool:
        """So many tables have changed that memory asks for writing them back."""
        return len(self._dirty) > _MAX_DIRTY_PAGES * PAGE_TABLES

    def flush(self, barrier: Callable[[], None]) -> None:
        """Write back what has changed; barrier() makes what was written so far durable.

        Data, then redundant tables, then primary tables: whatever is cut off, one copy is whole
        and names only grains that are on disk.
        """
        if not self._dirty:
            return
        dirty = sorted(self._dirty)
        self._give_places(dirty)
        barrier()
        for directory in self.directories():
            self._write_tables(directory, dirty)
            barrier()
        if self._directory_changed:
            self._write_directories(barrier)
        self._dirty.clear()

    def directories(self) -> list[array[int]]:
        """The redundant one, where there is one, then the primary one."""
        return [self._primary] if self._redundant is None else [self._redundant, self._primary]

    def _give_places(self, tables: list[int]) -> None:
        """A place at the end of the file for each table that has none."""
        for directory in self.directories():
            for table in tables:
                if not self._is_in_file(directory[table]):
                    directory[table] = self._space.take(self._table_sectors)
                    self._directory_changed = True

    def _write_tables(self, directory: array[int], tables: list[int]) -> None:
        for first, count in consecutive(tables):
            for index, number in self._neighbours(directory, first, count):
                start = directory[index] * SECTOR
                self._file.write(start, b"".join(map(self._table, range(index, index + number))))

    def _table(self, index: int) -> bytes:
        number, place = divmod(index, PAGE_TABLES)
        start = place * self._length
        return little_endian(self._load(number)[start : start + self._length])

    def _write_directories(self, barrier: Callable[[], None]) -> None:
        header = self._header
        if self._redundant is not None:
            self._file.write(header.rgd_offset * SECTOR, little_endian(self._redundant))
            barrier()
        self._file.write(header.gd_offset * SECTOR, little_endian(self._primary))
        barrier()
        self._directory_changed = False


def entries_of(data: bytearray) -> array[int]:
    """Entries as they are in memory."""
    entries = array("I")
    entries.frombytes(data)
    if sys.byteorder == "big":
        entries.byteswap()
    return entries


def little_endian(entries: array[int]) -> bytes:
    """Entries as they are on disk."""
    if sys.byteorder == "big":
        entries = entries[:]
        entries.byteswap()
    return entries.tobytes()
