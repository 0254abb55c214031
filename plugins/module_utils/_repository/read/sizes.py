# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How much each restore point takes, to the byte: what it has alone and what it shares."""

from __future__ import annotations

import collections
import typing as t

from ..._device.errors import DiskError
from ..._device.pipeline import ordered_map
from ..catalog.chunks import READERS
from ..catalog.database import Database
from ..catalog.maps import BLOB, blobs_needed
from .late import read_point

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..access import Access
    from ..format.manifest import RestorePoint
    from ..format.pack import Location

_KEY = 12  # bytes of a row of BLOB that say which blob it is
_SHARED = -1  # the owner of what several points use
_MERGE = (
    "INSERT INTO owned VALUES (?, ?, ?) ON CONFLICT (blob) DO UPDATE"
    f" SET owner = CASE WHEN owner = excluded.owner THEN owner ELSE {_SHARED} END"
)


class PointSize(t.NamedTuple):
    """Bytes of packs. Only dropping the point can free `unique`; `shared` others need too."""

    unique: int
    shared: int


class Sizes(t.NamedTuple):
    """By the keys of the points; `total` is of all together. Points that could not be measured
    are missing, and `problems` says why."""

    points: dict[str, PointSize]
    total: PointSize
    problems: list[str]


def measure(access: Access, points: Iterable[RestorePoint]) -> Sizes:
    """Of all points of the repository, since each may share with any other."""
    return _Meter(access).measure(points)


class _Meter:
    """Blobs are counted in a temporary database: there may be many millions."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._owners: dict[Location, int] = {}  # of each map: the number of a point, or _SHARED
        self._bytes_used: list[int] = []  # of each point
        self._keys: list[str] = []
        self._problems: list[str] = []
        # Of the point that was measured last: the next one has most of its maps.
        self._maps: set[Location] = set()
        self._counts: collections.Counter[bytes] = collections.Counter()
        self._used = 0

    def measure(self, points: Iterable[RestorePoint]) -> Sizes:
        in_order = sorted(points, key=lambda point: (point.source_id, point.exact))
        for point, maps in ordered_map(self._maps_of, in_order, READERS):
            self._take(point, maps)
        owned = self._owned()
        sizes = {
            key: PointSize(owned[number], used - owned[number])
            for number, (key, used) in enumerate(zip(self._keys, self._bytes_used, strict=True))
        }
        shared = owned.pop(_SHARED, 0)
        return Sizes(sizes, PointSize(sum(owned.values()), shared), self._problems)

    def _maps_of(self, point: RestorePoint) -> tuple[RestorePoint, set[Location] | DiskError]:
        try:
            disks = read_point(self._access, point).disks
        except DiskError as error:
            return point, error
        return point, {ref.location for disk in disks for ref in disk.maps if ref is not None}

    def _take(self, point: RestorePoint, maps: set[Location] | DiskError) -> None:
        if isinstance(maps, DiskError):
            self._problems.append(f"{point.source_name}@{point.id}: {maps}")
            return
        for sign, changed in ((1, maps - self._maps), (-1, self._maps - maps)):
            for _place, rows in self._rows(changed):
                for row in rows:
                    self._count(row, sign)
        self._maps = maps
        number = len(self._keys)
        for place in maps:
            self._owners[place] = number if self._owners.get(place, number) == number else _SHARED
        self._keys.append(point.key)
        self._bytes_used.append(self._used)

    def _count(self, row: bytes, sign: int) -> None:
        before = self._counts[row]
        self._counts[row] = before + sign
        if before + sign == 0:
            del self._counts[row]
        if before == 0 or before + sign == 0:
            self._used += sign * _length(row)

    def _rows(self, maps: Iterable[Location]) -> Iterator[tuple[Location, list[bytes]]]:
        """Each map with its blobs: itself and its chunks."""
        for place, body in blobs_needed(self._access, maps):
            if isinstance(body, DiskError):
                self._problems.append(str(body))
                body = b""
            own = BLOB.pack(place.pack[:8], place.number, place.length)
            chunks = (body[at : at + BLOB.size] for at in range(0, len(body), BLOB.size))
            yield place, [own, *chunks]

    def _owned(self) -> collections.Counter[int]:
        """Bytes by their owner."""
        database = Database(None)
        database.change("CREATE TABLE owned (blob BLOB PRIMARY KEY, length INT, owner INT)")
        with database.transaction():
            database.change(_MERGE, self._owned_rows())
        rows = database.rows("SELECT owner, sum(length) FROM owned GROUP BY owner")
        return collections.Counter(dict(rows))

    def _owned_rows(self) -> Iterator[tuple[bytes, int, int]]:
        for place, rows in self._rows(self._owners):
            for row in rows:
                yield row[:_KEY], _length(row), self._owners[place]


def _length(row: bytes) -> int:
    return int(BLOB.unpack(row)[2])
