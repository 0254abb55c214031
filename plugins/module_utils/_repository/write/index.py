# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which chunks the repository has already: kept in memory, rebuilt from the maps."""

from __future__ import annotations

import struct
import typing as t

from ..._device.errors import RepositoryDamaged
from ..format.pack import RAW, Location

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..access import Access
    from ..format.manifest import RestorePoint
    from ..format.map import ChunkMap

# Pack (by its position in Index._packs), blob number, offset, length | RAW. Objects would take
# several times the memory.
PLACE = struct.Struct("<IIII")


class Index:
    """Chunk id to place. A place whose pack is gone or too short is not taken in."""

    def __init__(self, pack_sizes: dict[bytes, int]) -> None:
        self._pack_sizes = pack_sizes
        self._packs: list[bytes] = []
        self._numbers: dict[bytes, int] = {}
        self._places: dict[bytes, bytes] = {}
        self._whole_maps: set[Location] = set()

    def find(self, chunk_id: bytes) -> bytes | None:
        """The place of a chunk that is stored, or is about to be."""
        return self._places.get(chunk_id)

    def add(self, chunk_id: bytes, place: bytes) -> None:
        self._places[chunk_id] = place

    def add_map(self, location: Location, chunk_map: ChunkMap) -> None:
        whole = self._is_there(location)
        for entry in chunk_map:
            if entry is None:
                continue
            if not self._is_there(entry):
                whole = False
            elif entry.id not in self._places:
                self._places[entry.id] = self._place_of(entry)
        if whole:
            self._whole_maps.add(location)

    def is_whole(self, location: Location) -> bool:
        """Whether this map and all chunks that it lists are there."""
        return location in self._whole_maps

    def holds(self, point: RestorePoint) -> bool:
        """Whether everything that one of its points needs is there."""
        refs = (ref for disk in point.disks for ref in disk.maps if ref is not None)
        return all(self.is_whole(ref.location) for ref in refs)

    def new_pack(self) -> int:
        """The number of a pack that has no name yet."""
        self._packs.append(b"")
        return len(self._packs) - 1

    def name_pack(self, number: int, name: bytes) -> None:
        self._packs[number] = name

    def location(self, chunk_id: bytes, place: bytes) -> Location:
        """Of a place whose pack is finished."""
        pack, number, offset, length = PLACE.unpack(place)
        return Location(
            self._packs[pack], number, offset, length & ~RAW, bool(length & RAW), chunk_id
        )

    def _is_there(self, where: Location) -> bool:
        return self._pack_sizes.get(where.pack, 0) >= where.offset + where.length

    def _place_of(self, where: Location) -> bytes:
        pack = self._numbers.get(where.pack)
        if pack is None:
            pack = self._numbers[where.pack] = self.new_pack()
            self.name_pack(pack, where.pack)
        flag = RAW if where.raw else 0
        return PLACE.pack(pack, where.number, where.offset, where.length | flag)


def load_index(access: Access, points: Iterable[RestorePoint]) -> Index:
    """From every map of these points; each map is read once. Damaged maps are left out:
    what they list is stored again."""
    index = Index(_pack_sizes(access))
    seen: set[Location] = set()
    for point in points:
        for disk in point.disks:
            for group, ref in enumerate(disk.maps):
                if ref is None or ref.location in seen:
                    continue
                seen.add(ref.location)
                try:
                    index.add_map(ref.location, access.load_map(disk, group))
                except RepositoryDamaged:
                    pass
    return index


def _pack_sizes(access: Access) -> dict[bytes, int]:
    sizes = {}
    for stored in access.store.list("packs/"):
        name = stored.key.rpartition("/")[2]
        try:
            sizes[bytes.fromhex(name)] = stored.size
        except ValueError:  # not a pack of ours
            continue
    return sizes
