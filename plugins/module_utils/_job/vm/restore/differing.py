# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk of this host onto one that is much like it: only what differs is written."""

from __future__ import annotations

import heapq
import typing as t

from ...._device.copy import PIECE
from ...._device.extent import Kind, pieces, widen_data
from ...._device.transfer import Transfer

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ...._device.device import BlockDevice
    from ...._device.extent import Extent
    from ...._device.progress import Progress


def write_differences(
    source: BlockDevice, target: BlockDevice, progress: Progress, label: str
) -> Transfer:
    """Make target's content that of source, in place. Target may be larger.

    Interrupted, it leaves a mixture, which the next run completes. Raises DiskError.
    """
    done = Transfer(bytes_total=source.size)
    progress.start(label, source.size)
    wanted, found = bytearray(PIECE), bytearray(PIECE)
    for piece in _with_data(source, target):
        new, old = memoryview(wanted)[: piece.length], memoryview(found)[: piece.length]
        source.readinto(piece.offset, new)
        target.readinto(piece.offset, old)
        done.bytes_read += piece.length
        if new != old:
            target.write(piece.offset, new)
            done.bytes_written += piece.length
        progress.advance(piece.length)
    target.flush()
    progress.finish()
    done.bytes_reused = source.size - done.bytes_written
    return done.finish()


def _with_data(source: BlockDevice, target: BlockDevice) -> Iterator[Extent]:
    """Pieces where either of them may hold data, in order."""
    size = source.size
    held = (source.extents(0, size), target.extents(0, size))
    data = ([run for run in runs if run.kind is not Kind.ZERO] for runs in held)
    merged = heapq.merge(*data, key=lambda run: run.offset)
    runs = widen_data(merged, PIECE, size)
    return pieces((run for run in runs if run.kind is Kind.DATA), PIECE)
