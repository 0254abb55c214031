# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Blobs out of old packs into new ones, as the frames that they are stored in."""

from __future__ import annotations

import typing as t

from ..format.chunk import Encoded
from ..format.pack import BlobKind, Location, PackWriter

if t.TYPE_CHECKING:
    from ..._device.progress import Progress
    from ..access import Access


class Repacker:
    """Each blob is proven by its id on the way, so that damage is never copied."""

    def __init__(self, access: Access, progress: Progress) -> None:
        self._access, self._progress = access, progress
        self._pack: PackWriter | None = None
        self._waiting: list[tuple[Location, Location, tuple[int, int, int]]] = []
        self._moved: dict[Location, Location] = {}
        self.bytes_written = 0

    def move(self, where: Location, kind: BlobKind, largest: int) -> None:
        """Copy a blob, once. Raises RepositoryDamaged."""
        if where in self._moved:
            return
        frame = self._access.packs.frame(where)
        self._access.packs.expand(where, frame, largest)
        self._add(kind, where, Encoded(frame, where.raw))
        self._progress.advance(where.length)

    def write(self, kind: BlobKind, old: Location, content: bytes) -> None:
        """A blob that takes the place of another one."""
        where = old._replace(id=self._access.subkeys.identify(content), raw=False)
        encoded = self._access.codec.compress(memoryview(content))
        self._add(kind, where._replace(raw=encoded.raw), encoded, instead=old)

    def place(self, old: Location) -> Location:
        """Where it is after finish(); the same place if it was not moved."""
        return self._moved.get(old, old)

    def finish(self) -> None:
        """Every blob so far is durable and has its place."""
        if self._pack is None:
            return
        pack, self._pack = self._pack, None
        name = pack.finish()
        self.bytes_written += pack.size
        for old, new, (number, offset, length) in self._waiting:
            self._moved[old] = Location(name, number, offset, length, new.raw, new.id)
        self._waiting.clear()

    def abort(self) -> None:
        if self._pack is not None:
            self._pack.abort()

    def _add(
        self, kind: BlobKind, where: Location, encoded: Encoded, instead: Location | None = None
    ) -> None:
        if self._pack and not self._pack.has_room(memoryview(encoded.data).nbytes):
            self.finish()
        if self._pack is None:
            self._pack = PackWriter(self._access.store, self._access.subkeys)
        placed = self._pack.add(kind, where.id, encoded)
        self._waiting.append((instead or where, where, placed))
