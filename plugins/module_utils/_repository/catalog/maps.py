# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What each map needs. Maps never change, so each is read once on each host."""

from __future__ import annotations

import itertools
import struct
import typing as t

from ..._device.errors import DiskError
from ..._device.pipeline import ordered_map
from .chunks import READERS
from .database import CatalogLost

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..access import Access
    from ..format.map import ChunkMap
    from ..format.pack import Location
    from .catalog import Catalog

    Digest = Callable[[ChunkMap], bytes]

_BATCH = 64  # maps of one transaction
_NAME = 32
_NUMBER = struct.Struct("<I")
_SUM = 8


def packs_needed(
    access: Access, maps: Iterable[Location], *, fresh: bool = False
) -> Iterator[tuple[Location, frozenset[bytes] | DiskError]]:
    """The packs of each map and of its chunks, or why nobody knows. With `fresh`, all are read."""
    for place, body in _bodies(access, maps, "packs", _pack_names, fresh=fresh):
        if isinstance(body, DiskError):
            yield place, body
            continue
        names = (body[at : at + _NAME] for at in range(0, len(body), _NAME))
        yield place, frozenset((place.pack, *names))


def blobs_needed(
    access: Access, maps: Iterable[Location]
) -> Iterator[tuple[Location, bytes | DiskError]]:
    """The chunks of each map as rows of BLOB."""
    return _bodies(access, maps, "blobs", _blobs, fresh=False)


BLOB = struct.Struct("<8sII")  # beginning of the pack's name, number, length in bytes


def _pack_names(chunk_map: ChunkMap) -> bytes:
    return b"".join(sorted({entry.pack for entry in chunk_map if entry is not None}))


def _blobs(chunk_map: ChunkMap) -> bytes:
    return b"".join(
        BLOB.pack(entry.pack[:8], entry.number, entry.length)
        for entry in chunk_map
        if entry is not None
    )


def _bodies(
    access: Access, maps: Iterable[Location], kind: str, digest: Digest, *, fresh: bool
) -> Iterator[tuple[Location, bytes | DiskError]]:
    def read(place: Location) -> bytes | DiskError:
        try:
            return digest(access.read_map(place))
        except DiskError as error:
            return error

    remaining = iter(maps)
    while batch := list(itertools.islice(remaining, _BATCH)):
        known = {} if fresh else _load(access.catalog, batch, kind)
        unknown = [place for place in batch if place not in known]
        bodies = dict(zip(unknown, ordered_map(read, unknown, READERS), strict=True))
        _keep(access.catalog, bodies, kind)
        bodies.update(known)
        for place in batch:
            yield place, bodies[place]


def _load(catalog: Catalog, places: list[Location], kind: str) -> dict[Location, bytes | DiskError]:
    found: dict[Location, bytes | DiskError] = {}
    try:
        for place in places:
            rows = catalog.database.rows(
                "SELECT body FROM maps WHERE pack = ? AND number = ? AND kind = ?",
                (place.pack, place.number, kind),
            )
            for (body,) in rows:
                if isinstance(body, bytes) and body[:_SUM] == _sum(catalog, place, body[_SUM:]):
                    found[place] = body[_SUM:]
    except CatalogLost:
        pass
    return found


def _keep(catalog: Catalog, bodies: dict[Location, bytes | DiskError], kind: str) -> None:
    rows = [
        (place.pack, place.number, kind, _sum(catalog, place, body) + body)
        for place, body in bodies.items()
        if not isinstance(body, DiskError)
    ]
    if not rows:
        return
    try:
        with catalog.database.transaction():
            catalog.database.change("INSERT OR REPLACE INTO maps VALUES (?, ?, ?, ?)", rows)
    except CatalogLost:  # they are read again another time
        return


def _sum(catalog: Catalog, place: Location, body: bytes) -> bytes:
    return catalog.sum(place.id, place.pack, _NUMBER.pack(place.number), body)
