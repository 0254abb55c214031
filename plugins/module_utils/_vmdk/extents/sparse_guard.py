# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What no grain of a sparse extent may lie upon: metadata, and other grains."""

from __future__ import annotations

import bisect
import typing as t
from array import array

from ..._device.errors import CorruptDisk
from .grained import ZEROED, alike
from .places import Places

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from .tables import GrainTables


class SectorRuns:
    """Runs of sectors, (start, end), in which something else lies."""

    def __init__(self, runs: Iterable[tuple[int, int]]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start, end in sorted(run for run in runs if run[0] < run[1]):
            if self._ends and start <= self._ends[-1]:
                self._ends[-1] = max(end, self._ends[-1])
            else:
                self._starts.append(start)
                self._ends.append(end)

    def hits(self, start: int, end: int) -> bool:
        """Whether some of the sectors start..end-1 are among them."""
        if not self._ends or start >= self._ends[-1]:
            return False
        index = bisect.bisect_right(self._ends, start)
        return self._starts[index] < end


def table_runs(directory: array[int], step: int) -> Iterator[tuple[int, int]]:
    """Where the tables of a directory lie."""
    for first, stop, sector in alike(directory, step):
        if sector > ZEROED:
            yield sector, sector + (stop - first) * step


def require_sound(
    tables: GrainTables,
    grains: int,
    step: int,
    check: Callable[[int, int, int], None],
    path: str,
) -> None:
    """Before the first write: no two grains share a sector, or one write would change both.

    check(entry, grain, count) looks at each run. Raises CorruptDisk and what check() raises. Reads
    all tables once; 2 bytes for each grain of the file.
    """
    places = Places(step)
    for first, entries, empty in tables.slices(0, grains):
        if empty:
            continue
        for start, stop, entry in _runs(entries, step):
            count = stop - start
            if entry:
                check(entry, first + start, count)
            if entry > ZEROED and not places.take_run(entry, count):
                for index in range(start, stop):
                    if places.is_taken(entries[index]):
                        raise _shared(tables, grains, step, first + index, entries[index], path)
                    places.take(entries[index])


def _runs(entries: array[int], step: int) -> Iterator[tuple[int, int, int]]:
    count, first = len(entries), entries[0]
    is_even = first > ZEROED and entries[-1] - first == step * (count - 1)
    if is_even and entries == array("I", range(first, entries[-1] + 1, step)):
        return iter([(0, count, first)])  # the usual full disk
    return alike(entries, step)


def _shared(
    tables: GrainTables, grains: int, step: int, grain: int, sector: int, path: str
) -> CorruptDisk:
    others = (
        first + index
        for first, entries, empty in tables.slices(0, grains)
        if not empty
        for index, entry in enumerate(entries)
        if entry > ZEROED and abs(entry - sector) < step and first + index != grain
    )
    return CorruptDisk(
        f"grains {next(others, None)} and {grain} lie in the same place, so nothing is written",
        path=path,
        offset=sector * 512,
        hint="Look at it with vmdk_check, and clone what can be read (vmdk_convert).",
    )
