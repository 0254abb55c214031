# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the two copies of the tables of a sparse extent prove together, entry by entry.

An entry is right when both copies have it; where they differ, settlement.py decides.
"""

from __future__ import annotations

import typing as t
from array import array

from ..._device.extent import Kind
from ..._device.zeros import is_zero
from ..extents.grained import alike
from ..extents.header import SECTOR
from ..extents.layout import metadata_sectors
from ..extents.places import Places
from ..extents.sparse_guard import SectorRuns
from .settlement import Conflict, settle
from .table_copy import TableCopy

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.files import File
    from ..extents.header import SparseHeader

PRIMARY, REDUNDANT = "grain directory", "redundant grain directory"


class BadEntry(t.NamedTuple):
    """A table entry that cannot be right, in every copy there is."""

    why: str
    grain: int
    sector: int


class TableVerdict:
    """Reads all tables of one extent. A few bytes of memory for each grain, 2 KiB a conflict."""

    def __init__(
        self, file: File, header: SparseHeader, *, inherits: bool, has_descriptor: bool = True
    ) -> None:
        """has_descriptor: where the header says that it is, if it says so."""
        self.file, self.header = file, header
        self._has_descriptor = has_descriptor
        self.inherits = inherits
        self._end = file.size // SECTOR  # a sector that is cut is no place
        self.last_hole = 1 if header.has_zeroed_grains else 0
        self.primary = TableCopy(file, header, header.gd_offset, PRIMARY)
        self.copies = [self.primary]
        if header.has_redundant_tables:
            self.copies.append(TableCopy(file, header, header.rgd_offset, REDUNDANT))
        self.places = Places(header.grain_size)
        self.grains = 0  # that have a place
        self.before_overhead = 0
        self.beyond_capacity = 0
        self.bad: list[BadEntry] = []
        self.lost_tables: list[int] = []  # named by a directory, in no copy to be read
        self.missing: dict[str, list[int]] = {copy.name: [] for copy in self.copies}
        self.conflicts: dict[int, Conflict] = {}  # by number of the table
        self.core = self._core_metadata(self.copies)
        self._certain = self._core_metadata([copy for copy in self.copies if copy.is_credible])
        self.numbers = self._named_tables()
        open_tables = [table for table in self.numbers if self._look_at(table)]
        self.conflicts = settle(self, open_tables)
        self._look_for_grains_under_tables()

    def _named_tables(self) -> list[int]:
        """The tables of which some directory says something."""
        directories = [copy.directory for copy in self.copies if copy.directory is not None]
        entries = enumerate(zip(*directories, strict=True))
        return [n for n, places in entries if any(places) or self._is_where_it_was(n)]

    def _core_metadata(self, copies: list[TableCopy]) -> list[tuple[int, int]]:
        header = self.header
        first = header.descriptor_offset
        runs = [(0, 1)]
        if self._has_descriptor:
            runs.append((first, first + header.descriptor_size))
        there = [copy for copy in copies if copy.directory is not None]
        return runs + [(copy.sector, copy.sector + copy.directory_sectors) for copy in there]

    # What the copies agree upon

    def _look_at(self, number: int) -> bool:
        """Note what is certain; True where the copies of this table differ."""
        missing = [copy for copy in self.copies if copy.table(number) is None]
        if len(missing) == len(self.copies) and not self._is_where_it_was(number):
            if any(copy.place(number) > self.last_hole for copy in self.copies):
                self.lost_tables.append(number)
            return False
        for copy in missing:
            self.missing[copy.name].append(number)
        tables = (self.read(copy, number) for copy in self.copies)
        first, *others = (table for table in tables if table is not None)
        count = self.entries_of(number)
        self.beyond_capacity += any(first[count:])
        start = number * self.header.gtes_per_gt
        if not others or others[0][:count] == first[:count]:
            self._take_all(start, first[:count])
            return False
        same = [a if a == b else 0 for a, b in zip(first[:count], others[0][:count], strict=True)]
        self._take_all(start, array("I", same))
        return True

    def read(self, copy: TableCopy, number: int) -> array[int] | None:
        """The table, even where its directory has lost it: it may know what the other has not."""
        table = copy.table(number)
        return copy.lost_table(number) if table is None and self._fits_together else table

    def _is_where_it_was(self, number: int) -> bool:
        """Whether both directories have lost a table that lies, twice alike, at its usual place."""
        tables = [self.read(copy, number) for copy in self.copies]
        return tables[0] is not None and any(tables[0]) and tables[0] == tables[-1]

    @property
    def _fits_together(self) -> bool:
        """Whether the directories are as far from each other as writers put them."""
        first, *others = (copy.sector for copy in self.copies)
        return first - metadata_sectors(self.header) in others

    def entries_of(self, number: int) -> int:
        """How many count: beyond the capacity some writers leave rubbish (LY)."""
        return min(self.header.gtes_per_gt, self.header.grains - number * self.header.gtes_per_gt)

    def _take_all(self, start: int, entries: array[int]) -> None:
        if not any(entries):
            return
        for first, stop, entry in alike(entries, self.header.grain_size):
            if stop - first > 1 and self._take_run(entry, stop - first):
                continue
            for index in range(first, stop):
                if entries[index] > self.last_hole:
                    self.take(start + index, entries[index])

    def _take_run(self, sector: int, count: int) -> bool:
        """Most tables hold few, long runs, which need no look at each grain."""
        start = max(self.header.overhead, *(end for _start, end in self._certain))
        end = sector + count * self.header.grain_size
        if sector < start or end > self._end or not self.places.take_run(sector, count):
            return False
        self.grains += count
        return True

    def take(self, grain: int, entry: int) -> None:
        """The place that an entry names is that grain's, or it is bad."""
        why = self._fault_of(grain, entry)
        if why is not None:
            self.bad.append(BadEntry(why, grain, entry))
            return
        self.places.take(entry)
        self.grains += 1
        self.before_overhead += entry < self.header.overhead

    def _fault_of(self, grain: int, entry: int) -> str | None:
        if entry + self.sectors_of(grain) > self._end:
            return "beyond-end"
        if any(
            start < entry + self.header.grain_size and entry < end for start, end in self._certain
        ):
            return "in-metadata"
        return "duplicate" if self.places.is_taken(entry) else None

    def sectors_of(self, grain: int) -> int:
        """The last grain of a disk may be short."""
        step = self.header.grain_size
        return min(step, self.header.capacity - grain * step)

    def could_be(self, grain: int, entry: int) -> bool:
        """Whether an entry names a grain where grains lie, which nothing else takes."""
        if entry <= self.last_hole or entry < self.header.overhead:
            return False
        return self._fault_of(grain, entry) is None

    def _look_for_grains_under_tables(self) -> None:
        """Where the copies of a table agree, it is right, and a grain on it is not."""
        for copy in self.copies:
            for number in self.numbers:
                place = copy.place(number)
                if number in self.conflicts or not copy.is_in_file(place):
                    continue
                if self.places.overlaps(place, place + copy.table_sectors):
                    found = self.owners({place})
                    self.bad.extend(BadEntry("in-metadata", grain, place) for grain in found)

    # The result

    @property
    def missing_any(self) -> bool:
        """Whether some table is in one copy only."""
        return any(self.missing.values())

    @property
    def leads_beyond_end(self) -> bool:
        """Whether an entry that nothing corrects names a place behind the end of the file."""
        return any(entry.why == "beyond-end" for entry in self.bad) or any(
            entries[grain % self.header.gtes_per_gt] + self.sectors_of(grain) > self._end
            for conflict in self.conflicts.values()
            for entries in conflict.wanted.values()
            for grain in conflict.unsettled
        )

    @property
    def unused(self) -> int:
        """Sectors behind the overhead that belong to nothing."""
        room = self._end - self.header.overhead - self.tables_behind_overhead
        return max(0, room - self.grains * self.header.grain_size)

    def unnamed_data(self) -> int | None:
        """The first whole place behind the overhead that has content and no owner; a sector."""
        step = self.header.grain_size
        taken = SectorRuns([*self.core, *self._table_runs()])
        for run in self.file.extents(self.header.overhead * SECTOR, self._end * SECTOR):
            if run.kind is Kind.ZERO:
                continue
            for slot in range(-(-run.offset // SECTOR // step), run.end // SECTOR // step):
                start, end = slot * step, (slot + 1) * step
                if self.places.overlaps(start, end) or taken.hits(start, end):
                    continue
                if not is_zero(self.file.read(start * SECTOR, step * SECTOR), 0, step * SECTOR):
                    return start
        return None

    def _table_runs(self) -> Iterator[tuple[int, int]]:
        for copy in self.copies:
            for place in copy.directory or ():
                yield place, place + copy.table_sectors

    @property
    def tables_behind_overhead(self) -> int:
        """Sectors of tables that lie among the grains, as after growing."""
        count = 0
        for copy in self.copies:
            behind = [place for place in copy.directory or () if place >= self.header.overhead]
            count += len(behind) * copy.table_sectors
            count += copy.directory_sectors if copy.sector >= self.header.overhead else 0
        return count

    def table(self, number: int, name: str = PRIMARY) -> array[int] | None:
        """What a table should hold in the copy of that name; None where no copy can be read."""
        conflict = self.conflicts.get(number)
        if conflict is not None:
            return conflict.wanted[name]
        tables = [copy.table(number) for copy in self.copies]
        if not any(table is not None for table in tables) and self._is_where_it_was(number):
            return self.read(self.primary, number)
        return next((table for table in tables if table is not None), None)

    @property
    def unsettled(self) -> list[int]:
        """Grains of which both copies tell something possible, and not the same."""
        return [grain for conflict in self.conflicts.values() for grain in conflict.unsettled]

    def owners(self, sectors: set[int]) -> list[int]:
        """The grains whose entries take one of the places that begin at these sectors."""
        found = []
        step = self.header.grain_size
        for number in self.numbers:
            table = self.table(number)
            for index, entry in enumerate(table or ()):
                if entry > self.last_hole and any(abs(entry - place) < step for place in sectors):
                    found.append(number * self.header.gtes_per_gt + index)
        return found
