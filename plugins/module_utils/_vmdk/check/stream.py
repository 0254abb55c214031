# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Checking a stream: its tables, its markers and every grain (TN p.11-13)."""

from __future__ import annotations

import collections
import typing as t

from ..._device.errors import CorruptDisk, DiskError, TruncatedDisk
from ..._device.pipeline import ordered_map
from ..extents.header import GD_AT_END, SECTOR
from ..stream.grain import GrainDecoder
from ..stream.layout import effective_header
from ..stream.marker import has_markers
from ..stream.scan import scan_markers
from .finding import ERROR, WARNING, Finding
from .table_copy import MAX_DIRECTORY, TableCopy

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.files import File
    from ..extents.header import SparseHeader

SALVAGE = "copy or download it again, or take what is left with salvage_to"


class _Grain(t.NamedTuple):
    number: int
    sector: int


def check_stream(file: File, header: SparseHeader) -> Iterator[Finding]:
    """Reads the whole file. The tables of a stream have no second copy: nothing is repaired."""
    try:
        effective = effective_header(file, header)
        if effective.directory_entries > MAX_DIRECTORY:
            raise CorruptDisk("impossible capacity", path=file.path, offset=12)
    except CorruptDisk as error:
        kind = "footer" if isinstance(error, TruncatedDisk) else "header"
        yield _found(file, kind, error.message, error.offset)
        return
    if effective.capacity != header.capacity:
        yield _found(file, "footer", "header and footer disagree about the capacity", 12)
    yield from _StreamCheck(file, header, effective).findings()


def _found(file: File, kind: str, message: str, offset: int | None) -> Finding:
    return Finding(kind, ERROR, file.path, message, offset, how=SALVAGE)


class _StreamCheck:
    def __init__(self, file: File, header: SparseHeader, effective: SparseHeader) -> None:
        self.file, self.header, self.effective = file, header, effective
        self.tables = TableCopy(file, effective, effective.gd_offset, "grain directory")
        self.decoder = GrainDecoder(file, effective)
        self.end = -(-file.size // SECTOR)
        self.last_hole = 1 if effective.has_zeroed_grains else 0
        self.faults: dict[str, list[DiskError]] = collections.defaultdict(list)

    def findings(self) -> Iterator[Finding]:
        directory = self.tables.directory
        if directory is None:
            offset = self.tables.sector * SECTOR
            message = "the file ends before its grain directory does"
            yield _found(self.file, "directory", message, offset)
            return
        lost = [
            number
            for number, place in enumerate(directory)
            if place > self.last_hole and not self.tables.is_in_file(place)
        ]
        if lost:
            message = f"{len(lost)} grain tables lie behind the end of the file"
            offset = self.tables.sector * SECTOR + 4 * lost[0]
            yield _found(self.file, "directory-entry", message, offset)
        yield from self._grains()
        if has_markers(self.header):
            yield from self._markers()

    # What the tables promise

    def _grains(self) -> Iterator[Finding]:
        for error in ordered_map(self._try, self._promised()):
            if error is not None:
                self.faults[error.message].append(error)
        for message, errors in self.faults.items():
            kind = "beyond-end" if isinstance(errors[0], TruncatedDisk) else "bad-grain"
            text = f"{message} ({len(errors)} grains; the first: {errors[0].expected})"
            yield _found(self.file, kind, text, errors[0].offset)

    def _promised(self) -> Iterator[_Grain]:
        per_table = self.effective.gtes_per_gt
        for number in range(self.effective.directory_entries):
            entries = self._entries(number)
            for index, entry in enumerate(entries):
                if entry > self.last_hole:
                    yield _Grain(number * per_table + index, entry)

    def _entries(self, number: int) -> t.Sequence[int]:
        table = self.tables.table(number)
        first = number * self.effective.gtes_per_gt
        return () if table is None else table[: self.effective.grains - first]

    def _try(self, grain: _Grain) -> DiskError | None:
        offset = grain.sector * SECTOR
        if grain.sector >= self.end:
            name = f"the grain of disk sector {grain.number * self.effective.grain_size}"
            message = "a grain lies behind the end of the file"
            return TruncatedDisk(message, path=self.file.path, offset=offset, expected=name)
        length = min(self.decoder.reach, self.file.size - offset)
        try:
            data = memoryview(self.file.read(offset, length))
            self.decoder.decode(grain.number, grain.sector, data)
        except CorruptDisk as error:
            return error
        return None

    # What the markers tell

    def _markers(self) -> Iterator[Finding]:
        scan = scan_markers(self.file, self.effective)
        strangers = [grain for grain in scan.grains if not self._is_known(*grain)]
        if strangers:
            message = (
                f"{len(strangers)} grains are in the stream and not where its tables say; the "
                f"first is that of disk sector {strangers[0].lba}"
            )
            yield _found(self.file, "markers", message, strangers[0].sector * SECTOR)
        if not scan.complete and self.header.gd_offset == GD_AT_END and not strangers:
            message = "the end-of-stream marker is missing"
            offset = scan.first_damage
            yield Finding("markers", WARNING, self.file.path, message, offset, how=SALVAGE)

    def _is_known(self, lba: int, sector: int) -> bool:
        number, index = divmod(lba // self.effective.grain_size, self.effective.gtes_per_gt)
        entries = self._entries(number)
        return index < len(entries) and entries[index] == sector
