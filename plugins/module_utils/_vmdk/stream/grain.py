# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One compressed grain: marker, stream, content (TN p.12)."""

from __future__ import annotations

import typing as t

from ..._device.errors import CorruptDisk, TruncatedDisk
from ..extents.deflate import BadStream, inflate
from ..extents.header import MARKERS, SECTOR
from .layout import GRAIN_MARKER, SHORT_PREFIX

if t.TYPE_CHECKING:
    from ..._device.device import Buffer
    from ..._device.files import File
    from ..extents.header import SparseHeader


class GrainDecoder:
    """Checks and inflates the grains of one file. Safe to use from many threads."""

    def __init__(self, file: File, header: SparseHeader) -> None:
        self._file = file
        self._grain_sectors = header.grain_size
        self._grain = header.grain_size * SECTOR
        self._size = header.capacity * SECTOR
        self._has_lba = bool(header.flags & MARKERS)
        self._prefix = GRAIN_MARKER if self._has_lba else SHORT_PREFIX
        # Bytes of the file in which nearly every grain ends: deflate makes little more of a grain
        # than the grain itself, whatever it holds.
        self.reach = self._prefix.size + self._grain + self._grain // 512 + 64

    def decode(self, grain: int, sector: int, data: memoryview) -> bytes:
        """What the grain at `sector` of the file holds; `data` is the file from there on.

        The last grain of the disk may be as short as the disk (LY). Raises CorruptDisk,
        TruncatedDisk.
        """
        try:
            content = inflate(self._compressed(grain, sector, data), self._grain)
        except BadStream as error:
            raise self._corrupt(
                "a grain cannot be decompressed", grain, sector, str(error)
            ) from error
        needed = min(self._grain, self._size - grain * self._grain)
        if len(content) < needed:
            found = f"{len(content)} of {needed} bytes"
            raise self._corrupt("a grain holds too little", grain, sector, found)
        return content

    def _compressed(self, grain: int, sector: int, data: memoryview) -> Buffer:
        """The stream behind the marker; read again where it is longer than anybody expects."""
        start = self._prefix.size
        if data.nbytes < start:
            raise self._truncated(sector, data.nbytes, start)
        length = self._check_marker(grain, sector, data)
        if start + length <= data.nbytes:
            return data[start : start + length]
        left = self._file.size - sector * SECTOR
        if start + length > left:
            raise self._truncated(sector, left, start + length)
        return self._file.read(sector * SECTOR + start, length)

    def _check_marker(self, grain: int, sector: int, data: memoryview) -> int:
        """The length of the stream, once it is sure that this is the grain asked for."""
        if not self._has_lba:
            (length,) = SHORT_PREFIX.unpack_from(data)
        else:
            lba, length = GRAIN_MARKER.unpack_from(data)
            if length and lba != grain * self._grain_sectors:
                found = f"the one of disk sector {lba}"
                raise self._corrupt("not the grain that its table promises", grain, sector, found)
        if length == 0:  # what metadata has there
            raise self._corrupt("no grain where its table promises one", grain, sector, "metadata")
        return t.cast("int", length)

    def _corrupt(self, message: str, grain: int, sector: int, found: str) -> CorruptDisk:
        return CorruptDisk(
            message,
            path=self._file.path,
            offset=sector * SECTOR,
            found=found,
            expected=f"the grain of disk sector {grain * self._grain_sectors}",
        )

    def _truncated(self, sector: int, found: int, expected: int) -> TruncatedDisk:
        return TruncatedDisk(
            "the file ends inside a grain",
            path=self._file.path,
            offset=sector * SECTOR,
            found=f"{found} bytes",
            expected=f"{expected} bytes",
            hint="It was cut short: copy or download it again.",
        )
