# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Making a streamOptimized extent in one pass, laid out as ESXi exports and imports it.

Header, descriptor, grains in ascending order, each grain table behind its grains, then directory,
footer and end of stream (TN p.12). Tables of nothing but zeros are left out.
"""

from __future__ import annotations

import dataclasses
import typing as t
from array import array

from ..._device.device import Device
from ..._device.errors import InvalidRequest, UnsupportedDisk
from ..._device.extent import Extent, Kind, pieces
from ..._device.zeros import is_zero
from ..extents.deflate import compressor
from ..extents.header import (
    COMPRESSED,
    DEFLATE,
    GD_AT_END,
    GRAIN_SECTORS,
    GTES_PER_GT,
    MAGIC,
    MARKERS,
    NEWLINE_TEST,
    SECTOR,
    TEMPORARY_MAGIC,
    SparseHeader,
)
from ..extents.tables import little_endian
from .layout import (
    END_OF_STREAM,
    FOOTER,
    GRAIN_DIRECTORY,
    GRAIN_MARKER,
    GRAIN_TABLE,
    metadata_marker,
    padded,
)

if t.TYPE_CHECKING:
    from ..._device.device import Buffer
    from ..._device.files import File

_DESCRIPTOR_SECTORS = 20  # room for a longer one later, as VMware leaves it
_MAX_SECTOR = 0xFFFF_FFFF  # table entries have 32 bits


class _Encoded(t.NamedTuple):
    """Grains of one table, ready to be appended."""

    table: int
    sectors: list[tuple[int, int]]  # (grain, where it is in `data`)
    data: bytes
    length: int  # bytes of disk in it


class StreamWriter(Device):
    """A new stream, of which every grain can be written once, in ascending order.

    It is no disk before finish(): until then its magic is TEMPORARY_MAGIC. Owns its file.
    """

    def __init__(
        self,
        file: File,
        capacity_sectors: int,
        descriptor: bytes,
        *,
        grain_sectors: int = GRAIN_SECTORS,
        level: int | None = None,
    ) -> None:
        """`level`: see deflate.compressor(). Raises InvalidRequest, NoSpace."""
        if grain_sectors not in (8, 16, 32, 64, 128):  # 8 at least (TN p.6), 128 at most (OV)
            raise InvalidRequest(
                "impossible grain size", found=grain_sectors, expected="8, 16, 32, 64 or 128"
            )
        self.file = file
        self.name = file.path
        self.size = capacity_sectors * SECTOR
        self._compress = compressor(level)
        self._grain = grain_sectors * SECTOR
        self._header = _header(capacity_sectors, len(descriptor), grain_sectors)
        self._directory = array("I", bytes(4 * self._header.directory_entries))
        self._table = array("I", bytes(4 * GTES_PER_GT))
        self._table_index = 0
        self._next_grain = 0
        self._end = 0  # sectors written
        head = dataclasses.replace(self._header, magic=TEMPORARY_MAGIC).pack() + descriptor
        self._put(head.ljust(self._header.overhead * SECTOR, b"\0"))

    def encode(self, offset: int, data: memoryview) -> list[_Encoded]:
        """Compress a run that begins with a grain. For many threads at once.

        Grains of zeros are dropped; a run that ends inside a grain is filled up with zeros.
        """
        self.check_range(offset, data.nbytes)
        if offset % self._grain:
            raise InvalidRequest(
                "a stream is written in whole grains",
                path=self.name,
                offset=offset,
                expected=f"a multiple of {self._grain}",
            )
        runs = pieces((Extent(offset, data.nbytes, Kind.DATA),), self._grain * GTES_PER_GT)
        return [self._encode_run(run, data[run.offset - offset : run.end - offset]) for run in runs]

    def _encode_run(self, run: Extent, data: memoryview) -> _Encoded:
        first = run.offset // self._grain
        sectors: list[tuple[int, int]] = []
        parts: list[bytes] = []
        size = length = 0
        for index, start in enumerate(range(0, run.length, self._grain)):
            content = bytes(data[start : start + self._grain])
            if is_zero(content, 0, len(content)):
                continue
            parts.append(self._encode_grain(first + index, content))
            sectors.append((first + index, size // SECTOR))
            size += len(parts[-1])
            length += len(content)
        return _Encoded(first // GTES_PER_GT, sectors, b"".join(parts), length)

    def _encode_grain(self, grain: int, content: bytes) -> bytes:
        # The last grain of a disk is filled up too: some readers take no short one.
        stream = self._compress(content.ljust(self._grain, b"\0"))
        lba = grain * self._header.grain_size
        return padded(GRAIN_MARKER.pack(lba, len(stream)) + stream)

    def append(self, encoded: list[_Encoded]) -> int:
        """Write what encode() made; the bytes of disk that were stored. On one thread.

        Raises InvalidRequest where it lies before something already written, UnsupportedDisk.
        """
        for run in encoded:
            if run.sectors:
                self._append_run(run)
        return sum(run.length for run in encoded)

    def _append_run(self, run: _Encoded) -> None:
        first, last = run.sectors[0][0], run.sectors[-1][0]
        self._check_ahead(first * self._grain)
        if run.table != self._table_index:
            self._close_table()
            self._table_index = run.table
        for grain, sector in run.sectors:
            self._table[grain % GTES_PER_GT] = self._end + sector
        self._put(run.data)
        self._next_grain = last + 1

    def _check_ahead(self, offset: int) -> None:
        done = self._next_grain * self._grain
        if offset < done:
            raise InvalidRequest(
                "a stream is written in ascending order, each grain once",
                path=self.name,
                offset=offset,
                expected=f"a write at byte {done} or behind it",
                hint="Convert the disk to another type to change it.",
            )

    def write(self, offset: int, data: Buffer) -> None:
        """Whole grains behind all that was written. Raises InvalidRequest."""
        view = memoryview(data).cast("B")
        if view.nbytes % self._grain and offset + view.nbytes != self.size:
            raise InvalidRequest(
                "a stream is written in whole grains",
                path=self.name,
                offset=offset,
                found=f"{view.nbytes} bytes",
                expected=f"a multiple of {self._grain}",
            )
        self.append(self.encode(offset, view))

    def zero(self, offset: int, length: int) -> None:
        """Nothing to do: what is not written is zero. Raises InvalidRequest behind that."""
        if self.check_range(offset, length):
            self._check_ahead(offset)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Always raises InvalidRequest."""
        raise InvalidRequest("this stream is being written; it can be read later", path=self.name)

    def finish(self) -> None:
        """Tables, directory, footer, fsync; then the true magic, fsync. Raises NoSpace."""
        self._close_table()
        directory = self._put_metadata(GRAIN_DIRECTORY, little_endian(self._directory))
        footer = dataclasses.replace(self._header, gd_offset=directory)
        self._put_metadata(FOOTER, footer.pack())
        self._put(metadata_marker(END_OF_STREAM, 0))
        self.file.flush()
        self.file.write(0, MAGIC)
        self.file.flush()

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()

    def _close_table(self) -> None:
        if any(self._table):
            sector = self._put_metadata(GRAIN_TABLE, little_endian(self._table))
            self._directory[self._table_index] = sector
            self._table = array("I", bytes(4 * GTES_PER_GT))

    def _put_metadata(self, kind: int, content: bytes) -> int:
        """Write a marker and what it announces; the sector of the latter."""
        content = padded(content)
        self._put(metadata_marker(kind, len(content) // SECTOR) + content)
        return self._end - len(content) // SECTOR

    def _put(self, data: bytes) -> None:
        """Write whole sectors behind all others."""
        end = self._end + len(data) // SECTOR
        if end > _MAX_SECTOR:
            raise UnsupportedDisk(
                "a stream can be no larger than 2 TiB, compressed",
                path=self.name,
                hint="Choose another disk_type, or a higher compression level.",
            )
        self.file.write(self._end * SECTOR, data)
        self._end = end


def _header(capacity: int, descriptor_bytes: int, grain_sectors: int) -> SparseHeader:
    """Version 3, which ESXi demands; what it says about the directory is: look at the end."""
    descriptor = max(_DESCRIPTOR_SECTORS, -(-descriptor_bytes // SECTOR))
    return SparseHeader(
        capacity=capacity,
        version=3,
        flags=NEWLINE_TEST | COMPRESSED | MARKERS,
        grain_size=grain_sectors,
        descriptor_offset=1,
        descriptor_size=descriptor,
        gd_offset=GD_AT_END,
        overhead=-(-(1 + descriptor) // grain_sectors) * grain_sectors,
        compression=DEFLATE,
    )
