# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Blobs in, packs out, one after the other."""

from __future__ import annotations

import typing as t

from ..format.pack import RAW, BlobKind, PackWriter
from .index import PLACE, Index

if t.TYPE_CHECKING:
    from ..access import Access
    from ..format.chunk import Encoded


class PackStream:
    """Begins a pack with its first blob and a new one when it is full."""

    def __init__(self, access: Access, index: Index) -> None:
        self._access, self._index = access, index
        self._pack: PackWriter | None = None
        self._number = 0
        self._finished = 0

    @property
    def stored(self) -> int:
        """Bytes of pack files so far."""
        return self._finished + (self._pack.size if self._pack else 0)

    def add(self, kind: BlobKind, blob_id: bytes, encoded: Encoded) -> bytes:
        """The place of the new blob (index.PLACE)."""
        if self._pack and not self._pack.has_room(memoryview(encoded.data).nbytes):
            self.finish()
        if self._pack is None:
            self._pack = PackWriter(self._access.store, self._access.subkeys)
            self._number = self._index.new_pack()
        number, offset, length = self._pack.add(kind, blob_id, encoded)
        return PLACE.pack(self._number, number, offset, length | (RAW if encoded.raw else 0))

    def finish(self) -> None:
        """Every blob so far is durable, and its pack has a name, when it returns."""
        if self._pack is None:
            return
        self._index.name_pack(self._number, self._pack.finish())
        self._finished += self._pack.size
        self._pack = None

    def abort(self) -> None:
        """Throw the unfinished pack away."""
        if self._pack is not None:
            self._pack.abort()
            self._pack = None
