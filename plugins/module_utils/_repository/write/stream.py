# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Blobs in, packs out: while one is being filled, full ones become durable on other threads."""

from __future__ import annotations

import collections
import typing as t
from concurrent.futures import Future, ThreadPoolExecutor, wait

from ..format.pack import RAW, BlobKind, PackWriter
from .budget import plan_budget
from .index import PLACE, Index

if t.TYPE_CHECKING:
    from ..access import Access
    from ..format.chunk import Encoded
    from .budget import Budget


class _Full(t.NamedTuple):
    """A pack that nothing is added to any more."""

    pack: PackWriter
    number: int  # in the index
    name: Future[bytes]


class PackStream:
    """Begins a pack with its first blob and a new one when it is full."""

    def __init__(self, access: Access, index: Index, budget: Budget | None = None) -> None:
        self._access, self._index = access, index
        self._most = (budget or plan_budget(access.config.chunk_size)).packs
        self._pack: PackWriter | None = None
        self._number = 0
        self._full: collections.deque[_Full] = collections.deque()
        self._durable = 0
        self._pool = ThreadPoolExecutor(max(1, self._most), "pack")

    @property
    def stored(self) -> int:
        """Bytes of pack files so far."""
        pending = sum(full.pack.size for full in self._full)
        return self._durable + pending + (self._pack.size if self._pack else 0)

    def add(self, kind: BlobKind, blob_id: bytes, encoded: Encoded) -> bytes:
        """The place of the new blob (index.PLACE). Raises what storing an earlier pack raised."""
        if self._pack and not self._pack.has_room(memoryview(encoded.data).nbytes):
            self._close_pack()
        if self._pack is None:
            self._pack = PackWriter(self._access.store, self._access.subkeys)
            self._number = self._index.new_pack()
        number, offset, length = self._pack.add(kind, blob_id, encoded)
        return PLACE.pack(self._number, number, offset, length | (RAW if encoded.raw else 0))

    def finish(self) -> None:
        """Every blob so far is durable, and its pack has a name, when it returns."""
        self._close_pack()
        self._settle(0)

    def abort(self) -> None:
        """Throw away what is not durable. After it, and after finish(), nothing runs any more."""
        for full in self._full:
            full.name.cancel()
        wait([full.name for full in self._full])
        for full in self._full:
            full.pack.abort()
        self._full.clear()
        if self._pack is not None:
            self._pack.abort()
            self._pack = None
        self._pool.shutdown()

    def _close_pack(self) -> None:
        if self._pack is None:
            return
        full = _Full(self._pack, self._number, self._pool.submit(self._pack.finish))
        self._pack = None
        self._full.append(full)
        self._settle(self._most)

    def _settle(self, most: int) -> None:
        """Wait until no more than `most` full packs are not durable yet."""
        while self._full and (len(self._full) > most or self._full[0].name.done()):
            first = self._full[0]  # it stays there until it is sure: abort() cleans up
            self._index.name_pack(first.number, first.name.result())
            self._durable += first.pack.size
            self._full.popleft()
