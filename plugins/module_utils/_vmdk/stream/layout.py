# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How a streamOptimized file is laid out: markers and footer (TN p.11-13)."""

from __future__ import annotations

import struct
import typing as t

from ..._device.errors import CorruptDisk, DiskError, TruncatedDisk
from ..extents.header import GD_AT_END, MAGIC, SECTOR, SparseHeader

if t.TYPE_CHECKING:
    from ..._device.files import File

END_OF_STREAM, GRAIN_TABLE, GRAIN_DIRECTORY, FOOTER = range(4)

GRAIN_MARKER = struct.Struct("<QI")  # LBA, bytes of the compressed grain that follows
SHORT_PREFIX = struct.Struct("<I")  # those bytes only: streams without flag 0x20000 (OV)
_METADATA_MARKER = struct.Struct("<QII")  # sectors that follow, 0, type
_FOOTER_TYPE = struct.pack("<II", 0, FOOTER)  # bytes 8..16 of the marker before the footer
_TAIL = 1 << 20  # how far before the end of the file a footer is looked for


def metadata_marker(kind: int, sectors: int) -> bytes:
    """The sector that announces `sectors` sectors of metadata."""
    return _METADATA_MARKER.pack(sectors, 0, kind).ljust(SECTOR, b"\0")


def padded(data: bytes) -> bytes:
    """Filled up to whole sectors with zeros."""
    return data.ljust(-(-len(data) // SECTOR) * SECTOR, b"\0")


def effective_header(file: File, header: SparseHeader) -> SparseHeader:
    """The header that tells where the grain directory is: a valid footer wins (OV).

    Raises TruncatedDisk where it should be a footer and there is none, CorruptDisk.
    """
    found = _find_footer(file) or header
    if found.gd_offset == GD_AT_END:
        raise TruncatedDisk(
            "the end of the stream, with its footer, is missing",
            path=file.path,
            offset=file.size,
            hint="It was cut short: copy or download it again.",
        )
    if found.gd_offset == 0 and found.capacity:
        raise CorruptDisk("the header names no grain directory", path=file.path, offset=56, found=0)
    return found


def _find_footer(file: File) -> SparseHeader | None:
    """Search backwards, since files get padded behind their end-of-stream marker."""
    end = file.size // SECTOR * SECTOR
    start = max(0, end - _TAIL)
    tail = file.read(start, end - start)
    for at in range(len(tail) - SECTOR, 0, -SECTOR):
        if tail.startswith(MAGIC, at) and tail.startswith(_FOOTER_TYPE, at - SECTOR + 8):
            footer = _parse_footer(tail[at : at + SECTOR], file.path, start + at)
            if footer is not None:
                return footer
    return None


def _parse_footer(block: bytearray, path: str, offset: int) -> SparseHeader | None:
    try:
        footer = SparseHeader.parse(block, path, offset)
    except DiskError:
        return None
    return footer if footer.is_stream and footer.gd_offset != GD_AT_END else None
