# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which places of a file the grains of an extent take, so that none is taken twice."""

from __future__ import annotations

import typing as t
from array import array

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_PAGE = 512  # slots of one grain each; a page is made when the first grain lies in it
_FREE = array("H", bytes(2 * _PAGE))


class Places:
    """Runs of one grain's length that begin anywhere. Sectors; 2 bytes for each grain of file."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._pages: dict[int, array[int]] = {}  # of each slot: where its run begins, plus 1
        self._even_or_odd: set[int] = set()

    def _begin(self, slot: int) -> int:
        page = self._pages.get(slot // _PAGE)
        return 0 if page is None else page[slot % _PAGE]

    def is_taken(self, sector: int) -> bool:
        """Whether a grain at `sector` would overlap one that is there."""
        slot, phase = divmod(sector, self._step)
        if self._begin(slot):
            return True
        before = self._begin(slot - 1) if slot else 0
        return before > phase + 1 or 0 < self._begin(slot + 1) <= phase

    def take(self, sector: int) -> None:
        """Note a grain that overlaps no other."""
        slot, phase = divmod(sector, self._step)
        self._even_or_odd.add(slot % 2)
        page = self._pages.get(slot // _PAGE)
        if page is None:
            page = self._pages[slot // _PAGE] = array("H", bytes(2 * _PAGE))
        page[slot % _PAGE] = phase + 1

    def take_run(self, sector: int, count: int) -> bool:
        """Many grains behind each other; False, and none taken, where that is not simple."""
        slot, phase = divmod(sector, self._step)
        if phase or (slot and self._begin(slot - 1) > 1):
            return False
        chunks = list(_chunks(slot, slot + count))
        if any(any(self._pages.get(number, _FREE)[a:b]) for number, a, b in chunks):
            return False
        for number, start, stop in chunks:
            page = self._pages.setdefault(number, array("H", bytes(2 * _PAGE)))
            page[start:stop] = array("H", [1]) * (stop - start)
        self._even_or_odd.update((slot % 2, (slot + count - 1) % 2))
        return True

    @property
    def leave_every_other_free(self) -> bool:
        """Whether grains of twice the size would fit where these lie."""
        return len(self._even_or_odd) == 1

    def overlaps(self, start: int, end: int) -> bool:
        """Whether some grain reaches into the sectors start..end-1."""
        for slot in range(max(0, start // self._step - 1), -(-end // self._step)):
            begin = self._begin(slot)
            if begin:
                sector = slot * self._step + begin - 1
                if sector < end and start < sector + self._step:
                    return True
        return False


def _chunks(first: int, last: int) -> Iterator[tuple[int, int, int]]:
    """(page, start, stop) of the slots first..last-1."""
    while first < last:
        number, start = divmod(first, _PAGE)
        stop = min(_PAGE, last - number * _PAGE)
        yield number, start, stop
        first = number * _PAGE + stop


def consecutive(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """(first, count) of the runs of numbers that follow each other."""
    start = 0
    for stop in range(1, len(numbers) + 1):
        if stop == len(numbers) or numbers[stop] != numbers[stop - 1] + 1:
            yield numbers[start], stop - start
            start = stop
