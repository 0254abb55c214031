# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which chunk of a disk is where: docs/repository-format.md, "Maps"."""

from __future__ import annotations

import itertools
import struct
import typing as t

from .pack import RAW, Location

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .subkeys import SubKeys

GROUP = 1024  # chunks of one map
_ENTRY = struct.Struct("<32sIII32s")  # pack, number, offset, length | RAW, id
_ENTRY_LENGTH = struct.Struct("<40xI32x")  # the length alone; 0: the chunk is all zeros
LARGEST = GROUP * _ENTRY.size
NO_ID = bytes(32)  # in place of the id of a chunk, or the digest of a group, that is all zeros
_HOLE = bytes(_ENTRY.size)


class MapRef(t.NamedTuple):
    """A map in a pack, and the digest of the chunk ids that it lists."""

    location: Location
    content: bytes


def group_count(size: int, chunk_size: int) -> int:
    """How many maps a disk of `size` bytes has."""
    return -(-size // (chunk_size * GROUP))


def chunk_count(size: int, chunk_size: int, group: int) -> int:
    """How many chunks are in one group of a disk."""
    return min(GROUP, -(-size // chunk_size) - group * GROUP)


def root_of(subkeys: SubKeys, size: int, groups: Iterable[bytes]) -> bytes:
    """One digest for the whole content of a disk; equal content, equal root, in one repository."""
    return subkeys.identify(b"vdisk root" + struct.pack("<Q", size) + b"".join(groups))


def encode_map(entries: Iterable[Location | None]) -> bytes:
    return b"".join(
        _HOLE
        if entry is None
        else _ENTRY.pack(
            entry.pack,
            entry.number,
            entry.offset,
            entry.length | (RAW if entry.raw else 0),
            entry.id,
        )
        for entry in entries
    )


class ChunkMap:
    """A decoded map. Raises ValueError where the length is not that of `count` entries."""

    def __init__(self, data: bytes | bytearray, count: int) -> None:
        if len(data) != count * _ENTRY.size:
            raise ValueError(f"{len(data)} bytes are not a map of {count} chunks")
        self._data = data

    @classmethod
    def of_any_length(cls, data: bytes | bytearray) -> ChunkMap:
        """For those who do not know the disk. Raises ValueError for what is no map at all."""
        return cls(data, len(data) // _ENTRY.size)

    def entry(self, index: int) -> Location | None:
        """None: the chunk is all zeros."""
        return _location(_ENTRY.unpack_from(self._data, index * _ENTRY.size))

    def runs(self) -> Iterator[tuple[int, int, bool]]:
        """(first chunk, number of chunks, whether they are all zeros), in order."""
        zeros = [not length for (length,) in _ENTRY_LENGTH.iter_unpack(self._data)]
        first = 0
        for zero, members in itertools.groupby(zeros):
            count = len(list(members))
            yield first, count, zero
            first += count

    def __iter__(self) -> Iterator[Location | None]:
        return map(_location, _ENTRY.iter_unpack(self._data))


def _location(fields: tuple[bytes, int, int, int, bytes]) -> Location | None:
    pack, number, offset, length, chunk_id = fields
    if not length:
        return None
    return Location(pack, number, offset, length & ~RAW, bool(length & RAW), chunk_id)
