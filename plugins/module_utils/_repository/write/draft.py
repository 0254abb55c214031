# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a disk will look like in the manifest, while it is being backed up."""

from __future__ import annotations

import typing as t

from ..format.map import GROUP, NO_ID, MapRef, chunk_count, encode_map, group_count, root_of
from ..format.pack import BlobKind
from .index import PLACE

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..access import Access
    from ..format.pack import Location
    from .changes import Base
    from .index import Index
    from .stream import PackStream


class _Group:
    """The ids and places of up to 1024 chunks; zeros where a chunk is all zeros."""

    def __init__(self, count: int) -> None:
        self.ids = bytearray(count * len(NO_ID))
        self.places = bytearray(count * PLACE.size)

    def set(self, number: int, chunk_id: bytes, place: bytes) -> None:
        self.ids[number * len(NO_ID) : (number + 1) * len(NO_ID)] = chunk_id
        self.places[number * PLACE.size : (number + 1) * PLACE.size] = place

    def id_of(self, number: int) -> bytes | None:
        found = bytes(self.ids[number * len(NO_ID) : (number + 1) * len(NO_ID)])
        return None if found == NO_ID else found

    def locations(self, index: Index) -> Iterator[Location | None]:
        for number in range(len(self.places) // PLACE.size):
            chunk_id = bytes(self.ids[number * len(NO_ID) : (number + 1) * len(NO_ID)])
            place = bytes(self.places[number * PLACE.size : (number + 1) * PLACE.size])
            yield None if chunk_id == NO_ID else index.location(chunk_id, place)


class DiskDraft:
    """Collects chunks in order. Groups that are as in `base` take its map over at once."""

    def __init__(
        self, access: Access, index: Index, size: int, base: Sequence[MapRef | None] | None
    ) -> None:
        self._access, self._index, self._base = access, index, base
        self.size = size
        count = group_count(size, access.config.chunk_size)
        self._maps: list[MapRef | None] = [None] * count
        self._contents = [NO_ID] * count
        self._new: dict[int, _Group] = {}
        self._map_places: dict[int, tuple[bytes, bytes]] = {}
        self._open = -1

    @property
    def root(self) -> bytes:
        return root_of(self._access.subkeys, self.size, self._contents)

    def set(self, number: int, chunk_id: bytes, place: bytes) -> None:
        group, inside = divmod(number, GROUP)
        if group != self._open:
            self.close()
            self._open = group
            count = chunk_count(self.size, self._access.config.chunk_size, group)
            self._new[group] = _Group(count)
        self._new[group].set(inside, chunk_id, place)

    def take_over(self, group: int, ref: MapRef) -> None:
        """The group is as this map says; all that it needs is there."""
        self._maps[group] = ref
        self._contents[group] = ref.content

    def close(self) -> None:
        """No more chunks of the group that is being filled."""
        if self._open < 0:
            return
        group, self._open = self._open, -1
        content = self._access.subkeys.identify(self._new[group].ids)
        self._contents[group] = content
        ref = self._base[group] if self._base else None
        if ref is not None and ref.content == content and self._index.is_whole(ref.location):
            self._maps[group] = ref
            del self._new[group]

    def differing(self, base: Base) -> list[tuple[int, int]] | None:
        """(offset, length) of each chunk that is not as in `base`; None where that cannot be told.
        All chunks must be there."""
        size, found = self._access.config.chunk_size, []
        for group, ref in enumerate(base.disk.maps):
            if self._contents[group] == (NO_ID if ref is None else ref.content):
                continue
            known, new = base.chunk_ids(group), self._new.get(group)
            if known is None:
                return None
            for inside, chunk_id in enumerate(known):
                if chunk_id != (new.id_of(inside) if new else None):
                    start = (group * GROUP + inside) * size
                    found.append((start, min(size, self.size - start)))
        return found

    def write_maps(self, packs: PackStream) -> None:
        """Store the maps of new groups; the packs of their chunks must be finished."""
        for group, entries in self._new.items():
            data = encode_map(entries.locations(self._index))
            map_id = self._access.subkeys.identify(data)
            encoded = self._access.codec.compress(memoryview(data))
            self._map_places[group] = map_id, packs.add(BlobKind.MAP, map_id, encoded)

    def maps(self) -> list[MapRef | None]:
        """All map references; the packs of the new ones must be finished."""
        for group, (map_id, place) in self._map_places.items():
            where = self._index.location(map_id, place)
            self._maps[group] = MapRef(where, self._contents[group])
        return self._maps
