# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Counting what uses each blob, in four bytes for each: there may be many millions."""

from __future__ import annotations

import array
import collections
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable

Blob = tuple[bytes, int, int]  # beginning of the pack's name, number there, length in bytes

SHARED = -1  # the owner of what several have
_ROOM = 128  # blobs; about as many as a pack has


class _Numbers:
    """A number for each blob, 0 at first."""

    def __init__(self) -> None:
        self._packs: dict[bytes, array.array[int]] = {}

    def of(self, pack: bytes, number: int) -> array.array[int]:
        """Those of a pack, with room for this blob."""
        numbers = self._packs.get(pack)
        if numbers is None:
            numbers = self._packs[pack] = array.array("i")
        if number >= len(numbers):
            numbers.frombytes(bytes((number + _ROOM - len(numbers)) * numbers.itemsize))
        return numbers


class Uses:
    """How often each blob was added; `bytes` are those of all that are there, each once."""

    def __init__(self) -> None:
        self.bytes = 0
        self._counts = _Numbers()

    def add(self, blobs: Iterable[Blob]) -> None:
        for pack, number, length in blobs:
            counts = self._counts.of(pack, number)
            if not counts[number]:
                self.bytes += length
            counts[number] += 1

    def remove(self, blobs: Iterable[Blob]) -> None:
        for pack, number, length in blobs:
            counts = self._counts.of(pack, number)
            counts[number] -= 1
            if not counts[number]:
                self.bytes -= length


class Owners:
    """Who has each blob; `bytes` are by owner, and what several have is that of SHARED."""

    def __init__(self) -> None:
        self.bytes: collections.Counter[int] = collections.Counter()
        self._owners = _Numbers()  # plus one, so that 0 is nobody; of SHARED as it is

    def add(self, blobs: Iterable[Blob], owner: int) -> None:
        mark = owner if owner == SHARED else owner + 1
        for pack, number, length in blobs:
            owners = self._owners.of(pack, number)
            if owners[number] == 0:
                owners[number] = mark
                self.bytes[owner] += length
            elif owners[number] not in (mark, SHARED):
                self.bytes[owners[number] - 1] -= length
                self.bytes[SHARED] += length
                owners[number] = SHARED
