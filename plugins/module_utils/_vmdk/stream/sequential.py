# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Reading a stream front to back, as it comes out of a pipe or a download (TN p.11-13)."""

from __future__ import annotations

import typing as t
from array import array

from ..._device.errors import CorruptDisk, TruncatedDisk, UnsupportedDisk
from ..extents.deflate import BadStream, inflate
from ..extents.header import GD_AT_END, SECTOR, SparseHeader
from ..extents.tables import little_endian
from .layout import GRAIN_MARKER
from .marker import MARKER_BYTES, MarkerParser, has_markers
from .scan import first_marker

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .marker import Marker

_AT_ONCE = 1 << 20
_MAX_FRONT_TABLES = 1 << 20  # entries of a directory that is read to count: 32 TiB of disk


class Readable(t.Protocol):
    """A binary stream that need not seek. A read may return less than asked for."""

    def read(self, size: int, /) -> bytes | None:
        """b"" at the end."""


def sequential_stream(fileobj: Readable, name: str = "stream") -> SequentialSource:
    """The disk that comes out of a stream. `name` is for messages.

    Raises NotADisk, CorruptDisk, UnsupportedDisk, TruncatedDisk.
    """
    return SequentialSource(fileobj, name)


class SequentialSource:
    """Iterate once: (offset in bytes, data) of what the disk holds; all else of it is zeros.

    size: bytes. Only an iteration that ends without an error has seen the whole disk.
    """

    def __init__(self, stream: Readable, name: str) -> None:
        self.name = name
        self._input = _Input(stream, name)
        block = self._input.exactly(SECTOR)
        self.header = SparseHeader.parse(block, name)
        if not has_markers(self.header):
            raise UnsupportedDisk(
                "only a streamOptimized disk with markers can be read front to back",
                path=name,
                found=f"flags {self.header.flags:#x}",
                hint="Store it in a file first.",
            )
        self.size = self.header.capacity * SECTOR
        self._grain = self.header.grain_size * SECTOR
        self._parser = MarkerParser(self.header)
        self._head = b""  # of the marker read last

    def __iter__(self) -> Iterator[tuple[int, bytes]]:
        promised = _skip_front(self._input, self.header)
        seen = tables = 0
        unlisted = False
        proven = promised is not None  # else zeros in front of the grains would be an empty disk
        while True:
            marker = self._next_marker(promised is not None and seen == promised)
            if marker is None or marker.is_end:
                break
            proven = True
            unlisted = marker.leaves_unlisted(unlisted)
            if marker.is_grain:
                seen += 1
                yield marker.lba * SECTOR, self._content(marker)
            else:
                tables += marker.is_table
                self._input.skip(marker.length - MARKER_BYTES)
        # A stream that was cut and filled up with zeros seems to have an end marker.
        if not proven or (promised is not None and seen < promised) or (tables and unlisted):
            raise self._input.truncated("more grains, or a directory of them")

    def _next_marker(self, may_end: bool) -> Marker | None:
        """None at the end of a stream without an end marker that has had all its grains (qemu)."""
        offset = self._input.offset
        block = self._input.up_to(MARKER_BYTES)
        if not block and may_end:
            return None
        if len(block) < MARKER_BYTES:
            raise self._input.truncated("an end-of-stream marker")
        marker = self._parser.parse(block)
        if marker is None:
            raise CorruptDisk(
                "no marker where one should be",
                path=self.name,
                offset=offset,
                found=block.hex(" "),
                hint="Copy or download it again.",
            )
        self._head = block
        return marker

    def _content(self, marker: Marker) -> bytes:
        offset = self._input.offset - MARKER_BYTES
        begin = int(GRAIN_MARKER.size)
        inside = min(marker.compressed, MARKER_BYTES - begin)
        stream = self._head[begin : begin + inside]
        stream += self._input.exactly(marker.compressed - inside)
        # The last grain of a file without an end marker need not be padded.
        self._input.up_to(marker.length - MARKER_BYTES - (marker.compressed - inside))
        try:
            content = inflate(stream, self._grain)
        except BadStream as error:
            raise self._bad_grain(marker, offset, str(error)) from error
        needed = min(self._grain, self.size - marker.lba * SECTOR)
        if len(content) < needed:
            raise self._bad_grain(marker, offset, f"{len(content)} of {needed} bytes")
        return content[:needed]

    def _bad_grain(self, marker: Marker, offset: int, found: str) -> CorruptDisk:
        return CorruptDisk(
            "a grain is damaged",
            path=self.name,
            offset=offset,
            found=found,
            expected=f"the grain of disk sector {marker.lba}",
            hint="Copy or download it again.",
        )


class _Input:
    """Counts the bytes, and knows a short read from the end."""

    def __init__(self, stream: Readable, name: str) -> None:
        self._stream, self._name = stream, name
        self.offset = 0

    def up_to(self, length: int) -> bytes:
        """Less only at the end of the stream."""
        parts, left = [], length
        while left:
            part = self._stream.read(min(left, _AT_ONCE))
            if not part:
                break
            parts.append(part)
            left -= len(part)
        self.offset += length - left
        return b"".join(parts)

    def exactly(self, length: int) -> bytes:
        data = self.up_to(length)
        if len(data) < length:
            raise self.truncated(f"{length - len(data)} more bytes")
        return data

    def skip(self, length: int) -> None:
        while length:
            length -= len(self.exactly(min(length, _AT_ONCE)))

    def skip_to(self, offset: int) -> None:
        self.skip(offset - self.offset)

    def truncated(self, expected: str) -> TruncatedDisk:
        return TruncatedDisk(
            "the stream ends too early",
            path=self._name,
            offset=self.offset,
            expected=expected,
            hint="It was cut short: copy or download it again; "
            "vmdk_check with salvage_to saves what is left of a file.",
        )


def _skip_front(source: _Input, header: SparseHeader) -> int | None:
    """Go to the first marker; the number of grains by the tables on the way, None without any."""
    end, place = first_marker(header), header.gd_offset * SECTOR
    entries = header.directory_entries
    count = None
    in_front = header.gd_offset not in (0, GD_AT_END) and source.offset <= place
    if in_front and entries <= _MAX_FRONT_TABLES and place + 4 * entries <= end:
        source.skip_to(place)
        directory = _entries(source.exactly(4 * entries))
        count = _count_grains(source, header, directory, end)
    source.skip_to(end)
    return count


def _count_grains(
    source: _Input, header: SparseHeader, directory: array[int], end: int
) -> int | None:
    """None where a table does not lie between the directory and the grains."""
    length, count = header.gtes_per_gt, 0
    for sector, index in sorted((sector, index) for index, sector in enumerate(directory)):
        if sector == 0:
            continue
        if not source.offset <= sector * SECTOR <= end - 4 * length:
            return None
        source.skip_to(sector * SECTOR)
        table = _entries(source.exactly(4 * length))[: header.grains - index * length]
        count += len(table) - table.count(0)
        count -= table.count(1) if header.has_zeroed_grains else 0
    return count


def _entries(data: bytes) -> array[int]:
    entries = array("I", data)
    return array("I", little_endian(entries))  # a swap, where the machine is big-endian
