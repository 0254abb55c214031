# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which chunks the repository has already, and which this run has stored."""

from __future__ import annotations

import struct
import threading
import typing as t

from ..._device.errors import DiskError
from ..catalog.chunks import Pack, find_chunk, forget_chunk, keep_packs, list_packs
from ..catalog.database import CatalogLost
from ..catalog.maps import packs_needed
from ..format.pack import RAW, Location
from ..read.avoid import packs_to_avoid

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..access import Access
    from ..format.manifest import RestorePoint
    from ..read.avoid import Avoid

# Pack (by its position in Index._packs), blob number, offset, length | RAW. Objects would take
# several times the memory.
PLACE = struct.Struct("<IIII")
_REMEMBERED = 1 << 15  # chunks; each thread may have some that it has found and not yet used


class Index:
    """Chunk id to place: in the catalog, or in a pack of this run that is not finished yet.

    Only packs that are there, undamaged at their ends and not to be avoided count. `usable` grows
    by the packs of this run.
    """

    def __init__(
        self,
        access: Access,
        usable: set[bytes],
        avoid: Avoid,
        warnings: tuple[str, ...] = (),
        *,
        fresh: bool = False,
    ) -> None:
        self._access, self._usable, self._fresh = access, usable, fresh
        self.avoid, self.warnings = avoid, warnings
        self._packs: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._unfinished: dict[bytes, bytes] = {}
        self._stored_again: dict[bytes, bytes] = {}
        self._remembered: dict[bytes, bytes] = {}
        self._asked: set[Location] = set()
        self._whole: set[Location] = set()
        self._lock = threading.Lock()
        self.damaged: set[bytes] = set()  # packs of chunks that had to be stored again

    def find(self, chunk_id: bytes) -> bytes | None:
        """The place of a chunk that is stored, or is about to be."""
        with self._lock:
            for places in (self._stored_again, self._unfinished):
                if chunk_id in places:
                    return places[chunk_id]
            if chunk_id in self._remembered:
                return self._remember(chunk_id, self._remembered.pop(chunk_id))  # as the newest
        where = find_chunk(self._access.catalog, chunk_id, self._usable)
        if where is None:
            return None
        with self._lock:
            # What was found once stays so, even if another process changes the catalog.
            return self._remember(chunk_id, self._place_of(where))

    def add(self, chunk_id: bytes, place: bytes) -> None:
        """A chunk of this run. One that was known is damaged there."""
        known = self.find(chunk_id)
        with self._lock:
            if known is None:
                self._unfinished[chunk_id] = place
                return
            self._stored_again[chunk_id] = place
        where = self.location(chunk_id, known)
        self.damaged.add(where.pack)
        forget_chunk(self._access.catalog, where)

    def learn_maps(self, maps: Iterable[Location]) -> None:
        """Ask for many at once, which takes less time in an object store."""
        unknown = [place for place in maps if place not in self._asked]
        for place, packs in packs_needed(self._access, unknown, fresh=self._fresh):
            self._asked.add(place)
            if not isinstance(packs, DiskError) and packs <= self._usable:
                self._whole.add(place)

    def is_whole(self, location: Location) -> bool:
        """Whether this map and all chunks that it lists are there."""
        if location not in self._asked:
            self.learn_maps([location])
        return location in self._whole

    def holds(self, point: RestorePoint) -> bool:
        """Whether everything that one of its points needs is there."""
        try:
            maps = [ref.location for disk in point.disks for ref in disk.maps if ref is not None]
        except DiskError:  # its manifest is gone or damaged
            return False
        self.learn_maps(maps)
        return all(map(self.is_whole, maps))

    def new_pack(self) -> int:
        """The number of a pack that has no name yet."""
        with self._lock:
            self._packs.append(b"")
            return len(self._packs) - 1

    def name_pack(self, number: int, name: bytes) -> None:
        """The pack is finished. Others, and whoever comes after a crash, can use its chunks."""
        with self._lock:
            self._packs[number] = name
            self._numbers[name] = number
            mine = [
                (chunk_id, place)
                for chunk_id, place in self._unfinished.items()
                if PLACE.unpack(place)[0] == number
            ]
        self._usable.add(name)
        chunks = [self.location(chunk_id, place) for chunk_id, place in mine]
        try:
            keep_packs(self._access.catalog, [Pack(name, 0, "", chunks)])
        except CatalogLost:  # its chunks are unknown then, and stored twice at worst
            pass
        with self._lock:
            for chunk_id, place in mine:
                self._remember(chunk_id, place)
                del self._unfinished[chunk_id]

    def location(self, chunk_id: bytes, place: bytes) -> Location:
        """Of a place whose pack is finished."""
        pack, number, offset, length = PLACE.unpack(place)
        return Location(
            self._packs[pack], number, offset, length & ~RAW, bool(length & RAW), chunk_id
        )

    def _remember(self, chunk_id: bytes, place: bytes) -> bytes:
        if len(self._remembered) >= _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]  # the oldest
        return self._remembered.setdefault(chunk_id, place)

    def _place_of(self, where: Location) -> bytes:
        pack = self._numbers.get(where.pack)
        if pack is None:
            pack = self._numbers[where.pack] = len(self._packs)
            self._packs.append(where.pack)
        flag = RAW if where.raw else 0
        return PLACE.pack(pack, where.number, where.offset, where.length | flag)


def load_index(access: Access, *, fresh: bool = False) -> Index:
    """What the repository holds now; a writer begins its session before. With `fresh`, maps are
    read again although this host knows them."""
    avoid = packs_to_avoid(access)
    packs = list_packs(access.catalog, access.store, access.packs)
    usable = set() if avoid.everything else packs.usable - avoid.packs
    return Index(access, usable, avoid, (*avoid.warnings, *packs.warnings), fresh=fresh)
