# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Writes beside a device instead of into it."""

from __future__ import annotations

import os
import tempfile
import threading
import typing as t

from .device import Device
from .extent import Extent, Kind, clip, merge
from .files import File

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .device import BlockDevice, Buffer

GRAIN = 64 << 10  # bytes; a write moves at most two of them needlessly


class Overlay(Device):
    """Another device, with all writes kept in a nameless sparse file. Owns the base.

    The overlay dies with the process: for a restore point that somebody wants to write to.
    """

    def __init__(self, base: BlockDevice, folder: str | None = None) -> None:
        fd, path = tempfile.mkstemp(prefix="vdisk-overlay-", dir=folder)
        os.close(fd)
        file = File(path, writable=True)
        os.unlink(path)
        file.truncate(base.size)
        self._adopt(base, file, set())

    def _adopt(self, base: BlockDevice, file: File, written: set[int]) -> None:
        """`written`: the grains that live in the file."""
        self.base, self.size = base, base.size
        self.name = f"{getattr(base, 'name', 'disk')} (overlay)"
        self._file, self._written = file, written
        self._lock = threading.RLock()

    def readinto(self, offset: int, buffer: memoryview) -> None:
        length = self.check_range(offset, buffer.nbytes)
        with self._lock:
            for start, end, mine in self._runs(offset, offset + length):
                part = buffer[start - offset : end - offset]
                (self._file if mine else self.base).readinto(start, part)

    def write(self, offset: int, data: Buffer) -> None:
        length = self.check_range(offset, memoryview(data).nbytes)
        with self._lock:
            grains = self._prepare(offset, offset + length)
            self._file.write(offset, data)
            self._take(grains)  # not before: where that fails, the base still shows

    def zero(self, offset: int, length: int) -> None:
        self.check_range(offset, length)
        with self._lock:
            grains = self._prepare(offset, offset + length)
            self._file.zero(offset, length)
            self._take(grains)

    def _prepare(self, start: int, end: int) -> range:
        """The grains of a run that is to be written; the two at its ends get their content."""
        if start == end:
            return range(0)
        first, last = start // GRAIN, (end - 1) // GRAIN
        for grain in {first, last} - self._written:
            begin = grain * GRAIN
            content = bytearray(min(GRAIN, self.size - begin))
            self.base.readinto(begin, memoryview(content))
            self._file.write(begin, content)
        return range(first, last + 1)

    def _take(self, grains: range) -> None:
        self._written.update(grains)

    def _runs(self, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """(start, end, in the file) of runs that live in one place."""
        while start < end:
            grain = start // GRAIN
            mine = grain in self._written
            stop = (grain + 1) * GRAIN
            while stop < end and (stop // GRAIN in self._written) is mine:
                stop += GRAIN
            yield start, min(stop, end), mine
            start = stop

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        with self._lock:
            runs = list(self._runs(offset, offset + length))
        return merge(self._extents(runs))

    def _extents(self, runs: list[tuple[int, int, bool]]) -> Iterator[Extent]:
        for start, end, mine in runs:
            if mine:
                yield Extent(start, end - start, Kind.DATA)
            else:
                yield from clip(self.base.extents(start, end - start), start, end)

    def close(self) -> None:
        self._file.close()
        self.base.close()
