# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Moving the whole content of one device to another."""

from __future__ import annotations

import errno
import os
import typing as t

from .errors import InvalidRequest, from_oserror
from .extent import Extent, Kind, pieces, widen_data
from .pipeline import DEFAULT_WORKERS, BufferPool, ordered_map
from .progress import Silent
from .raw import RawDevice
from .transfer import Transfer
from .zeros import data_runs

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .device import BlockDevice
    from .progress import Progress

PIECE = 2 << 20  # bytes read at once: long enough for the disk, short enough for the cache
GRAIN = 64 << 10  # zeros are looked for in runs of this many bytes, the grain of a VMDK
_NOT_IN_KERNEL = (errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM)


@t.runtime_checkable
class EncodingTarget(t.Protocol):
    """A target that compresses: encode() runs on threads, append() in order on one."""

    def encode(self, offset: int, data: memoryview) -> object:
        """What append() will take for this piece. Pieces begin at multiples of GRAIN."""

    def append(self, encoded: t.Any) -> int:
        """Write it behind what came before; the bytes of disk that were stored."""


class _Loaded(t.NamedTuple):
    extent: Extent
    buffer: bytearray | None  # None: nothing left to write
    runs: list[tuple[int, int]]  # the parts of the buffer that hold data
    encoded: object


class _Stored(t.NamedTuple):
    extent: Extent
    written: int  # bytes; the rest was zeros


def copy(
    source: BlockDevice,
    target: BlockDevice,
    *,
    target_is_zero: bool = False,
    progress: Progress | None = None,
    label: str = "",
    workers: int = DEFAULT_WORKERS,
) -> Transfer:
    """Make target's content that of source; target may be larger, its rest is not touched.

    With target_is_zero (a disk just created) zeros are not written at all.
    """
    if target.size < source.size:
        raise InvalidRequest(f"a disk of {target.size} bytes cannot hold {source.size} bytes")
    job = _CopyJob(source, target, target_is_zero, progress or Silent())
    return job.run(label, workers)


class _CopyJob:
    def __init__(
        self, source: BlockDevice, target: BlockDevice, target_is_zero: bool, progress: Progress
    ) -> None:
        self.source, self.target = source, target
        self.target_is_zero = target_is_zero
        self.progress = progress
        self.encoder = target if isinstance(target, EncodingTarget) else None
        self.in_kernel = isinstance(source, RawDevice) and isinstance(target, RawDevice)
        self.buffers = BufferPool(PIECE)
        self.transfer = Transfer(bytes_total=source.size)

    def run(self, label: str, workers: int) -> Transfer:
        self.progress.start(label, self.source.size)
        plan = widen_data(self.source.extents(), GRAIN, self.source.size)
        for stored in self._results(_work(plan), workers):
            self._count(stored)
        self.progress.finish()
        return self.transfer.finish()

    def _results(self, work: Iterator[Extent], workers: int) -> Iterator[_Stored]:
        if getattr(self.target, "writes_in_parallel", False):
            return ordered_map(lambda extent: self._store(self._load(extent)), work, workers)
        return map(self._store, ordered_map(self._load, work, workers))

    def _count(self, stored: _Stored) -> None:
        length = stored.extent.length
        self.transfer.bytes_read += length if stored.extent.kind is Kind.DATA else 0
        self.transfer.bytes_written += stored.written
        self.transfer.bytes_zero += length - stored.written
        self.progress.advance(length)

    def _load(self, extent: Extent) -> _Loaded:
        if extent.kind is Kind.ZERO:
            return _Loaded(extent, None, [], None)
        if self.in_kernel and self._copy_in_kernel(extent):
            return _Loaded(extent, None, [(0, extent.length)], None)
        buffer = self.buffers.take()
        view = memoryview(buffer)[: extent.length]
        self.source.readinto(extent.offset, view)
        if self.encoder is not None:
            return _Loaded(extent, buffer, [], self.encoder.encode(extent.offset, view))
        return _Loaded(extent, buffer, list(data_runs(buffer, extent.length, GRAIN)), None)

    def _store(self, loaded: _Loaded) -> _Stored:
        length = loaded.extent.length
        if loaded.extent.kind is Kind.ZERO:
            written = self._store_zeros(loaded.extent.offset, length)
        elif loaded.buffer is None:
            written = length
        elif self.encoder is not None:
            written = self.encoder.append(loaded.encoded)
        else:
            written = self._store_runs(loaded.extent, loaded.buffer, loaded.runs)
        if loaded.buffer is not None:
            self.buffers.give(loaded.buffer)
        return _Stored(loaded.extent, written)

    def _store_runs(self, extent: Extent, buffer: bytearray, runs: list[tuple[int, int]]) -> int:
        view = memoryview(buffer)
        done = written = 0
        for start, end in runs:
            self._store_zeros(extent.offset + done, start - done)
            self.target.write(extent.offset + start, view[start:end])
            written += end - start
            done = end
        self._store_zeros(extent.offset + done, extent.length - done)
        return written

    def _store_zeros(self, offset: int, length: int) -> int:
        if length and not self.target_is_zero:
            self.target.zero(offset, length)
        return 0

    def _copy_in_kernel(self, extent: Extent) -> bool:
        """copy_file_range(2): shares the blocks where the file system can; False if it may not."""
        source = t.cast("RawDevice", self.source)
        target = t.cast("RawDevice", self.target)
        start, into = source.offset + extent.offset, target.offset + extent.offset
        left = extent.length
        while left:
            try:
                count = os.copy_file_range(
                    source.file.fileno(), target.file.fileno(), left, start, into
                )
            except OSError as error:
                if error.errno in _NOT_IN_KERNEL:
                    self.in_kernel = False
                    return False
                raise from_oserror(error, f"write byte {into}", target.name) from error
            if count == 0:  # the ordinary road tells what is wrong
                return False
            start, into, left = start + count, into + count, left - count
        return True


def _work(plan: t.Iterable[Extent]) -> t.Iterator[Extent]:
    """Data in pieces, zeros in one go."""
    for extent in plan:
        if extent.kind is Kind.ZERO:
            yield extent
        else:
            yield from pieces((extent,), PIECE)
