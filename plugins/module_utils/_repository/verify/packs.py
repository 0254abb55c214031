# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Is every pack what its name says, and every blob in it what its id says?"""

from __future__ import annotations

import hashlib
import typing as t

from ..._device.errors import DiskError, DiskNotFound, RepositoryDamaged
from ..._device.pipeline import BufferPool, ordered_map
from ..format.config import KEY
from ..format.map import LARGEST as LARGEST_MAP
from ..format.pack import HEADER, LARGEST, locations, pack_key

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..._device.progress import Progress
    from ..access import Access
    from ..format.pack import Location

_PIECE = 4 << 20  # bytes that are read at once, about


class Fault(t.NamedTuple):
    """What is wrong with a pack. `kind`: missing, short, unreadable or damaged."""

    kind: str
    message: str
    offsets: tuple[int, ...] = ()  # of bad blobs


class Examined(t.NamedTuple):
    """`table` is the raw table of a sound pack, if blobs were asked for."""

    pack: bytes
    size: int
    fault: Fault | None
    table: bytes | None


class _Piece(t.NamedTuple):
    start: int
    end: int
    blobs: tuple[Location, ...]


def examine_packs(
    access: Access, packs: dict[bytes, int], *, blobs: bool, progress: Progress
) -> Iterator[Examined]:
    """Every one of these packs (name to size), each read once, on threads."""
    most = max(access.config.chunk_size, LARGEST_MAP)  # bytes of a blob
    buffers = BufferPool(_PIECE + 2 * most)

    def examine(item: tuple[bytes, int]) -> Examined:
        buffer = buffers.take()
        try:
            return _Pack(access, *item, progress, memoryview(buffer)).examine(blobs)
        finally:
            buffers.give(buffer)

    progress.start("packs", sum(packs.values()))
    yield from ordered_map(examine, packs.items())
    progress.finish()


class _Pack:
    """One pack under examination."""

    def __init__(
        self, access: Access, name: bytes, size: int, progress: Progress, buffer: memoryview
    ) -> None:
        self._access, self._name, self._size, self._progress = access, name, size, progress
        most = max(access.config.chunk_size, LARGEST_MAP)
        self._content, self._stored = buffer[:most], buffer[most:]
        self._key = pack_key(name)
        self._bad: list[RepositoryDamaged] = []

    def examine(self, blobs: bool) -> Examined:
        table, digest = b"", hashlib.sha256()
        if self._size > LARGEST:  # reading it might never end
            return self._faulty("damaged", f"no pack is that large: {self._size} bytes")
        try:
            if blobs:
                table = self._table()
            for piece in _pieces(self._size, locations(self._name, table)):
                stored = self._room(piece.end - piece.start)
                self._access.store.read_into(self._key, piece.start, stored)
                digest.update(stored)
                self._prove(piece, stored)
                self._progress.advance(stored.nbytes)
        except DiskNotFound:
            return self._faulty("missing", "this pack is missing")
        except RepositoryDamaged as error:
            return self._faulty("damaged", error.message)
        except DiskError as error:
            self._access.store.size(KEY)  # raises, if it is the whole store that is gone
            return self._faulty("unreadable", f"it cannot be read: {error.message}")
        if digest.digest() != self._name:
            return self._faulty("damaged", "its content is not what its name says" + self._first())
        if self._bad:
            return self._faulty("damaged", self._bad[0].message)
        return Examined(self._name, self._size, None, table if blobs else None)

    def _room(self, length: int) -> memoryview:
        """For a piece. A table that lies may name longer ones than there can be."""
        if length <= self._stored.nbytes:
            return self._stored[:length]
        return memoryview(bytearray(length))

    def _table(self) -> bytes:
        """Without one, the digest alone has to tell; it will."""
        try:
            return self._access.packs.raw_table(self._name, self._size)
        except RepositoryDamaged as error:
            self._bad.append(error)
            return b""

    def _prove(self, piece: _Piece, stored: memoryview) -> None:
        for blob in piece.blobs:
            start = blob.offset - piece.start
            try:
                self._access.packs.prove(blob, stored[start : start + blob.length], self._content)
            except RepositoryDamaged as error:
                self._bad.append(error)

    def _first(self) -> str:
        return f" ({self._bad[0].message})" if self._bad else ""

    def _faulty(self, kind: str, message: str) -> Examined:
        offsets = tuple(error.offset for error in self._bad if error.offset is not None)
        return Examined(self._name, self._size, Fault(kind, message, offsets), None)


def _pieces(size: int, blobs: Iterable[Location]) -> Iterator[_Piece]:
    """The whole pack in order; no blob is cut in two."""
    start = end = 0
    held: list[Location] = []
    for blob in blobs:
        if blob.offset < max(end, HEADER) or blob.offset + blob.length > size:
            raise RepositoryDamaged("its table lists what cannot be", path=pack_key(blob.pack))
        held.append(blob)
        end = blob.offset + blob.length
        if end - start >= _PIECE:
            yield _Piece(start, end, tuple(held))
            start, held = end, []
    if held:
        yield _Piece(start, end, tuple(held))
    for start in range(end, size, _PIECE):  # the table, or all of a pack without one
        yield _Piece(start, min(start + _PIECE, size), ())
