# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A hosted sparse extent (KDMV): grains anywhere in a file, found through tables (TN p.6-9)."""

from __future__ import annotations

import threading
import typing as t
from array import array

from .._device.device import Device, read
from .._device.errors import CorruptDisk, TruncatedDisk
from .._device.extent import Extent, Kind, merge
from .._device.zeros import ZEROS, is_zero
from .header import MAGIC, SECTOR, UNCLEAN_OFFSET
from .tables import FileSpace, GrainTables

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .._device.device import BlockDevice, Buffer
    from .._device.files import File
    from .header import SparseHeader

_NOTHING, _ZEROED = 0, 1  # table entries that are not a place in the file


class _Run(t.NamedTuple):
    """Bytes start..stop of the disk that lie behind each other in the file, or are nowhere."""

    entry: int
    start: int
    stop: int
    position: int  # byte of the file where `start` lies

    @property
    def length(self) -> int:
        return self.stop - self.start


class SparseExtent(Device):
    """One extent file, or a whole monolithicSparse disk.

    parent: what unallocated grains show, in this extent's own offsets.
    inherits: unallocated grains belong to a parent even if it is not open (a link opened alone).
    fresh: the file is still being made, so nothing needs an order of writes yet.
    """

    def __init__(
        self,
        file: File,
        header: SparseHeader,
        *,
        size: int | None = None,
        parent: BlockDevice | None = None,
        inherits: bool = False,
        fresh: bool = False,
    ) -> None:
        """Raises TruncatedDisk where no grain directory can be read."""
        self.file, self.header, self.parent = file, header, parent
        self.size = header.capacity * SECTOR if size is None else size
        self.name = file.path
        self._inherits = inherits or parent is not None
        self._fresh = fresh
        self._grain = header.grain_size * SECTOR
        self._space = FileSpace(file)
        self.tables = GrainTables(file, header, self._space)
        self._lock = threading.Lock()
        self._written = False

    @property
    def flags(self) -> list[str]:
        """What is wrong with it, as far as it was read."""
        unclean = ["was not closed after the last write"] if self.header.unclean else []
        return [f"{self.name}: {text}" for text in (*unclean, *self.tables.flags)]

    # Where things are

    def _runs(self, offset: int, end: int) -> Iterator[_Run]:
        grain, step = self._grain, self.header.grain_size
        for first, entries, empty in self.tables.slices(offset // grain, -(-end // grain)):
            for begin, stop, entry in _same(entries, step, empty):
                start = (first + begin) * grain
                skip = max(0, offset - start)
                if entry != _NOTHING:
                    self._check_entry(entry, first + begin)
                yield _Run(
                    entry,
                    start + skip,
                    min(end, (first + stop) * grain),
                    entry * SECTOR + skip,
                )

    def _check_entry(self, entry: int, grain: int) -> None:
        if entry == _ZEROED and not self.header.has_zeroed_grains:
            raise CorruptDisk(
                f"the table entry of grain {grain} points into the header",
                path=self.name,
                found=entry,
                expected=f"0 or a sector up to {self._space.end}",
                hint="Restore the file from a good copy.",
            )
        if entry >= self._space.end:
            raise TruncatedDisk(
                f"grain {grain} lies beyond the end of the file",
                path=self.name,
                offset=entry * SECTOR,
                expected=f"a file longer than {self._space.end * SECTOR} bytes",
                hint="Restore the file from a good copy.",
            )

    # Reading

    def readinto(self, offset: int, buffer: memoryview) -> None:
        length = self.check_range(offset, buffer.nbytes)
        for run in self._runs(offset, offset + length):
            part = buffer[run.start - offset : run.stop - offset]
            if run.entry > _ZEROED:
                self.file.readinto(run.position, part)
            elif run.entry == _NOTHING and self.parent is not None:
                self.parent.readinto(run.start, part)
            else:
                _clear(part)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        return merge(self._kinds(offset, offset + length))

    def _kinds(self, offset: int, end: int) -> Iterator[Extent]:
        for run in self._runs(offset, end):
            if run.entry > _ZEROED:
                yield Extent(run.start, run.length, Kind.DATA)
            elif run.entry == _ZEROED or not self._inherits:
                yield Extent(run.start, run.length, Kind.ZERO)
            elif self.parent is None:
                yield Extent(run.start, run.length, Kind.INHERITED)
            else:
                yield from self.parent.extents(run.start, run.length)

    # Writing

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        length = self.check_range(offset, view.nbytes)
        if not self.file.writable:
            super().write(offset, data)
        with self._lock:
            self._begin()
            for run in list(self._runs(offset, offset + length)):
                part = view[run.start - offset : run.stop - offset]
                if run.entry > _ZEROED:
                    self.file.write(run.position, part)
                else:
                    self._allocate(run, part)
            self._write_back_if_many()

    def zero(self, offset: int, length: int) -> None:
        self.check_range(offset, length)
        if not self.file.writable:
            super().zero(offset, length)
        with self._lock:
            self._begin()
            for run in list(self._runs(offset, offset + length)):
                if run.entry > _ZEROED:
                    self.file.zero(run.position, run.length)
                elif run.entry == _NOTHING and self._inherits:
                    self._hide_parent(run)
            self._write_back_if_many()

    def _begin(self) -> None:
        """The unclean mark goes to disk no later than the first data behind it (TN p.7)."""
        if not self._written:
            self.file.write(UNCLEAN_OFFSET, b"\x01")
            self._written = True

    def _allocate(self, run: _Run, data: memoryview | None) -> None:
        """New grains for a run that has none; without data they read as zeros."""
        first, last = run.start // self._grain, -(-run.stop // self._grain)
        step = self.header.grain_size
        sector = self._space.take((last - first) * step, align=step)
        place = sector * SECTOR - first * self._grain  # byte of the file for byte 0 of the disk
        if run.entry == _NOTHING and self.parent is not None:
            self._copy_from_parent(first * self._grain, run.start, place)
            self._copy_from_parent(run.stop, min(last * self._grain, self.size), place)
        if data is not None:
            self.file.write(place + run.start, data)
        if data is None or run.stop < last * self._grain:
            self.file.truncate(self._space.end * SECTOR)  # new, so what is not written is zero
        self.tables.set(first, array("I", range(sector, self._space.end, step)))

    def _copy_from_parent(self, start: int, stop: int, place: int) -> None:
        if start < stop and self.parent is not None:
            data = read(self.parent, start, stop - start)
            if not is_zero(data, 0, len(data)):
                self.file.write(place + start, data)

    def _hide_parent(self, run: _Run) -> None:
        """Zeros that cover a parent: marked where the header allows it, else real grains."""
        first, last = -(-run.start // self._grain), run.stop // self._grain
        if run.stop == self.size:
            last = -(-run.stop // self._grain)
        if not self.header.has_zeroed_grains or first >= last:
            self._allocate(run, None)
            return
        begin, end = first * self._grain, min(last * self._grain, run.stop)
        if run.start < begin:
            self._allocate(run._replace(stop=begin), None)
        if end < run.stop:
            self._allocate(run._replace(start=end), None)
        self.tables.set(first, array("I", [_ZEROED]) * (last - first))

    # Making it last

    def _barrier(self) -> None:
        if not self._fresh:
            self.file.flush()

    def _write_back_if_many(self) -> None:
        if self.tables.wants_flush:
            self.tables.flush(self._barrier)

    def flush(self) -> None:
        with self._lock:
            if self._written:
                self.tables.flush(self._barrier)
            self.file.flush()

    def finish(self) -> None:
        """What was being made is complete: content first, then the magic that readers look for."""
        self.flush()
        self.file.write(0, MAGIC)
        self.file.write(UNCLEAN_OFFSET, b"\0")
        self.file.flush()
        self.file.close()

    def close(self) -> None:
        if self.file.fileno() < 0:
            return
        try:
            if self._written:
                self.flush()
                self.file.write(UNCLEAN_OFFSET, b"\0")
                self.file.flush()
        finally:
            self.file.close()


def _same(entries: array[int], step: int, empty: bool) -> Iterator[tuple[int, int, int]]:
    """(start, stop, first entry) of the runs of grains that belong together."""
    start, count = 0, len(entries)
    while start < count:
        entry, stop = entries[start], start + 1
        if empty:
            stop = count
        elif entry > _ZEROED:
            following = entry + step
            while stop < count and entries[stop] == following:
                following += step
                stop += 1
        else:
            while stop < count and entries[stop] == entry:
                stop += 1
        yield start, stop, entry
        start = stop


def _clear(buffer: memoryview) -> None:
    for start in range(0, buffer.nbytes, len(ZEROS)):
        part = buffer[start : start + len(ZEROS)]
        part[:] = memoryview(ZEROS)[: part.nbytes]
