# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Reading a streamOptimized extent at random (TN p.11-13)."""

from __future__ import annotations

import itertools
import typing as t

from ..._device.device import Device
from ..._device.extent import Extent, Kind, clip, merge
from ..._device.pipeline import BufferPool
from ..._device.recent import Recent
from ..extents.header import SECTOR
from .grain import GrainDecoder
from .rebuild import find_tables

if t.TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from ..._device.device import BlockDevice
    from ..._device.files import File
    from ..extents.header import SparseHeader

_RUN = 1 << 20  # bytes of the file read at once
_CACHED = 4 << 20  # bytes of inflated grains held for small reads


class StreamExtent(Device):
    """The disk in a stream: by its grain directory, or by its markers where that is lost.

    Read-only: grains are never rewritten in place. Reads raise CorruptDisk or TruncatedDisk where
    a grain or its table is damaged, and only there. Owns its file, not its parent.

    size: bytes, where the descriptor says less than the header's capacity.
    parent: what absent grains show, in this extent's own offsets.
    inherits: absent grains belong to a parent even if it is not open (a link opened alone).
    """

    def __init__(
        self,
        file: File,
        header: SparseHeader,
        *,
        size: int | None = None,
        parent: BlockDevice | None = None,
        inherits: bool = False,
    ) -> None:
        """Raises CorruptDisk or TruncatedDisk where the directory or a table is not there."""
        self.file = file
        self.name = file.path
        self.parent = parent
        self._inherits = inherits or parent is not None
        self.header, self._tables, self.flags = find_tables(file, header)
        self.size = self.header.capacity * SECTOR if size is None else size
        self._grain = self.header.grain_size * SECTOR
        self._last_hole = 1 if self.header.has_zeroed_grains else 0  # highest entry without data
        self._decoder = GrainDecoder(file, self.header)
        self._buffers = BufferPool(_RUN + self._decoder.reach)
        self._inflated: Recent[int, bytes] = Recent(max(2, _CACHED // self._grain))

    def readinto(self, offset: int, buffer: memoryview) -> None:
        end = offset + self.check_range(offset, buffer.nbytes)
        stop = -(-end // self._grain) if end == self.size else end // self._grain
        while offset < end:
            grain, skip = divmod(offset, self._grain)
            if skip == 0 and grain < stop:
                length = min((stop - grain) * self._grain, end - offset)
                self._read_whole(grain, stop - grain, buffer[:length])
            else:
                length = min(self._grain - skip, end - offset)
                self._read_part(grain, skip, buffer[:length])
            offset += length
            buffer = buffer[length:]

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        end = offset + self.check_range(offset, length)
        return merge(self._kinds(offset, end))

    def _kinds(self, offset: int, end: int) -> Iterator[Extent]:
        for run in clip(self._runs(offset // self._grain, -(-end // self._grain)), offset, end):
            if run.kind is Kind.INHERITED and self.parent is not None:
                yield from self.parent.extents(run.offset, run.length)
            else:
                yield run

    def close(self) -> None:
        self.file.close()

    def _runs(self, first: int, stop: int) -> Iterator[Extent]:
        """The kinds of some grains; the last run may reach beyond the end of the disk."""
        for grain, entries in self._tables.walk(first, stop):
            if first < grain:
                yield self._run(first, grain - first, 0)
            for entry, count in _alike(entries, self._last_hole):
                yield self._run(grain, count, entry)
                grain += count
            first = grain
        if first < stop:
            yield self._run(first, stop - first, 0)

    def _run(self, first: int, count: int, entry: int) -> Extent:
        return Extent(first * self._grain, count * self._grain, self._kind(entry))

    def _kind(self, entry: int) -> Kind:
        if entry > self._last_hole:
            return Kind.DATA
        return Kind.INHERITED if entry == 0 and self._inherits else Kind.ZERO

    def _read_part(self, grain: int, skip: int, view: memoryview) -> None:
        """Some bytes of one grain, which stays inflated for the next such read."""
        entry = self._tables.entries(grain, 1)[0]
        if entry <= self._last_hole:
            self._fill_hole(entry, grain * self._grain + skip, view)
        else:
            content = self._inflated.get(grain, self._load_grain)
            view[:] = content[skip : skip + view.nbytes]

    def _load_grain(self, grain: int) -> bytes:
        content = bytearray(min(self._grain, self.size - grain * self._grain))
        self._read_run(grain, self._tables.entries(grain, 1), memoryview(content))
        return bytes(content)

    def _read_whole(self, grain: int, count: int, view: memoryview) -> None:
        entries = self._tables.entries(grain, count)
        for start, stop in self._spans(entries):
            part = view[start * self._grain : stop * self._grain]
            if entries[start] <= self._last_hole:
                self._fill_hole(entries[start], (grain + start) * self._grain, part)
            else:
                self._read_run(grain + start, entries[start:stop], part)

    def _spans(self, entries: array[int]) -> Iterator[tuple[int, int]]:
        """(start, stop) of holes of one kind, and of grains that one read of the file gets."""
        start = 0
        for stop in range(1, len(entries) + 1):
            if stop == len(entries) or not self._belong_together(entries, start, stop):
                yield start, stop
                start = stop

    def _belong_together(self, entries: array[int], start: int, at: int) -> bool:
        last, this = entries[at - 1], entries[at]
        if min(last, this) <= self._last_hole:
            return last == this
        gap, run = (this - last) * SECTOR, (this - entries[start]) * SECTOR
        return 0 < gap < self._decoder.reach + SECTOR and run <= _RUN

    def _fill_hole(self, entry: int, offset: int, view: memoryview) -> None:
        if entry == 0 and self.parent is not None:
            self.parent.readinto(offset, view)
        else:
            view[:] = bytes(view.nbytes)

    def _read_run(self, first: int, sectors: array[int], view: memoryview) -> None:
        """Grains that lie close together in the file, each inflated to its place in the view."""
        start, end = sectors[0] * SECTOR, sectors[-1] * SECTOR + self._decoder.reach
        buffer = self._buffers.take()
        data = memoryview(buffer)[: min(end, self.file.size) - start]
        self.file.readinto(start, data)
        for index, sector in enumerate(sectors):
            content = self._decoder.decode(first + index, sector, data[sector * SECTOR - start :])
            part = view[index * self._grain : (index + 1) * self._grain]
            part[:] = content[: part.nbytes]
        self._buffers.give(buffer)


def _alike(entries: array[int], last_hole: int) -> Iterator[tuple[int, int]]:
    """(entry, count) of neighbours of one kind; whole tables of one kind cost nothing."""
    holes = entries.count(0)
    if holes == len(entries) or (holes == 0 and last_hole == 0):
        yield entries[0], len(entries)
        return
    for entry, group in itertools.groupby(entries, lambda entry: min(entry, last_hole + 1)):
        yield entry, sum(1 for _entry in group)
