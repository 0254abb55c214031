# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Are two devices equal, and what is the digest of one."""

from __future__ import annotations

import hashlib
import typing as t

from .copy import PIECE
from .extent import Extent, Kind, pieces, widen_data
from .pipeline import DEFAULT_WORKERS, ordered_map
from .progress import Silent
from .zeros import ZEROS

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .device import BlockDevice
    from .progress import Progress


def compare(a: BlockDevice, b: BlockDevice, *, workers: int = DEFAULT_WORKERS) -> int | None:
    """The first byte at which the devices differ, None if they are equal.

    Where one ends before the other, that end is the difference, whatever follows.
    """
    common = min(a.size, b.size)

    def difference(span: Extent) -> int | None:
        return _difference(a, b, span)

    for found in ordered_map(difference, _spans_with_data(a, b, common), workers):
        if found is not None:
            return found
    return None if a.size == b.size else common


def _spans_with_data(a: BlockDevice, b: BlockDevice, end: int) -> Iterator[Extent]:
    """Pieces where either device may hold data, in order."""
    a_runs = pieces(widen_data(a.extents(0, end), PIECE, end), PIECE)
    b_runs = pieces(widen_data(b.extents(0, end), PIECE, end), PIECE)
    # Both are cut at the same multiples of PIECE, so the runs come in pairs.
    for run_a, run_b in zip(a_runs, b_runs, strict=True):
        if run_a.kind is Kind.DATA or run_b.kind is Kind.DATA:
            yield run_a


def _difference(a: BlockDevice, b: BlockDevice, span: Extent) -> int | None:
    left, right = bytearray(span.length), bytearray(span.length)
    a.readinto(span.offset, memoryview(left))
    b.readinto(span.offset, memoryview(right))
    if left == right:
        return None
    low, high = 0, span.length  # left[:low] == right[:low]; halve until one byte is left
    while high - low > 1:
        middle = (low + high) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle
    return span.offset + low


def digest(device: BlockDevice, *, progress: Progress | None = None, label: str = "") -> str:
    """`sha256:<hex>` of the whole content."""
    progress = progress or Silent()
    progress.start(label, device.size)
    running = hashlib.sha256()
    work = pieces(widen_data(device.extents(), PIECE, device.size), PIECE)

    def load(span: Extent) -> tuple[int, bytearray | None]:
        if span.kind is Kind.ZERO:
            return span.length, None
        buffer = bytearray(span.length)
        device.readinto(span.offset, memoryview(buffer))
        return span.length, buffer

    for length, data in ordered_map(load, work):
        for chunk in (data,) if data is not None else _zeros(length):
            running.update(chunk)
        progress.advance(length)
    progress.finish()
    return f"sha256:{running.hexdigest()}"


def _zeros(length: int) -> Iterator[memoryview]:
    view = memoryview(ZEROS)
    for done in range(0, length, len(ZEROS)):
        yield view[: min(len(ZEROS), length - done)]
