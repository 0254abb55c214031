# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A sparse extent with damaged tables, as far as either copy of them leads to grains."""

from __future__ import annotations

import threading
import typing as t

from ..._device.errors import CorruptDisk
from ..._device.extent import Extent, Kind, merge
from ..check.table_copy import MAX_DIRECTORY
from ..check.table_verdict import TableVerdict
from ..extents.header import SECTOR
from .part import Fault, SalvagedPart

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.files import File
    from ..extents.header import SparseHeader


class _Grain(t.NamedTuple):
    """A run of the disk within one grain. `entry`: as in the tables; `there`: bytes in the file."""

    entry: int
    start: int
    stop: int
    position: int  # byte of the file
    there: int
    fault: str | None


class SalvagedSparse(SalvagedPart):
    """Of tables that differ and prove nothing, the primary ones. Owns its file, not its parent.

    parent: what absent grains show, from its byte `base` on; without one, a child has lost them.
    """

    def __init__(
        self,
        file: File,
        header: SparseHeader,
        size: int,
        *,
        inherits: bool,
        has_descriptor: bool,
        parent: SalvagedPart | None,
        base: int,
    ) -> None:
        """Raises CorruptDisk where the capacity is impossible."""
        if header.directory_entries > MAX_DIRECTORY:
            raise CorruptDisk("impossible capacity", path=file.path, found=header.capacity)
        self.name, self.size = file.path, size
        self._file, self._header = file, header
        self._inherits, self._parent, self._base = inherits, parent, base
        self._grain = header.grain_size * SECTOR
        self._file_size = file.size
        self._last_hole = 1 if header.has_zeroed_grains else 0
        self._verdict = TableVerdict(file, header, inherits=inherits, has_descriptor=has_descriptor)
        self._lock = threading.Lock()  # the tables are read through one window
        self._lost_tables = set(self._verdict.lost_tables)
        self._faults = dict.fromkeys(self._verdict.unsettled, "doubtful")
        for bad in self._verdict.bad:
            self._faults[bad.grain] = bad.why
        places = {bad.sector for bad in self._verdict.bad if bad.why == "duplicate"}
        if places:
            self._faults.update(dict.fromkeys(self._verdict.owners(places), "duplicate"))

    def _grains(self, offset: int, end: int) -> Iterator[_Grain]:
        per_table = self._header.gtes_per_gt
        grain, number, table = offset // self._grain, -1, None
        while grain * self._grain < end:
            if grain // per_table != number:
                number = grain // per_table
                with self._lock:
                    table = self._table(number)
            start, stop = max(offset, grain * self._grain), min(end, (grain + 1) * self._grain)
            entry = 0 if table is None else table[grain % per_table]
            fault = "lost" if number in self._lost_tables else self._faults.get(grain)
            position = entry * SECTOR + start - grain * self._grain
            there = max(0, min(stop - start, self._file_size - position))
            if fault == "in-metadata":
                there = 0
            yield _Grain(entry, start, stop, position, there, fault)
            grain += 1

    def _table(self, number: int) -> t.Sequence[int] | None:
        if number >= self._header.directory_entries:
            return None
        return self._verdict.table(number)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        end = offset + self.check_range(offset, buffer.nbytes)
        for grain in self._grains(offset, end):
            part = buffer[grain.start - offset : grain.stop - offset]
            if grain.entry > self._last_hole:
                self._file.readinto(grain.position, part[: grain.there])
                part[grain.there :] = bytes(part.nbytes - grain.there)
            elif grain.entry == 0 and self._parent is not None and grain.fault != "lost":
                _read_parent(self._parent, self._base + grain.start, part)
            else:
                part[:] = bytes(part.nbytes)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        return merge(self._kinds(offset, offset + length))

    def _kinds(self, offset: int, end: int) -> Iterator[Extent]:
        for grain in self._grains(offset, end):
            reads = grain.entry > self._last_hole or (grain.entry == 0 and self._parent is not None)
            kind = Kind.DATA if reads else Kind.ZERO
            yield Extent(grain.start, grain.stop - grain.start, kind)

    def faults(self, offset: int, length: int) -> Iterator[Fault]:
        for grain in self._grains(offset, offset + length):
            run = grain.stop - grain.start
            if grain.fault == "lost":
                yield Fault(grain.start, run)
            elif grain.entry > self._last_hole:
                if grain.fault in ("duplicate", "doubtful"):
                    yield Fault(grain.start, run, is_lost=False)
                if grain.there < run:
                    yield Fault(grain.start + grain.there, run - grain.there)
            elif grain.fault is not None:
                yield Fault(grain.start, run, is_lost=False)
            elif grain.entry == 0 and self._inherits:
                yield from self._of_parent(grain.start, run)

    def _of_parent(self, offset: int, length: int) -> Iterator[Fault]:
        if self._parent is None:
            yield Fault(offset, length)
            return
        inside = min(length, self._parent.size - self._base - offset)
        if inside > 0:
            for fault in self._parent.faults(self._base + offset, inside):
                yield fault._replace(offset=fault.offset - self._base)

    def close(self) -> None:
        self._file.close()


def _read_parent(parent: SalvagedPart, offset: int, buffer: memoryview) -> None:
    """Zeros beyond the end of a shorter parent."""
    inside = max(0, min(buffer.nbytes, parent.size - offset))
    if inside:
        parent.readinto(offset, buffer[:inside])
    buffer[inside:] = bytes(buffer.nbytes - inside)
