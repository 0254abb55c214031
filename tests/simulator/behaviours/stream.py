# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What hosts send over NFC: a disk as a stream-optimised VMDK, written and read in one pass.

Made from VMware's "Virtual Disk Format 5.0" technical note (TN) and from nothing of ours: it stands
beside the engine under test as a second opinion.
"""

from __future__ import annotations

import struct
import typing as t
import zlib

SECTOR = 512
GRAIN = 128 * SECTOR
TABLE = 512  # entries of a grain table (TN p.9)
NO_OFFSET = 0xFFFFFFFFFFFFFFFF  # "the directory is at the end" (TN p.10)
OVERHEAD = 128  # sectors before the first grain: header, descriptor, and nothing
END, GRAIN_TABLE, DIRECTORY, FOOTER = range(4)

HEADER = struct.Struct("<4sIIQQQQIQQQB4sH433x")
MARKER = struct.Struct("<QII")

DESCRIPTOR = """# Disk DescriptorFile
version=1
CID={cid:08x}
parentCID=ffffffff
createType="streamOptimized"

# Extent description
RDONLY {sectors} SPARSE "{name}"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "{cylinders}"
ddb.geometry.heads = "255"
ddb.geometry.sectors = "63"
ddb.virtualHWVersion = "13"
"""


class BrokenStream(ValueError):
    """What a client sent is no stream-optimised disk."""


def write_stream(
    read: t.Callable[[int, int], bytes], size: int, name: str, cid: int = 0xC0FFEE
) -> t.Iterator[bytes]:
    """Pieces of the file, in order; `read(offset, length)` gives the disk's bytes."""
    yield _head(size, name, cid)
    position = OVERHEAD
    directory: list[int] = []
    table = [0] * TABLE
    grains = -(-size // GRAIN)
    for number in range(grains):
        data = read(number * GRAIN, min(GRAIN, size - number * GRAIN)).ljust(GRAIN, b"\0")
        if data.count(0) != GRAIN:
            packed = zlib.compress(data, 1)
            piece = _padded(struct.pack("<QI", number * 128, len(packed)) + packed)
            table[number % TABLE] = position
            position += len(piece) // SECTOR
            yield piece
        if number % TABLE == TABLE - 1 or number == grains - 1:
            position, entry, piece = _table(position, table)
            directory.append(entry)
            table = [0] * TABLE
            yield piece
    yield from _tail(position, directory, size)


def _head(size: int, name: str, cid: int) -> bytes:
    text = DESCRIPTOR.format(
        cid=cid, sectors=size // SECTOR, name=name, cylinders=max(1, size // (255 * 63 * SECTOR))
    )
    return (_header(size, NO_OFFSET) + text.encode().ljust(20 * SECTOR, b"\0")).ljust(
        OVERHEAD * SECTOR, b"\0"
    )


def _header(size: int, directory: int) -> bytes:
    flags = 0x30001  # newlines can be tested, grains are compressed, markers are there
    return HEADER.pack(
        b"KDMV", 3, flags, size // SECTOR, 128, 1, 20, TABLE, 0, directory, OVERHEAD, 0,
        b"\n \r\n", 1,
    )  # fmt: skip


def _table(position: int, table: list[int]) -> tuple[int, int, bytes]:
    """A grain table behind its marker; one of nothing but zeros is left out (entry 0)."""
    if not any(table):
        return position, 0, b""
    body = struct.pack(f"<{TABLE}I", *table)
    piece = _padded(MARKER.pack(len(body) // SECTOR, 0, GRAIN_TABLE)) + body
    return position + len(piece) // SECTOR, position + 1, piece


def _tail(position: int, directory: list[int], size: int) -> t.Iterator[bytes]:
    body = _padded(struct.pack(f"<{len(directory)}I", *directory))
    yield _padded(MARKER.pack(len(body) // SECTOR, 0, DIRECTORY)) + body
    yield _padded(MARKER.pack(1, 0, FOOTER)) + _header(size, position + 1)
    yield _padded(MARKER.pack(0, 0, END))


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % SECTOR)


class StreamReader:
    """Takes an upload as it comes: `grains()` gives (offset, data) of what is not zero.

    `capacity` is known once the first grain, or the end, has been seen.
    """

    def __init__(self, read: t.Callable[[int], bytes]) -> None:
        self._read = read
        self.capacity = 0

    def grains(self) -> t.Iterator[tuple[int, bytes]]:
        overhead = self._header()
        self._exactly((overhead - 1) * SECTOR)
        while True:
            sector = self._exactly(SECTOR)
            value, size, kind = MARKER.unpack_from(sector)
            if size:
                yield value * SECTOR, self._grain(sector, value, size)
            elif kind == END:
                return
            else:
                self._exactly(value * SECTOR)

    def _header(self) -> int:
        fields = HEADER.unpack(self._exactly(SECTOR))
        if fields[0] != b"KDMV" or not fields[2] & 0x20000:
            raise BrokenStream("the upload does not begin with the header of a stream")
        if fields[4] != 128:
            raise BrokenStream(f"grains of {fields[4]} sectors")
        self.capacity = fields[3] * SECTOR
        return int(fields[10])

    def _grain(self, sector: bytes, lba: int, size: int) -> bytes:
        rest = max(0, 12 + size - SECTOR)
        data = sector[12:] + self._exactly(rest + -rest % SECTOR)
        try:
            plain = zlib.decompress(data[:size])
        except zlib.error as error:
            raise BrokenStream(f"grain at sector {lba}: {error}") from None
        return plain[: max(0, self.capacity - lba * SECTOR)]

    def _exactly(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            more = self._read(length - len(data))
            if not more:
                raise BrokenStream(f"the upload ends {length - len(data)} bytes too early")
            data += more
        return data
