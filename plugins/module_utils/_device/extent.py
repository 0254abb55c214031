# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Runs of a disk and what is known about them."""

from __future__ import annotations

import enum
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


class Kind(enum.Enum):
    """What a run of a disk holds."""

    DATA = "data"
    ZERO = "zero"
    INHERITED = "inherited"  # nothing here: the parent answers


class Extent(t.NamedTuple):
    """A run of one kind; offset and length in bytes."""

    offset: int
    length: int
    kind: Kind

    @property
    def end(self) -> int:
        return self.offset + self.length


def clip(extents: Iterable[Extent], start: int, end: int) -> Iterator[Extent]:
    """The parts of the sorted `extents` between two byte offsets."""
    for extent in extents:
        if extent.offset >= end:
            return
        first, last = max(extent.offset, start), min(extent.end, end)
        if first < last:
            yield Extent(first, last - first, extent.kind)


def merge(extents: Iterable[Extent]) -> Iterator[Extent]:
    """Join neighbours of one kind."""
    held: Extent | None = None
    for extent in extents:
        if held is not None and held.end == extent.offset and held.kind is extent.kind:
            held = Extent(held.offset, held.length + extent.length, held.kind)
            continue
        if held is not None:
            yield held
        held = extent
    if held is not None:
        yield held


def shift(extents: Iterable[Extent], by: int) -> Iterator[Extent]:
    """The same runs, `by` bytes further on."""
    for extent in extents:
        yield Extent(extent.offset + by, extent.length, extent.kind)


def pieces(extents: Iterable[Extent], size: int) -> Iterator[Extent]:
    """Cut runs at multiples of `size`, so that no piece crosses one."""
    for extent in extents:
        offset = extent.offset
        while offset < extent.end:
            stop = min(extent.end, (offset // size + 1) * size)
            yield Extent(offset, stop - offset, extent.kind)
            offset = stop


def widen_data(extents: Iterable[Extent], grain: int, end: int) -> Iterator[Extent]:
    """DATA and ZERO runs with every data run widened to whole grains (or to `end`)."""
    done = 0
    for extent in extents:
        if extent.kind is Kind.ZERO:
            continue
        start = max(done, extent.offset // grain * grain)
        stop = min(-(-extent.end // grain) * grain, end)
        if start > done:
            yield Extent(done, start - done, Kind.ZERO)
        if stop > start:
            yield Extent(start, stop - start, Kind.DATA)
        done = max(done, stop)
    if done < end:
        yield Extent(done, end - done, Kind.ZERO)
