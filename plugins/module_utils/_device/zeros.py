# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Finding zeros fast: memcmp() through startswith() runs at memory speed."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

ZEROS = bytes(1 << 20)
_ZEROS_VIEW = memoryview(ZEROS)


def is_zero(data: bytearray | bytes, start: int, end: int) -> bool:
    """Whether data[start:end] holds zeros only."""
    step = len(ZEROS)
    while end - start > step:
        if not data.startswith(ZEROS, start, start + step):
            return False
        start += step
    return data.startswith(_ZEROS_VIEW[: end - start], start, end)


def data_runs(data: bytearray | bytes, length: int, grain: int) -> Iterator[tuple[int, int]]:
    """(start, end) of the runs of whole grains in data[:length] that are not all zero.

    Grains are counted from the start of `data`; the last one may be short.
    """
    start = None
    for position in range(0, length, grain):
        end = min(position + grain, length)
        # One byte decides nearly every grain that holds data.
        if data[position] or not is_zero(data, position, end):
            start = position if start is None else start
        elif start is not None:
            yield start, position
            start = None
    if start is not None:
        yield start, length
