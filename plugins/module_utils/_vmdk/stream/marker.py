# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The markers between the parts of a stream, which tell what follows (TN p.12-13)."""

from __future__ import annotations

import struct
import typing as t

from ..extents.header import MARKERS, SECTOR
from .layout import GRAIN_DIRECTORY, GRAIN_MARKER, GRAIN_TABLE

if t.TYPE_CHECKING:
    from ..._device.device import Buffer
    from ..extents.header import SparseHeader

_MARKER = struct.Struct("<QII")
MARKER_BYTES = _MARKER.size
END_OF_STREAM = 0
_LARGEST_KNOWN = 4  # progress (OV)


class Marker(t.NamedTuple):
    """A grain, when `compressed` (bytes) is set; else metadata of `kind`.

    lba: sector of the disk where the grain lies. length: bytes of the file up to the next marker.
    """

    kind: int
    lba: int
    compressed: int
    length: int

    @property
    def is_grain(self) -> bool:
        return self.compressed > 0

    @property
    def is_end(self) -> bool:
        return self.kind == END_OF_STREAM and not self.compressed

    @property
    def is_table(self) -> bool:
        return self.kind == GRAIN_TABLE and not self.compressed

    @property
    def is_directory(self) -> bool:
        return self.kind == GRAIN_DIRECTORY and not self.compressed

    def leaves_unlisted(self, before: bool) -> bool:
        """Whether grains or tables wait for a directory behind this marker."""
        if self.is_grain or self.is_table:
            return True
        return before and not self.is_directory


class MarkerParser:
    """Tells the markers of one stream from what cannot be one."""

    def __init__(self, header: SparseHeader) -> None:
        self._grain_sectors = header.grain_size
        self._capacity = header.capacity
        grain = header.grain_size * SECTOR
        # Compressing what cannot be compressed adds a little; some writers reserve a sector (OV).
        self._most_compressed = grain + grain // 64 + SECTOR
        self._most_metadata = -(-4 * header.directory_entries // SECTOR) + header.gtes_per_gt

    def parse(self, block: Buffer) -> Marker | None:
        """The marker in the first 16 bytes of a sector; None where there is none."""
        value, compressed, kind = _MARKER.unpack_from(block)
        if compressed:
            return self._grain(value, compressed)
        if kind > _LARGEST_KNOWN or value > self._most_metadata or (kind == 0 and value):
            return None
        return Marker(kind, 0, 0, (1 + value) * SECTOR)

    def _grain(self, lba: int, compressed: int) -> Marker | None:
        if lba % self._grain_sectors or lba >= self._capacity:
            return None
        if compressed > self._most_compressed:
            return None
        length = -(-(GRAIN_MARKER.size + compressed) // SECTOR) * SECTOR
        return Marker(0, lba, compressed, length)


def has_markers(header: SparseHeader) -> bool:
    """Whether the stream can be read without its tables: grains say where they belong."""
    return header.is_stream and bool(header.flags & MARKERS)
