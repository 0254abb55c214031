# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where the grains of a stream are, when its tables do not say: by its markers."""

from __future__ import annotations

import bisect
import typing as t
from array import array

from ..._device.errors import CorruptDisk, TruncatedDisk
from ..extents.header import SECTOR
from .layout import effective_header
from .marker import has_markers
from .scan import scan_markers
from .tables import StreamTables

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.files import File
    from ..extents.header import SparseHeader
    from .scan import FoundGrains

_SALVAGE = "Copy or download it again; vmdk_check with salvage_to saves what is left of it."


class Tables(t.Protocol):
    """What a reader asks of the tables, wherever they come from."""

    def entries(self, grain: int, count: int) -> array[int]:
        """The sector of each grain, or 0."""

    def walk(self, first: int, stop: int) -> Iterator[tuple[int, array[int]]]:
        """(grain, entries) of runs between two grains; what lies between the runs is 0."""


class ScannedTables:
    """The tables as they should be: 16 bytes for each grain that is in the file."""

    def __init__(self, header: SparseHeader, found: FoundGrains) -> None:
        """Of a grain that is there twice the later one counts, as for a reader of the markers."""
        self._per_table = header.gtes_per_gt
        places = dict(zip(found.lbas, found.sectors, strict=True)) if _unordered(found) else None
        lbas = found.lbas if places is None else sorted(places)
        self._grains = array("Q", (lba // header.grain_size for lba in lbas))
        self._sectors = (
            found.sectors if places is None else array("Q", (places[lba] for lba in lbas))
        )

    def entries(self, grain: int, count: int) -> array[int]:
        entries = array("Q", bytes(8 * count))
        first = bisect.bisect_left(self._grains, grain)
        stop = bisect.bisect_left(self._grains, grain + count, first)
        for index in range(first, stop):
            entries[self._grains[index] - grain] = self._sectors[index]
        return entries

    def walk(self, first: int, stop: int) -> Iterator[tuple[int, array[int]]]:
        index = bisect.bisect_left(self._grains, first)
        while index < len(self._grains) and self._grains[index] < stop:
            first = max(first, self._grains[index] // self._per_table * self._per_table)
            count = min(self._per_table - first % self._per_table, stop - first)
            yield first, self.entries(first, count)
            first += count
            index = bisect.bisect_left(self._grains, first, index)


def find_tables(file: File, header: SparseHeader) -> tuple[SparseHeader, Tables, list[str]]:
    """The header that counts, the tables, and what is to be said about them.

    Raises CorruptDisk or TruncatedDisk where the directory is lost and the stream is not whole.
    """
    try:
        found = effective_header(file, header)
        tables = StreamTables(file, found)
    except CorruptDisk as error:
        rebuilt = _rebuild(file, header)
        if rebuilt is None:
            error.hint = _SALVAGE
            raise
        return header, rebuilt, [_flag(file)]
    if tables.is_empty and _holds_grains(file, header):
        rebuilt = _rebuild(file, header)
        if rebuilt is None:
            raise TruncatedDisk(
                "the grain directory is empty, and the grains are not complete",
                path=file.path,
                offset=found.gd_offset * SECTOR,
                hint=_SALVAGE,
            )
        return header, rebuilt, [_flag(file)]
    return found, tables, []


def _holds_grains(file: File, header: SparseHeader) -> bool:
    """Which an empty disk does not."""
    return has_markers(header) and len(scan_markers(file, header).grains) > 0


def _rebuild(file: File, header: SparseHeader) -> ScannedTables | None:
    """None where not all grains are known to be there, or zeroed ones would be forgotten."""
    if not has_markers(header) or header.capacity == 0 or header.has_zeroed_grains:
        return None
    result = scan_markers(file, header)
    return ScannedTables(header, result.grains) if result.complete else None


def _flag(file: File) -> str:
    return f"{file.path}: the grain directory is lost; it was rebuilt from the grains' markers"


def _unordered(found: FoundGrains) -> bool:
    lbas = found.lbas
    return any(lbas[index] >= lbas[index + 1] for index in range(len(lbas) - 1))
