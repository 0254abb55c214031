# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Bitmaps of allocation: a bit that is 0 is a unit that is free."""

from __future__ import annotations

import re
import typing as t

from ...._device.errors import CorruptDisk

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

Run = tuple[int, int]  # offset and length in bytes of the volume

_EMPTY = re.compile(rb"\x00+|[^\x00\xff]+|\xff+", re.DOTALL)


def clear_runs(bits: bytes, count: int, start: int, unit: int) -> Iterator[Run]:
    """The runs of units whose bit is 0, the lowest bit of a byte first; not joined.

    `start` is the byte of the volume where the first unit is.
    """
    for match in _EMPTY.finditer(bits):
        first, last = match.start() * 8, min(match.end() * 8, count)
        if match[0][0] == 0 and first < last:
            yield start + first * unit, (last - first) * unit
        elif match[0][0] != 0xFF:
            for number in range(first, last):
                if not bits[number >> 3] >> (number & 7) & 1:
                    yield start + number * unit, unit


def joined(runs: Iterable[Run]) -> Iterator[Run]:
    """Runs in their order, joined where they touch. Raises CorruptDisk for one before another."""
    held: Run | None = None
    for offset, length in runs:
        if held is not None and offset < held[0]:
            raise CorruptDisk("the tables of free space are not in order", offset=offset)
        if held is not None and offset <= held[0] + held[1]:
            held = (held[0], max(held[1], offset + length - held[0]))
            continue
        if held is not None:
            yield held
        held = (offset, length)
    if held is not None:
        yield held
