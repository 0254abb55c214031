# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Pictures of a screen: as QEMU of any age writes them, and as a browser shows them."""

from __future__ import annotations

import re
import struct
import typing as t
import zlib

_HEAD = re.compile(rb"P6\s+(\d+)\s+(\d+)\s+255\s")  # binary PPM, netpbm's ppm(5)
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB8 = b"\x08\x02\0\0\0"  # depth, colour type, deflate, filter, not interlaced (PNG 11.2.2)


class Picture(t.NamedTuple):
    """Pixels of three bytes, row by row."""

    width: int
    height: int
    pixels: bytes

    def as_png(self) -> bytes:
        """The same as a PNG file."""
        row = 3 * self.width
        rows = (self.pixels[start : start + row] for start in range(0, len(self.pixels), row))
        header = struct.pack(">II", self.width, self.height) + _RGB8
        content = zlib.compress(b"".join(b"\0" + each for each in rows), 6)
        chunks = ((b"IHDR", header), (b"IDAT", content), (b"IEND", b""))
        return _SIGNATURE + b"".join(_chunk(*chunk) for chunk in chunks)


def from_ppm(data: bytes) -> Picture | None:
    """None for what is no picture, or not all of one."""
    head = _HEAD.match(data)
    if head is None:
        return None
    width, height = int(head[1]), int(head[2])
    pixels = data[head.end() : head.end() + 3 * width * height]
    return Picture(width, height, pixels) if len(pixels) == 3 * width * height > 0 else None


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + _crc(kind + content)


def _crc(data: bytes) -> bytes:
    return struct.pack(">I", zlib.crc32(data))
