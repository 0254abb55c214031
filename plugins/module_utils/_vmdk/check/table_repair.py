# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What has to be written so that both copies of the tables say what they prove together."""

from __future__ import annotations

import dataclasses
import typing as t
from array import array

from ..extents.header import SECTOR, UNCLEAN_OFFSET
from ..extents.layout import metadata_sectors
from ..extents.tables import FileSpace, little_endian
from .table_copy import TableCopy

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..extents.header import SparseHeader
    from .table_verdict import TableVerdict

_SHOWN = 4  # entries of a table that are told in a difference


class Write(t.NamedTuple):
    """Bytes for one place of a file, and the same in words."""

    offset: int
    data: bytes
    what: str
    before: str
    after: str


class TableRepair:
    """Decides at once, reads again while it is written. Grains are never touched."""

    def __init__(self, verdict: TableVerdict) -> None:
        self.verdict = verdict
        self.header = verdict.header
        self._space = FileSpace(verdict.file)
        if self.header.capacity % self.header.grain_size:  # a last grain that the file cuts short
            self._space.end += self.header.grain_size  # has its place as a whole
        self.misplaced = _misplaced(verdict)
        # Directories that the header does not lead to, where writers put them.
        self._elsewhere = list(self._directories_elsewhere())
        self.new_header = self._moved_directory()
        bad = {entry.grain // self.header.gtes_per_gt for entry in verdict.bad}
        self.doubtful = bad  # tables that no copy proves, or that have no place
        places = {copy.name: self._new_places(copy) for copy in verdict.copies}
        none = {n for found in places.values() for n, place in found.items() if place is None}
        self.doubtful |= none
        self._places = {
            name: {n: place for n, place in found.items() if place and n not in none}
            for name, found in places.items()
        }

    @property
    def is_possible(self) -> bool:
        """Whether there are two copies, room for each directory, and no third that differs."""
        copies = self.verdict.copies
        return len(copies) == 2 and not self.is_contradicted and all(map(self._is_usable, copies))

    def _is_usable(self, copy: TableCopy) -> bool:
        """Whether the directory lies in the file, on nothing else."""
        start, end = copy.sector, copy.sector + copy.directory_sectors
        others = [run for run in self.verdict.core if run != (start, end)]
        if copy.directory is None:
            return False
        twice = len(self.verdict.core) - len(others) > 1
        overlap = any(start < stop and first < end for first, stop in others)
        return not (twice or overlap or self.verdict.places.overlaps(start, end))

    # A directory that the header does not find

    def _directories_elsewhere(self) -> Iterator[TableCopy]:
        """What stands in the usual place of a directory that is not sound where the header has it.

        Named as the copy whose place it would take.
        """
        if len(self.verdict.copies) < 2:
            return
        length = metadata_sectors(self.header)
        usual = (self.header.rgd_offset + length, self.header.gd_offset - length)
        for copy, sector in zip(self.verdict.copies, usual, strict=True):
            if sector > 0 and sector != copy.sector and not self._is_sound(copy):
                there = TableCopy(self.verdict.file, self.header, sector, copy.name)
                if there.directory is not None and _is_as_made(there):
                    yield there

    def _moved_directory(self) -> SparseHeader | None:
        """A header that leads to a perfect copy of the tables, where the present one does not."""
        if self.verdict.bad or self.verdict.unsettled:
            return None
        perfect = next(filter(self._says_the_same, self._elsewhere), None)
        if perfect is None:
            return None
        if perfect.name == self.verdict.primary.name:
            return dataclasses.replace(self.header, gd_offset=perfect.sector)
        return dataclasses.replace(self.header, rgd_offset=perfect.sector)

    @property
    def is_contradicted(self) -> bool:
        """Whether tables that the header does not lead to say something else: they may be right."""
        return self.new_header is None and bool(self._elsewhere)

    def _is_sound(self, copy: TableCopy) -> bool:
        troubles = (self.verdict.missing[copy.name], self.misplaced[copy.name])
        return copy.directory is not None and not any(troubles) and not self.verdict.conflicts

    def _says_the_same(self, copy: TableCopy) -> bool:
        """Whether its tables hold what the verdict wants."""
        return all(
            copy.table(number) == self.verdict.table(number)
            for number in range(self.header.directory_entries)
        )

    # Tables

    def _new_places(self, copy: TableCopy) -> dict[int, int | None]:
        """Places for tables that have none, or one that belongs to something else."""
        if not self.is_possible or self.new_header is not None:
            return {}
        wanted = sorted({*self.verdict.missing[copy.name], *self.misplaced[copy.name]})
        places = {
            number: self._place_for(copy, number)
            for number in wanted
            if number not in self.doubtful
        }
        return {number: place for number, place in places.items() if place != copy.place(number)}

    def gives_place(self, copy: TableCopy, tables: t.Iterable[int]) -> bool:
        """Whether the directory of a copy leads to some of the tables afterwards."""
        return self.new_header is not None or any(n in self._places[copy.name] for n in tables)

    def _place_for(self, copy: TableCopy, number: int) -> int | None:
        """Where it has always been, if it is still there; else at the end of the file.

        None where the file must not grow: an entry that leads behind its end would find the table.
        """
        usual = copy.usual_place(number)
        wanted = self.verdict.table(number, copy.name)
        is_there = copy.is_in_file(usual) and copy.table_at(usual) == wanted
        if is_there and not self.verdict.places.overlaps(usual, usual + copy.table_sectors):
            return usual
        return None if self.verdict.leads_beyond_end else self._space.take(copy.table_sectors)

    def stages(self) -> Iterator[list[Write]]:
        """In the order in which they must become durable: one copy is always whole."""
        if self.new_header is not None:
            yield [self._header_write(self.new_header)]
            return
        if not self.is_possible:
            return
        copies = self.verdict.copies[::-1]  # the redundant one first, as when data is written
        for copy in copies:
            yield from self._table_stages(copy)
        for copy in copies:
            if self._places[copy.name]:
                yield [self._directory_write(copy)]

    def _table_stages(self, copy: TableCopy) -> Iterator[list[Write]]:
        numbers = {*self._places[copy.name], *self.verdict.conflicts} - self.doubtful
        for number in sorted(numbers):
            write = self._table_write(copy, number)
            if write is not None:
                yield [write]

    def _table_write(self, copy: TableCopy, number: int) -> Write | None:
        place = self._places[copy.name].get(number, copy.place(number))
        wanted = self.verdict.table(number, copy.name)
        present = copy.table_at(place) if copy.is_in_file(place) else None
        if wanted is None or present == wanted or place == 0:
            return None
        present = present or array("I", bytes(4 * len(wanted)))
        first = number * self.header.gtes_per_gt
        both = enumerate(zip(present, wanted, strict=True), first)
        pairs = [(grain, a, b) for grain, (a, b) in both if a != b]
        return Write(
            place * SECTOR,
            little_endian(wanted),
            f"table {number} of the {copy.name}, {len(pairs)} entries",
            _told((grain, entry) for grain, entry, _wanted in pairs),
            _told((grain, entry) for grain, _present, entry in pairs),
        )

    def _directory_write(self, copy: TableCopy) -> Write:
        directory = array("I", copy.directory or ())
        places = self._places[copy.name]
        before = _told((number, directory[number]) for number in places)
        for number, place in places.items():
            directory[number] = place
        after = _told(places.items())
        data = little_endian(directory)
        return Write(copy.sector * SECTOR, data, f"the {copy.name}", before, after)

    def _header_write(self, header: SparseHeader) -> Write:
        names = ("gd_offset", "rgd_offset")
        before, after = (
            ", ".join(f"{name} {getattr(one, name)}" for name in names)
            for one in (self.header, header)
        )
        return Write(0, header.pack(), "the header", before, after)


def unclean_write() -> Write:
    """The mark of an extent that was closed well (TN p.7)."""
    return Write(UNCLEAN_OFFSET, b"\0", "the mark of an unclean shutdown", "1", "0")


def _told(entries: t.Iterable[tuple[int, int]]) -> str:
    """`5: 128, 6: 256, …`: numbers and sectors."""
    texts = [f"{number}: {entry}" for number, entry in entries]
    return ", ".join([*texts[:_SHOWN], "…"] if len(texts) > _SHOWN else texts)


def _is_as_made(copy: TableCopy) -> bool:
    """Whether a directory is what layout.py makes."""
    places = enumerate(copy.directory or ())
    return all(place == copy.usual_place(number) for number, place in places)


def _misplaced(verdict: TableVerdict) -> dict[str, list[int]]:
    """Tables that lie on each other, on the rest of the metadata or on a grain."""
    runs: list[tuple[int, int, TableCopy | None, int]] = [
        (start, end, None, 0) for start, end in verdict.core if start < end
    ]
    found: dict[str, set[int]] = {copy.name: set() for copy in verdict.copies}
    for copy in verdict.copies:
        for number in verdict.numbers:
            place = copy.place(number)
            if copy.is_in_file(place):
                runs.append((place, place + copy.table_sectors, copy, number))
                if number in verdict.conflicts and verdict.places.overlaps(*runs[-1][:2]):
                    found[copy.name].add(number)
    runs.sort(key=lambda run: run[0])
    widest: tuple[int, int, TableCopy | None, int] = (0, 0, None, 0)
    for run in runs:
        if run[0] < widest[1]:
            for _start, _end, owner, number in (run, widest):
                if owner is not None:
                    found[owner.name].add(number)
        widest = max(run, widest, key=lambda one: one[1])
    return {name: sorted(numbers) for name, numbers in found.items()}
