# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A stream that was cut or damaged: grains are found by their markers (TN p.12)."""

from __future__ import annotations

import bisect
import threading
import typing as t
from array import array

from ..._device.errors import CorruptDisk
from ..._device.extent import Extent, Kind, merge
from ..check.table_copy import MAX_DIRECTORY, TableCopy
from ..extents.header import COMPRESSED, DEFLATE, MARKERS, NEWLINE_TEST, SECTOR, SparseHeader
from ..stream.grain import GrainDecoder
from ..stream.layout import effective_header
from ..stream.marker import has_markers
from ..stream.scan import scan_markers
from .part import Fault, SalvagedPart

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.files import File

_ABSENT, _UNKNOWN = 0, 0xFFFF_FFFF  # no grain; nobody knows whether there is one
_HOLES = (_ABSENT, 1, _UNKNOWN)  # 1: zeros (TN p.9)
_MOST_SECTORS = 1 << 32  # of a headless stream, whose size nothing tells before its grains do


class SalvagedStream(SalvagedPart):
    """Every grain that can be found and inflated. Owns its file."""

    def __init__(self, file: File, header: SparseHeader) -> None:
        self.name = file.path
        self._file = file
        self._header = header
        self._grain = header.grain_size * SECTOR
        self.size = header.capacity * SECTOR
        self._tables: dict[int, array[int]] = {}  # sectors of the file; only tables with grains
        self._unknown_from = 0  # absent grains from here on may have been there
        self._find()
        self._numbers = sorted(self._tables)
        self._decoder = GrainDecoder(file, header)
        self._broken: set[int] = set()
        self._lock = threading.Lock()

    @classmethod
    def without_header(cls, file: File) -> SalvagedStream:
        """One that lost its head: the last grain tells the size. Raises CorruptDisk."""
        guess = _headless(_MOST_SECTORS)
        lbas = scan_markers(file, guess).grains.lbas
        if not lbas:
            raise CorruptDisk("holds no grain of a stream", path=file.path)
        return cls(file, _headless(max(lbas) + guess.grain_size))

    def _find(self) -> None:
        """By tables and markers together; where they differ, the markers are right."""
        self._unknown_from = 0 if not self._from_tables() else self._header.grains
        if not has_markers(self._header):
            return
        scan = scan_markers(self._file, self._header)
        known = 0  # grains before the first damage: those that are not there are zeros
        for lba, sector in scan.grains:
            grain = lba // self._header.grain_size
            self._put(grain, sector)
            if scan.first_damage is None or sector * SECTOR < scan.first_damage:
                known = max(known, grain + 1)
        self._unknown_from = max(self._unknown_from, known)
        if scan.complete:
            self._unknown_from = self._header.grains

    def _put(self, grain: int, sector: int) -> None:
        number, index = divmod(grain, self._header.gtes_per_gt)
        if number not in self._tables:
            self._tables[number] = array("I", bytes(4 * self._header.gtes_per_gt))
        self._tables[number][index] = sector

    def _from_tables(self) -> bool:
        """What the tables say; whether all of them could be read."""
        try:
            header = effective_header(self._file, self._header)
        except CorruptDisk:
            return False
        if header.directory_entries > MAX_DIRECTORY or header.grains != self._header.grains:
            return False
        copy = TableCopy(self._file, header, header.gd_offset, "grain directory")
        last_hole = 1 if header.has_zeroed_grains else 0
        for number, place in enumerate(copy.directory or ()):
            table = copy.table(number)
            if table is not None:
                self._tables[number] = table
            elif place > last_hole:
                return False
        return copy.directory is not None

    def _runs(self, offset: int, end: int) -> Iterator[tuple[int, int, int]]:
        """(start, stop, entry) of grains, or of what lies between two tables, in bytes."""
        per_table, grain = self._header.gtes_per_gt, offset // self._grain
        while offset < end:
            number, index = divmod(grain, per_table)
            table = self._tables.get(number)
            entry = _ABSENT if table is None else table[index]
            step = 1 if table is not None else self._next_table(number) - grain
            if entry == _ABSENT and grain >= self._unknown_from:
                entry = _UNKNOWN
            elif entry == _ABSENT:
                step = min(step, self._unknown_from - grain)
            grain += step
            stop = min(end, grain * self._grain)
            yield offset, stop, entry
            offset = stop

    def _next_table(self, number: int) -> int:
        """The first grain of the next table with grains, or behind the last one."""
        place = bisect.bisect_right(self._numbers, number)
        if place == len(self._numbers):
            return self._header.grains
        return self._numbers[place] * self._header.gtes_per_gt

    def readinto(self, offset: int, buffer: memoryview) -> None:
        end = offset + self.check_range(offset, buffer.nbytes)
        for start, stop, entry in self._runs(offset, end):
            part = buffer[start - offset : stop - offset]
            if entry in _HOLES:
                part[:] = bytes(part.nbytes)
            else:
                skip = start % self._grain
                part[:] = self._content(start // self._grain, entry)[skip : skip + part.nbytes]

    def _content(self, grain: int, sector: int) -> bytes:
        try:
            left = self._file.size - sector * SECTOR
            data = self._file.read(sector * SECTOR, max(0, min(self._decoder.reach, left)))
            return self._decoder.decode(grain, sector, memoryview(data))
        except CorruptDisk:
            with self._lock:
                self._broken.add(grain)
            return bytes(self._grain)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        end = offset + self.check_range(offset, length)
        return merge(self._kinds(offset, end))

    def _kinds(self, offset: int, end: int) -> Iterator[Extent]:
        for start, stop, entry in self._runs(offset, end):
            yield Extent(start, stop - start, Kind.ZERO if entry in _HOLES else Kind.DATA)

    def faults(self, offset: int, length: int) -> Iterator[Fault]:
        for start, stop, entry in self._runs(offset, offset + length):
            if entry == _UNKNOWN or start // self._grain in self._broken:
                yield Fault(start, stop - start)

    def close(self) -> None:
        self._file.close()


def _headless(capacity: int) -> SparseHeader:
    """What all writers of streams write, the capacity aside."""
    flags = NEWLINE_TEST | COMPRESSED | MARKERS
    return SparseHeader(capacity=capacity, version=3, flags=flags, compression=DEFLATE)
