# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Reading an extent whose grains lie anywhere in a file, whatever its tables look like."""

from __future__ import annotations

import typing as t

from ..._device.device import Device
from ..._device.errors import CorruptDisk, TruncatedDisk
from ..._device.extent import Extent, Kind, merge
from ..._device.zeros import ZEROS
from .header import SECTOR

if t.TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

    from ..._device.device import BlockDevice
    from ..._device.files import File
    from .tables_header import TablesHeader


NOTHING, ZEROED = 0, 1  # table entries that are not a place in the file (TN p.9)
DISPUTED = 0xFFFF_FFFF  # the copies of a table disagree; no file is long enough for this place


class Slices(t.Protocol):
    """Tables, as far as reading needs them."""

    flags: list[str]

    def slices(self, first: int, last: int) -> Iterator[tuple[int, array[int], bool]]:
        """(first grain, entries, all of them NOTHING) for grains first..last-1."""


class Run(t.NamedTuple):
    """Bytes start..stop of the disk that lie behind each other in the file, or are nowhere."""

    entry: int
    start: int
    stop: int
    position: int  # byte of the file where `start` lies

    @property
    def length(self) -> int:
        return self.stop - self.start


class GrainedDevice(Device):
    """The grains of one file over those of a parent.

    parent: what unallocated grains show, in this extent's own offsets.
    inherits: unallocated grains belong to a parent even if it is not open (a link opened alone).
    """

    def __init__(
        self,
        file: File,
        header: TablesHeader,
        tables: Slices,
        size: int | None,
        parent: BlockDevice | None,
        inherits: bool,
    ) -> None:
        self.file, self.parent = file, parent
        self.size = header.capacity * SECTOR if size is None else size
        self.name = file.path
        self._header, self._slices = header, tables
        self._inherits = inherits or parent is not None
        self._grain = header.grain_size * SECTOR
        self._sectors = -(-file.size // SECTOR)

    @property
    def flags(self) -> list[str]:
        """What is wrong with it, as far as it was read."""
        unclean = ["was not closed after the last write"] if self._header.unclean else []
        return [f"{self.name}: {text}" for text in (*unclean, *self._slices.flags)]

    def _file_sectors(self) -> int:
        return self._sectors

    def close(self) -> None:
        self.file.close()

    # Where things are

    def _runs(self, offset: int, end: int) -> Iterator[Run]:
        grain, step = self._grain, self._header.grain_size
        for first, entries, empty in self._slices.slices(offset // grain, -(-end // grain)):
            hole = [(0, len(entries), NOTHING)]
            for begin, stop, entry in hole if empty else alike(entries, step):
                start = (first + begin) * grain
                skip = max(0, offset - start)
                if entry != NOTHING:
                    self._check_entry(entry, first + begin, stop - begin)
                yield Run(
                    entry,
                    start + skip,
                    min(end, (first + stop) * grain),
                    entry * SECTOR + skip,
                )

    def _check_entry(self, entry: int, grain: int, count: int) -> None:
        """Of a run of `count` grains the first one, or all. Raises CorruptDisk, TruncatedDisk."""
        if entry == ZEROED and not self._header.has_zeroed_grains:
            raise CorruptDisk(
                f"the table entry of grain {grain} points into the header",
                path=self.name,
                found=entry,
                expected=f"0 or a sector up to {self._file_sectors()}",
                hint="Restore the file from a good copy.",
            )
        if entry == DISPUTED and self._header.has_redundant_tables:
            raise CorruptDisk(
                f"the two copies of the grain tables disagree about grain {grain}",
                path=self.name,
                hint="See what proves which is right with vmdk_check, and repair: true.",
            )
        if entry >= self._file_sectors():
            raise TruncatedDisk(
                f"grain {grain} lies beyond the end of the file",
                path=self.name,
                offset=entry * SECTOR,
                expected=f"a file longer than {self._file_sectors() * SECTOR} bytes",
                hint="Restore the file from a good copy.",
            )

    # Reading

    def readinto(self, offset: int, buffer: memoryview) -> None:
        length = self.check_range(offset, buffer.nbytes)
        for run in self._runs(offset, offset + length):
            part = buffer[run.start - offset : run.stop - offset]
            if run.entry > ZEROED:
                self.file.readinto(run.position, part)
            elif run.entry == NOTHING and self.parent is not None:
                self.parent.readinto(run.start, part)
            else:
                _clear(part)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        return merge(self._kinds(offset, offset + length))

    def _kinds(self, offset: int, end: int) -> Iterator[Extent]:
        for run in self._runs(offset, end):
            if run.entry > ZEROED:
                yield Extent(run.start, run.length, Kind.DATA)
            elif run.entry == ZEROED or not self._inherits:
                yield Extent(run.start, run.length, Kind.ZERO)
            elif self.parent is None:
                yield Extent(run.start, run.length, Kind.INHERITED)
            else:
                yield from self.parent.extents(run.start, run.length)


def alike(entries: array[int], step: int) -> Iterator[tuple[int, int, int]]:
    """(start, stop, first entry) of runs: grains behind each other in the file, or one hole."""
    start, count = 0, len(entries)
    while start < count:
        entry, stop = entries[start], start + 1
        if entry > ZEROED:
            following = entry + step
            while stop < count and entries[stop] == following:
                following += step
                stop += 1
        else:  # no place, so nothing lies behind it
            while stop < count and entries[stop] == entry:
                stop += 1
        yield start, stop, entry
        start = stop


def _clear(buffer: memoryview) -> None:
    for start in range(0, buffer.nbytes, len(ZEROS)):
        part = buffer[start : start + len(ZEROS)]
        part[:] = memoryview(ZEROS)[: part.nbytes]
