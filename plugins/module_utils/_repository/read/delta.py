# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A restore point onto a disk that is much like it: only chunks that differ are fetched."""

from __future__ import annotations

import contextlib
import heapq
import typing as t

from ..._device.copy import GRAIN
from ..._device.errors import DiskError, InvalidRequest
from ..._device.extent import Extent, Kind, merge, pieces, widen_data
from ..._device.pipeline import BufferPool, ordered_map
from ..._device.progress import Silent
from ..._device.transfer import Transfer
from ..._device.zeros import data_runs, is_zero

if t.TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from ..._device.device import BlockDevice
    from ..._device.progress import Progress
    from .reader import PointDevice


def first_difference(point: PointDevice, target: BlockDevice) -> int | None:
    """The first byte of the first chunk in which the target is not the point; None if it is.

    The target may be longer; the rest of it does not count. Raises InvalidRequest.
    """
    with contextlib.closing(_Delta(point, target).differing(lambda _same: None)) as found:
        first = next(found, None)
    return None if first is None else first.offset


def restore_differences(
    point: PointDevice, target: BlockDevice, *, progress: Progress | None = None, label: str = ""
) -> Transfer:
    """Make target's content that of the point, in place; what is equal is neither fetched nor
    written.

    In the transfer `bytes_read` is what was compared, `bytes_reused` what was equal. Interrupted,
    it leaves a mixture of both, which the next run completes. Raises InvalidRequest.
    """
    return _Delta(point, target).restore(progress or Silent(), label)


_MIXTURE = (
    "The disk is now a mixture of what it was and the restore point. Do not use it; restore it "
    "again, from this point once the cause is mended or from another one."
)


class _Delta:
    def __init__(self, point: PointDevice, target: BlockDevice) -> None:
        if target.size < point.size:
            raise InvalidRequest(
                f"a disk of {target.size} bytes cannot hold {point.size} bytes", path=point.name
            )
        self.point, self.target = point, target
        self.buffers = BufferPool(point.chunk_size)
        self.transfer = Transfer(bytes_total=point.size)
        self.touched = False  # whether anything was written

    def restore(self, progress: Progress, label: str) -> Transfer:
        progress.start(label, self.point.size)
        # All is compared before anything is written: nobody reads what is being changed.
        found = list(merge(self.differing(progress.advance)))
        try:
            self._replace(found, progress)
        except DiskError as error:
            if self.touched:
                error.hint = f"{_MIXTURE} {error.hint or ''}".rstrip()
            raise
        progress.finish()
        moved = self.transfer.bytes_written + self.transfer.bytes_zero
        self.transfer.bytes_reused = self.point.size - moved
        return self.transfer.finish()

    def _replace(self, found: list[Extent], progress: Progress) -> None:
        for extent, buffer in ordered_map(self._fetch, pieces(found, self.point.chunk_size)):
            self.touched = True
            self._write(extent, buffer)
            self.buffers.give(buffer)
            progress.advance(extent.length)
        self.target.flush()

    def differing(self, same: Callable[[int], None]) -> Generator[Extent, None, None]:
        """The chunks that differ, in order; same(bytes) is called for all others."""
        size = self.point.size
        held = (self.point.extents(), self.target.extents(0, size))
        data = ([run for run in runs if run.kind is not Kind.ZERO] for runs in held)
        runs = list(
            widen_data(heapq.merge(*data, key=lambda run: run.offset), self.point.chunk_size, size)
        )
        same(sum(run.length for run in runs if run.kind is Kind.ZERO))
        looked = pieces((run for run in runs if run.kind is Kind.DATA), self.point.chunk_size)
        for extent, equal in ordered_map(self._compare, looked):
            self.transfer.bytes_read += extent.length
            if equal:
                same(extent.length)
            else:
                yield extent

    def _compare(self, extent: Extent) -> tuple[Extent, bool]:
        buffer = self.buffers.take()
        content = memoryview(buffer)[: extent.length]
        self.target.readinto(extent.offset, content)
        zero = is_zero(buffer, 0, extent.length)
        number = extent.offset // self.point.chunk_size
        equal = self.point.holds(number, None if zero else content)
        self.buffers.give(buffer)
        return extent, equal

    def _fetch(self, extent: Extent) -> tuple[Extent, bytearray]:
        buffer = self.buffers.take()
        self.point.readinto(extent.offset, memoryview(buffer)[: extent.length])
        return extent, buffer

    def _write(self, extent: Extent, buffer: bytearray) -> None:
        done = 0
        for start, end in (*data_runs(buffer, extent.length, GRAIN), (extent.length,) * 2):
            if start > done:
                self.target.zero(extent.offset + done, start - done)
                self.transfer.bytes_zero += start - done
            if end > start:
                self.target.write(extent.offset + start, memoryview(buffer)[start:end])
                self.transfer.bytes_written += end - start
            done = end
