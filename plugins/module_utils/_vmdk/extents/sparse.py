# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Writing to sparse extents in place, and the hosted one, KDMV (TN p.6-9)."""

from __future__ import annotations

import threading
import typing as t
from array import array

from ..._device.device import read
from ..._device.errors import CorruptDisk
from ..._device.zeros import is_zero
from .grained import NOTHING, ZEROED, GrainedDevice
from .header import GTES_PER_GT, MAGIC, SECTOR, UNCLEAN_OFFSET
from .sparse_guard import SectorRuns, require_sound, table_runs
from .tables import FileSpace, GrainTables

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice, Buffer
    from ..._device.files import File
    from .grained import Run
    from .header import SparseHeader
    from .tables_header import TablesHeader


class GrainedExtent(GrainedDevice):
    """What the hosted sparse extent (KDMV) and the redo log of ESXi (COWD) share: writing.

    fresh: the file is still being made, so nothing needs an order of writes yet.
    """

    unclean_offset: int  # byte of the header's uncleanShutdown

    def __init__(
        self,
        file: File,
        header: TablesHeader,
        *,
        size: int | None = None,
        parent: BlockDevice | None = None,
        inherits: bool = False,
        fresh: bool = False,
    ) -> None:
        """Raises TruncatedDisk where no grain directory can be read."""
        self._space = FileSpace(file)
        self.tables = GrainTables(file, header, self._space)
        super().__init__(file, header, self.tables, size, parent, inherits)
        self._fresh = fresh
        self._lock = threading.Lock()
        self._written = False
        self._lost = False  # writes that did not get to the disk
        self._metadata: SectorRuns | None = None  # when it is first asked for

    def _file_sectors(self) -> int:
        return self._space.end

    # Where no grain may lie

    def _core(self) -> list[tuple[int, int]]:
        """(start, end) in sectors: the header and the directory."""
        return [(0, self._header.header_sectors), self._directory_run(self._header.gd_offset)]

    def _directory_run(self, start: int) -> tuple[int, int]:
        return start, start + -(-4 * self._header.directory_entries // SECTOR)

    def _others(self) -> list[tuple[int, int]]:
        """The redundant directory, and the tables of both, as far as they are where they say."""
        header, directories = self._header, self.tables.directories()
        step = -(-4 * header.gtes_per_gt // SECTOR)
        runs = [run for directory in directories for run in table_runs(directory, step)]
        if len(directories) > 1:
            runs.append(self._directory_run(header.rgd_offset))
        return runs

    def _read_guard(self) -> SectorRuns:
        """A damaged directory must not keep anybody from reading, so only what is certain."""
        return SectorRuns(self._core())

    def _check_entry(self, entry: int, grain: int, count: int) -> None:
        super()._check_entry(entry, grain, count)
        if entry <= ZEROED:
            return
        if self._metadata is None:
            self._metadata = self._read_guard()
        if self._metadata.hits(entry, entry + count * self._header.grain_size):
            raise CorruptDisk(
                f"the table entry of grain {grain} points into the metadata of the extent",
                path=self.name,
                offset=entry * SECTOR,
                hint="Look at it with vmdk_check; restore the file from a good copy.",
            )

    def _check_run(self, entry: int, grain: int, count: int) -> None:
        """Before the first write: to the last grain of a run."""
        self._check_entry(entry, grain, count)
        if entry > ZEROED:
            last = count - 1
            super()._check_entry(entry + last * self._header.grain_size, grain + last, 1)

    def require_sound(self) -> None:
        """Raises CorruptDisk where grains share a place with each other or with metadata."""
        self._metadata = SectorRuns([*self._core(), *self._others()])
        grains, step = -(-self.size // self._grain), self._header.grain_size
        require_sound(self.tables, grains, step, self._check_run, self.name)

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
                if run.entry > ZEROED:
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
                if run.entry > ZEROED:
                    self.file.zero(run.position, run.length)
                elif run.entry == NOTHING and self._inherits:
                    self._hide_parent(run)
            self._write_back_if_many()

    def _begin(self) -> None:
        """The unclean mark goes to disk no later than the first data behind it (TN p.7)."""
        if not self._written:
            if not self._fresh:
                self.require_sound()
            self.file.write(self.unclean_offset, b"\x01")
            self._written = True

    def _allocate(self, run: Run, data: memoryview | None) -> None:
        """New grains for a run that has none; without data they read as zeros."""
        first, last = run.start // self._grain, -(-run.stop // self._grain)
        step = self._header.grain_size
        sector = self._space.take((last - first) * step, align=step)
        place = sector * SECTOR - first * self._grain  # byte of the file for byte 0 of the disk
        if run.entry == NOTHING and self.parent is not None:
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

    def complete_last_grain(self) -> None:
        """Where the last grain is short: zeros behind the end, which show once the disk is longer.

        In its place, so that the tables stay as they are. Raises CorruptDisk.
        """
        start = self.size // self._grain * self._grain
        with self._lock:
            for run in list(self._runs(start, self.size)):
                if run.entry > ZEROED:
                    self._begin()  # proves that nothing else lies there
                    self.file.zero(run.position + run.length, self._grain - run.length)
                    self.file.truncate(max(self.file.size, run.position + self._grain))
        self.file.flush()

    def _hide_parent(self, run: Run) -> None:
        """Zeros that cover a parent: marked where the header allows it, else real grains."""
        first, last = -(-run.start // self._grain), run.stop // self._grain
        if run.stop == self.size:
            last = -(-run.stop // self._grain)
        if not self._header.has_zeroed_grains or first >= last:
            self._allocate(run, None)
            return
        begin, end = first * self._grain, min(last * self._grain, run.stop)
        if run.start < begin:
            self._allocate(run._replace(stop=begin), None)
        if end < run.stop:
            self._allocate(run._replace(start=end), None)
        self.tables.set(first, array("I", [ZEROED]) * (last - first))

    def forget_beyond(self) -> None:
        """No grain behind the end of the extent, whatever tables hold there: it shall grow.

        Some images have such entries (LY, corruption scenarios), and larger they would show them.
        """
        first = -(-self.size // self._grain)
        last = self._header.directory_entries * self._header.gtes_per_gt
        with self._lock:
            for start, entries, empty in self.tables.slices(first, last):
                if not empty and any(entries):
                    self._begin()
                    self.tables.set(start, array("I", bytes(4 * len(entries))))
        self.flush()

    # Making it last

    def _barrier(self) -> None:
        if not self._fresh:
            self._sync()

    def _sync(self) -> None:
        try:
            self.file.flush()
        except BaseException:
            self._lost = True  # the kernel tells it once: the next fsync succeeds without them
            raise

    def _write_back(self) -> None:
        """The tables, behind the data that they name."""
        self.tables.flush(self._barrier)

    def _write_back_if_many(self) -> None:
        if self.tables.wants_flush:
            self._write_back()

    def flush(self) -> None:
        with self._lock:
            if self._written:
                self._write_back()
            self._sync()

    def close(self) -> None:
        if self.file.fileno() < 0:
            return
        try:
            if self._written:
                self.flush()
                if not self._lost:
                    self.file.write(self.unclean_offset, b"\0")
                    self.file.flush()
        finally:
            self.file.close()


class SparseExtent(GrainedExtent):
    """One hosted extent file (KDMV), or a whole monolithicSparse disk (TN p.6-9)."""

    unclean_offset = UNCLEAN_OFFSET

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
        super().__init__(file, header, size=size, parent=parent, inherits=inherits, fresh=fresh)
        self.header = header

    @property
    def flags(self) -> list[str]:
        count = self.header.gtes_per_gt
        if count == GTES_PER_GT:
            return super().flags
        return [*super().flags, f"{self.name}: grain tables of {count} entries, not {GTES_PER_GT}"]

    def _core(self) -> list[tuple[int, int]]:
        start = self.header.descriptor_offset
        return [*super()._core(), (start, start + self.header.descriptor_size)]

    def _read_guard(self) -> SectorRuns:
        front = self.header.overhead
        return SectorRuns([*self._core(), *(run for run in self._others() if run[1] <= front)])

    def finish(self) -> None:
        """What was being made is complete: content first, then the magic that readers look for."""
        self.flush()
        self.file.write(0, MAGIC)
        self.file.write(UNCLEAN_OFFSET, b"\0")
        self.file.flush()
        self.file.close()
