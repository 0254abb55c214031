# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which of two differing table entries is right, as far as the rest of the file proves it.

A grain is proven where only one of the two entries names a whole place that nothing else takes,
and no other entry in doubt lays claim to it: grains are never given back to the file. A hole looks
like a lost entry, so it is believed only where each place of the file has its owner.
"""

from __future__ import annotations

import itertools
import typing as t
from array import array

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..extents.header import SparseHeader
    from .table_copy import TableCopy


class Evidence(t.Protocol):
    """What is known of the extent: see TableVerdict."""

    header: SparseHeader
    copies: list[TableCopy]
    inherits: bool
    last_hole: int

    @property
    def unused(self) -> int: ...

    def entries_of(self, number: int) -> int: ...

    def read(self, copy: TableCopy, number: int) -> array[int] | None: ...

    def could_be(self, grain: int, entry: int) -> bool: ...

    def take(self, grain: int, entry: int) -> None: ...


class Conflict(t.NamedTuple):
    """A table of which the copies differ: what they should hold, and the grains left open."""

    wanted: dict[str, array[int]]
    grains: list[int]  # differing
    unsettled: list[int]


class _Doubt(t.NamedTuple):
    """A grain with two entries, and those of them that could be right."""

    grain: int
    one: int
    other: int
    sound: list[int]


def settle(verdict: Evidence, numbers: list[int]) -> dict[int, Conflict]:
    """The tables of these numbers, in which the two copies differ; takes what is proven."""
    conflicts = {number: _conflict(verdict, number) for number in numbers}
    doubts = {number: list(_doubts(verdict, number, conflicts[number])) for number in numbers}
    contested = _contested([one for many in doubts.values() for one in many], verdict)
    for doubt in (one for many in doubts.values() for one in many):
        if len(doubt.sound) == 1 and doubt.sound[0] not in contested:
            verdict.take(doubt.grain, doubt.sound[0])
    is_full = verdict.unused < verdict.header.grain_size
    for number, conflict in conflicts.items():
        start = number * verdict.header.gtes_per_gt
        for doubt in doubts[number]:
            right = _right_one(verdict, doubt, contested, is_full)
            conflict.grains.append(doubt.grain)
            if right is None:
                conflict.unsettled.append(doubt.grain)
                continue
            for table in conflict.wanted.values():
                table[doubt.grain - start] = right
    return conflicts


def _conflict(verdict: Evidence, number: int) -> Conflict:
    """Entries beyond the capacity become alike."""
    wanted = {copy.name: verdict.read(copy, number) or array("I") for copy in verdict.copies}
    primary, redundant = wanted.values()
    for index in range(verdict.entries_of(number), len(primary)):
        primary[index] = redundant[index] = min(primary[index], redundant[index])
    return Conflict(wanted, [], [])


def _doubts(verdict: Evidence, number: int, conflict: Conflict) -> Iterator[_Doubt]:
    start = number * verdict.header.gtes_per_gt
    for grain, (one, other) in enumerate(zip(*conflict.wanted.values(), strict=True), start):
        if one != other:
            sound = [entry for entry in (one, other) if verdict.could_be(grain, entry)]
            yield _Doubt(grain, one, other, sound)


def _contested(doubts: list[_Doubt], verdict: Evidence) -> set[int]:
    """Entries whose place a second grain claims as well."""
    claims = sorted((entry, doubt.grain) for doubt in doubts for entry in doubt.sound)
    found: set[int] = set()
    for (entry, grain), (following, other) in itertools.pairwise(claims):
        if grain != other and following - entry < verdict.header.grain_size:
            found.update((entry, following))
    return found


def _right_one(verdict: Evidence, doubt: _Doubt, contested: set[int], is_full: bool) -> int | None:
    unclean = verdict.header.unclean
    holes = [entry for entry in (doubt.one, doubt.other) if entry <= verdict.last_hole]
    if len(holes) == 2:  # 0 and 1: nothing, and zeros
        if not verdict.inherits:
            return doubt.one
        return 1 if unclean else None  # a write cut off before its second copy
    if len(doubt.sound) == 1 and doubt.sound[0] not in contested:
        # Of a write cut off, the grain was on disk before the entry, over 0 and over 1 alike.
        is_proven = holes in ([], [0]) or unclean
        return doubt.sound[0] if is_proven else None
    hides_parent = verdict.inherits and verdict.header.has_zeroed_grains  # 0 may have been 1
    if not doubt.sound and len(holes) == 1 and is_full and not hides_parent:
        return holes[0]
    return None
