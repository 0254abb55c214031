# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Checking one sparse extent file by itself (TN p.6-9)."""

from __future__ import annotations

import typing as t

from ..extents.header import GTES_PER_GT, REDUNDANT_TABLES, SECTOR, UNCLEAN_OFFSET
from .finding import ERROR, NOTE, WARNING, Finding
from .table_copy import MAX_DIRECTORY
from .table_repair import TableRepair
from .table_verdict import TableVerdict

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.files import File
    from ..extents.header import SparseHeader
    from .table_verdict import BadEntry

FROM_COPY = "repair: true takes what the other copy proves"
LOST = (
    "compare with a good copy: nothing tells where on the disk such content was, so salvage_to "
    "cannot place it; if nothing is missing (a job was killed), defragment the disk"
)
SALVAGE = "restore it from a good copy, or take what is left with salvage_to"

_TELLING_GRAINS = 16  # fewer may leave every other place free by chance

_BAD_ENTRIES = {
    "beyond-end": "lie beyond the end of the file: it was cut short, or the table is damaged",
    "in-metadata": "lie on the header, the descriptor or the tables",
    "duplicate": "share their place in the file with another grain",
}


class SparseCheck:
    """The findings of one extent, and what repairs it."""

    def __init__(
        self, file: File, header: SparseHeader, *, inherits: bool, has_descriptor: bool
    ) -> None:
        self.file, self.header = file, header
        self.verdict: TableVerdict | None = None
        self.repair: TableRepair | None = None
        if header.directory_entries <= MAX_DIRECTORY:
            self.verdict = TableVerdict(
                file, header, inherits=inherits, has_descriptor=has_descriptor
            )
            self.repair = TableRepair(self.verdict)

    @property
    def can_be_clean(self) -> bool:
        """Whether nothing stays wrong after a repair, so that the unclean mark can go."""
        return not any(found.severity == ERROR and not found.repairable for found in self._tables())

    def findings(self) -> Iterator[Finding]:
        yield from self._tables()
        yield from self._header()

    def _tables(self) -> Iterator[Finding]:
        if self.verdict is None or self.repair is None:
            yield self._found("header", ERROR, "impossible capacity", 12, how=SALVAGE)
            return
        yield from self._directories(self.verdict, self.repair)
        yield from self._missing(self.verdict, self.repair)
        yield from self._conflicts(self.verdict, self.repair)
        yield from self._bad(self.verdict)

    def _found(
        self,
        kind: str,
        severity: str,
        message: str,
        offset: int | None = None,
        *,
        repairable: bool = False,
        how: str = "",
    ) -> Finding:
        return Finding(kind, severity, self.file.path, message, offset, repairable, how)

    # Directories

    def _directories(self, verdict: TableVerdict, repair: TableRepair) -> Iterator[Finding]:
        moved = repair.new_header is not None
        for copy in verdict.copies:
            offset = copy.sector * SECTOR
            if copy.directory is None:
                message = f"the {copy.name} lies beyond the end of the file"
                how = "repair: true finds it again" if moved else SALVAGE
                yield self._found("directory", ERROR, message, offset, repairable=moved, how=how)
            elif copy.is_zeroed and len(verdict.copies) == 1 and verdict.header.capacity:
                # A disk without a single table is legal, and so is what a crash of zeros leaves.
                yield self._found("directory", NOTE, f"the {copy.name} is empty", offset)
        if moved:
            message = "the header does not lead to the grain directory"
            yield self._found("directory", ERROR, message, repairable=True, how=FROM_COPY)
        elif repair.is_contradicted:
            message = "a grain directory that the header does not lead to tells otherwise"
            how = "compare with a good copy; nothing is repaired, because either may be right"
            yield self._found("directory", ERROR, message, how=how)
        elif len(verdict.copies) == 2 and not repair.is_possible:
            message = "the grain directories lie on each other, on grains or outside of the file"
            how = "convert or clone the disk: one copy is whole" if not verdict.bad else SALVAGE
            yield self._found("directory", ERROR, message, how=how)
        if verdict.lost_tables:
            message = f"{len(verdict.lost_tables)} grain tables lie outside of the file"
            offset = verdict.primary.sector * SECTOR + 4 * verdict.lost_tables[0]
            yield self._found("directory-entry", ERROR, message, offset, how=SALVAGE)

    def _missing(self, verdict: TableVerdict, repair: TableRepair) -> Iterator[Finding]:
        for copy in verdict.copies:
            if copy.directory is None:
                continue
            wrong = sorted({*verdict.missing[copy.name], *repair.misplaced[copy.name]})
            if not wrong:
                continue
            what = "is zeroed" if copy.is_zeroed else f"has {len(wrong)} wrong entries"
            repairable = repair.gives_place(copy, wrong)
            yield self._found(
                "directory-entry",
                ERROR,
                f"the {copy.name} {what}, first that of table {wrong[0]}",
                copy.sector * SECTOR + 4 * wrong[0],
                repairable=repairable,
                how=FROM_COPY if repairable else SALVAGE,
            )

    @staticmethod
    def _is_repairable(repair: TableRepair, tables: t.Iterable[int]) -> bool:
        possible = repair.is_possible or repair.new_header is not None
        return possible and not repair.doubtful.intersection(tables)

    # Tables

    def _conflicts(self, verdict: TableVerdict, repair: TableRepair) -> Iterator[Finding]:
        conflicts = verdict.conflicts
        settled = [grain for conflict in conflicts.values() for grain in conflict.grains]
        unsettled = verdict.unsettled
        rest = sorted(set(settled) - set(unsettled))
        if rest:
            repairable = self._is_repairable(repair, conflicts)
            yield self._found(
                "tables-differ",
                ERROR,
                f"{len(rest)} entries differ between the two copies of the grain tables, and one "
                f"copy proves itself right; the first is grain {rest[0]}",
                self._entry_offset(verdict, rest[0]),
                repairable=repairable,
                how=FROM_COPY if repairable else SALVAGE,
            )
        if unsettled:
            yield self._found(
                "tables-differ",
                ERROR,
                f"{len(unsettled)} entries differ between the two copies of the grain tables, and "
                f"nothing proves which is right; the first is grain {unsettled[0]}",
                self._entry_offset(verdict, unsettled[0]),
                how="compare with a good copy; salvage_to takes the primary tables, and lists "
                "those places as doubtful",
            )

    @staticmethod
    def _entry_offset(verdict: TableVerdict, grain: int) -> int | None:
        number, index = divmod(grain, verdict.header.gtes_per_gt)
        place = verdict.primary.place(number)
        return place * SECTOR + 4 * index if verdict.primary.is_in_file(place) else None

    def _bad(self, verdict: TableVerdict) -> Iterator[Finding]:
        for kind, text in _BAD_ENTRIES.items():
            bad = [entry for entry in verdict.bad if entry.why == kind]
            if bad:
                yield self._found(
                    kind,
                    ERROR,
                    f"{len(bad)} grains {text}; the first is grain {bad[0].grain} at sector "
                    f"{bad[0].sector}{self._others(verdict, bad)}",
                    self._entry_offset(verdict, bad[0].grain),
                    how=SALVAGE,
                )

    @staticmethod
    def _others(verdict: TableVerdict, bad: list[BadEntry]) -> str:
        if bad[0].why != "duplicate":
            return ""
        owners = [grain for grain in verdict.owners({bad[0].sector}) if grain != bad[0].grain]
        return f", where grain {', '.join(map(str, owners))} lies"

    # The header, seen beside what is there

    def _header(self) -> Iterator[Finding]:
        header, verdict = self.header, self.verdict
        if header.flags & REDUNDANT_TABLES and not header.has_redundant_tables:
            message = "the header promises redundant tables and does not say where they are"
            yield self._found("header", WARNING, message, 48, how="convert or clone the disk")
        if header.gtes_per_gt != GTES_PER_GT:
            message = f"grain tables of {header.gtes_per_gt} entries, where all writers have 512"
            yield self._found("header", WARNING, message, 44, how="compare with a good copy")
        if header.capacity % header.grain_size:
            message = (
                "the capacity is no multiple of the grain size: legal, but some programs cannot "
                "read the last grain"
            )
            yield self._found("capacity", NOTE, message, 12)
        if verdict is not None:
            yield from self._space(verdict)
        if header.unclean:
            clean = self.can_be_clean
            yield self._found(
                "unclean",
                WARNING,
                "was not closed after the last write",
                UNCLEAN_OFFSET,
                repairable=clean,
                how="repair: true clears the mark, as nothing else stays wrong"
                if clean
                else "the mark stays until nothing else is wrong",
            )

    def _space(self, verdict: TableVerdict) -> Iterator[Finding]:
        header = self.header
        if verdict.before_overhead:
            message = f"{verdict.before_overhead} grains lie before the end of the overhead "
            yield self._found(
                "header", WARNING, message + f"of {header.overhead} sectors", 64, how="none needed"
            )
        if verdict.beyond_capacity:
            message = "a grain table has entries beyond the capacity, which mean nothing"
            yield self._found("capacity", NOTE, message)
        used = verdict.grains * header.grain_size
        if verdict.bad or verdict.unused < header.grain_size:
            return
        many = verdict.grains >= _TELLING_GRAINS
        if many and verdict.places.leave_every_other_free and verdict.unused >= used:
            yield self._found(
                "grain-size",
                WARNING,
                f"grains of {header.grain_size} sectors lie where grains of twice the size "
                "would fit, and half of the file belongs to none: the header may be wrong",
                20,
                how="compare with a good copy",
            )
            return
        yield self._unused(verdict)

    def _unused(self, verdict: TableVerdict) -> Finding:
        message = f"{verdict.unused} sectors of the file belong to no grain"
        # qemu marks a grain as zeros and leaves its data where it was: there it proves nothing.
        place = None if self.header.has_zeroed_grains else verdict.unnamed_data()
        if place is not None and not verdict.grains:
            # Once the unclean mark is gone, both look alike.
            message += ", and the tables name no grain at all: the first write was cut off, or"
            message += " the tables were lost with all content"
            return self._found("unused-space", WARNING, message, place * SECTOR, how=LOST)
        if place is not None or verdict.conflicts or verdict.missing_any:
            message += ": a killed job left them, or both copies of the tables have lost entries"
            offset = None if place is None else place * SECTOR
            return self._found("unused-space", WARNING, message, offset, how=LOST)
        how = "normal after a growth or a killed job; converting the disk gives the space back"
        return self._found("unused-space", NOTE, message, how=how)
