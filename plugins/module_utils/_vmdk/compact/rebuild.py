# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Laying a sparse extent anew: all tables in front, then the grains in the order of the disk.

The new extent is built beside the old one and renamed over it, so a crash leaves one or the
other. Both have the same content: CID and descriptor stay, and children do not notice.
"""

from __future__ import annotations

import dataclasses
import os
import typing as t
from array import array

from ..._device.errors import UnsupportedDisk, from_oserror
from ..._device.files import File, remove_if_there, replace_durably
from ..._device.zeros import data_runs
from ..extents.grained import NOTHING, ZEROED
from ..extents.header import MAGIC, SECTOR, TEMPORARY_MAGIC, ZEROED_GRAINS, SparseHeader
from ..extents.layout import directory_sectors, table_sectors
from ..extents.tables import FileSpace, GrainTables, little_endian
from ..files.paths import folder_of
from ..life.building import new_file, require_space
from .compact import compact_header, load, overlapping, runs

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._device.progress import Progress
    from ..extents.sparse import SparseExtent
    from ..opening.disk import Link
    from .compact import Layout, Work


def rebuild(
    link: Link, part: SparseExtent, layout: Layout, progress: Progress, *, drop_zeros: bool = False
) -> None:
    """Write the extent anew, its grains in order, and put it in the old one's place.

    With drop_zeros, grains of zeros are given up; those of a child are marked as zeroed, so that
    the parent does not show. Raises NoSpace, UnsupportedDisk and what reading raises; then nothing
    is changed.
    """
    path = os.path.realpath(part.file.path)
    if part.file.is_block_device:
        raise UnsupportedDisk("is a device, not a file that can be laid anew", path=path)
    require_space(os.path.dirname(path), layout.compact_size)
    descriptor = link.descriptor.to_bytes() if link.store.is_embedded else b""
    header, hole = compact_header(part.header), None
    if drop_zeros:
        hole = NOTHING if link.descriptor.parent_cid is None else ZEROED
    if hole == ZEROED and layout.zero_grains:  # as VMware does it (TN p.7)
        header = dataclasses.replace(
            header, version=max(2, header.version), flags=header.flags | ZEROED_GRAINS
        )
    with new_file(path) as file:
        try:
            _Build(file, header, hole).fill(part, descriptor, progress)
            _take_ownership(file, part.file)
            file.write(0, MAGIC)
            file.flush()
            replace_durably(file.path, path)
        except BaseException:
            remove_if_there(file.path)
            raise


def require_room(work: Iterable[Work]) -> None:
    """For each file that will be laid anew, before the first of them is. Raises NoSpace."""
    for each in work:
        require_space(folder_of(each.part.name), each.layout.compact_size)


def _take_ownership(new: File, old: File) -> None:
    """The same owner and rights as before."""
    status = os.fstat(old.fileno())
    try:
        mine = os.fstat(new.fileno())
        if (status.st_uid, status.st_gid) != (mine.st_uid, mine.st_gid):
            os.fchown(new.fileno(), status.st_uid, status.st_gid)
        os.fchmod(new.fileno(), status.st_mode & 0o7777)
    except OSError as error:
        raise from_oserror(error, "give the new file the old one's owner", old.path) from error


class _Build:
    """A new extent, filled from front to end."""

    def __init__(self, file: File, header: SparseHeader, hole: int | None) -> None:
        self.file, self.header, self.hole = file, header, hole
        self.space = FileSpace(file)

    def fill(self, part: SparseExtent, descriptor: bytes, progress: Progress) -> None:
        """All but the true magic."""
        header, file = self.header, self.file
        file.truncate(header.overhead * SECTOR)
        draft = dataclasses.replace(header, magic=TEMPORARY_MAGIC, unclean=False)
        file.write(0, draft.pack() + descriptor)
        self._write_directories()
        self.space = FileSpace(file)
        tables = GrainTables(file, header, self.space)
        for first, entries, empty in part.tables.slices(0, header.grains):
            if not empty:
                tables.set(first, self._copy(part, first, entries, progress))
            if tables.wants_flush:
                tables.flush(_no_barrier)
        file.truncate(self.space.end * SECTOR)  # the last grains may be holes
        tables.flush(_no_barrier)
        file.flush()

    def _write_directories(self) -> None:
        header, step = self.header, table_sectors(self.header)
        offsets = [header.rgd_offset, header.gd_offset]
        for offset in offsets if header.has_redundant_tables else offsets[1:]:
            first = offset + directory_sectors(header)
            entries = array("I", range(first, first + header.directory_entries * step, step))
            self.file.write(offset * SECTOR, little_endian(entries))

    def _copy(
        self, part: SparseExtent, first: int, entries: array[int], progress: Progress
    ) -> array[int]:
        """The entries of the new tables for those of the old."""
        grain = self.header.grain_size * SECTOR
        new = entries[:]
        for run in runs(first, entries, self.header.grain_size):
            for begin, data in load(part, run):
                placed = self._store(data, grain)
                new[begin - first : begin - first + len(placed)] = placed
                progress.advance(len(data))
        return new

    def _store(self, data: bytearray, grain: int) -> array[int]:
        """The places of some grains. Zeros that are kept stay holes of the file."""
        view, step = memoryview(data), self.header.grain_size
        filled = list(data_runs(data, len(data), grain))
        places = array("I", [self.hole or NOTHING]) * (len(data) // grain)
        for start, stop in filled if self.hole is not None else [(0, len(data))]:
            sector = self.space.take((stop - start) // SECTOR)
            places[start // grain : stop // grain] = array(
                "I", range(sector, sector + (stop - start) // SECTOR, step)
            )
            for begin, end in overlapping(filled, start, stop):
                self.file.write(sector * SECTOR + begin - start, view[begin:end])
        return places


def _no_barrier() -> None:
    """Nobody sees the new file before it is whole, so its writes need no order."""
