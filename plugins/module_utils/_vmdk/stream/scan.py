# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Finding the grains of a stream by their markers, whatever its tables say (TN p.12-13)."""

from __future__ import annotations

import dataclasses
import typing as t
from array import array

from ..._device.errors import UnsupportedDisk
from ..extents.deflate import BadStream, inflate
from ..extents.header import SECTOR, SparseHeader
from .layout import GRAIN_MARKER
from .marker import MARKER_BYTES, MarkerParser, has_markers

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.files import File
    from .marker import Marker

_SEARCH = 1 << 20  # bytes of the file that are searched at once for the next marker
_ZLIB = 0x78  # first byte of a zlib stream with the usual window (RFC 1950)
_MAX_END_PADDING = 1 << 20  # more zeros than this behind an end marker are a hole, not padding


class FoundGrain(t.NamedTuple):
    """lba: sector of the disk. sector: sector of the file where the grain's marker is."""

    lba: int
    sector: int


class FoundGrains:
    """Grains in the order of the file, 16 bytes each."""

    def __init__(self) -> None:
        self.lbas = array("Q")
        self.sectors = array("Q")

    def append(self, lba: int, sector: int) -> None:
        self.lbas.append(lba)
        self.sectors.append(sector)

    def __len__(self) -> int:
        return len(self.lbas)

    def __iter__(self) -> Iterator[FoundGrain]:
        return map(FoundGrain, self.lbas, self.sectors)


@dataclasses.dataclass
class ScanResult:
    """What the markers of a stream tell.

    grains: those whose compressed bytes lie in the file as a whole; with `verify`, that inflate.
    tables: number of grain tables that were announced.
    complete: the end-of-stream marker was reached, and nothing was damaged on the way.
    first_damage: byte of the file where the first thing that is no marker (or no good grain) is;
    the file's size where it just ends too early; None where it is complete.
    """

    grains: FoundGrains
    tables: int = 0
    complete: bool = False
    first_damage: int | None = None

    def damaged(self, offset: int) -> None:
        self.complete = False
        if self.first_damage is None:
            self.first_damage = offset


def scan_markers(
    file: File, header: SparseHeader | None = None, *, verify: bool = False
) -> ScanResult:
    """All grains that can be found; behind damage the search goes on sector by sector (LY).

    header: read from the file's first sector where it is not given. verify: inflate every grain
    and leave out those which do not; else only grains found behind damage are inflated.
    Raises UnsupportedDisk where grains do not say where they belong, NotADisk, CorruptDisk.
    """
    if header is None:
        header = SparseHeader.parse(file.read(0, min(SECTOR, file.size)), file.path)
    if not has_markers(header):
        raise UnsupportedDisk(
            "is no stream whose grains say where they belong",
            path=file.path,
            found=f"flags {header.flags:#x}",
        )
    return _Scan(file, header, verify).run()


class _Scan:
    def __init__(self, file: File, header: SparseHeader, verify: bool) -> None:
        self._file, self._size = file, file.size
        self._verify = verify
        self._grain = header.grain_size * SECTOR
        self._parser = MarkerParser(header)
        self._start = first_marker(header)
        self._result = ScanResult(FoundGrains())
        self._unlisted = False  # something came since the last directory

    def run(self) -> ScanResult:
        offset: int | None = self._start
        while offset is not None and offset + MARKER_BYTES <= self._size:
            marker = self._parser.parse(self._file.read(offset, MARKER_BYTES))
            if marker is None or offset + marker.length > self._end_of(marker):
                offset = self._resume_behind(offset)
            elif marker.is_end:
                self._end(offset)
                return self._result
            else:
                offset = self._take(marker, offset)
        self._result.damaged(self._size)
        return self._result

    def _end_of(self, marker: Marker) -> int:
        """Where the file ends; a last grain need not be padded."""
        padding = -self._size % SECTOR if marker.is_grain else 0
        return self._size + padding

    def _take(self, marker: Marker, offset: int) -> int | None:
        if marker.is_table:
            self._result.tables += 1
        if marker.is_grain:
            if self._verify and not self._is_sound(marker, offset):
                return self._resume_behind(offset)
            self._result.grains.append(marker.lba, offset // SECTOR)
        self._unlisted = marker.leaves_unlisted(self._unlisted)
        return offset + marker.length

    def _end(self, offset: int) -> None:
        """An end marker is a sector of zeros, so a file that was cut and padded seems to have one.

        It has no directory of its tables, though, where others have one.
        """
        padded = self._size - offset > _MAX_END_PADDING
        if padded or (self._result.tables and self._unlisted):
            self._result.damaged(offset)
        self._result.complete = self._result.first_damage is None

    def _is_sound(self, marker: Marker, offset: int) -> bool:
        try:
            stream = self._file.read(offset + GRAIN_MARKER.size, marker.compressed)
            return bool(inflate(stream, self._grain))
        except BadStream:
            return False

    # Behind damage

    def _resume_behind(self, offset: int) -> int | None:
        """The next sector with a sound grain; None where there is none."""
        self._result.damaged(offset)
        offset += SECTOR
        while offset + MARKER_BYTES <= self._size:
            block = self._file.read(offset, min(_SEARCH, self._size - offset))
            for place in range(0, len(block) - MARKER_BYTES + 1, SECTOR):
                if block[place + GRAIN_MARKER.size] == _ZLIB and self._is_grain_at(offset + place):
                    return offset + place
            offset += len(block)
        return None

    def _is_grain_at(self, offset: int) -> bool:
        marker = self._parser.parse(self._file.read(offset, MARKER_BYTES))
        if marker is None or not marker.is_grain:
            return False
        inside = offset + GRAIN_MARKER.size + marker.compressed <= self._size
        return inside and self._is_sound(marker, offset)


def first_marker(header: SparseHeader) -> int:
    """Byte of the file where grains begin: behind header, descriptor and tables in front."""
    return max(header.overhead, header.descriptor_offset + header.descriptor_size, 1) * SECTOR
