# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How much each restore point takes, to the byte: what it has alone and what it shares."""

from __future__ import annotations

import collections
import json
import typing as t

from ..._device.errors import DiskError
from ..._device.pipeline import ordered_map
from ..catalog.chunks import READERS
from ..catalog.maps import BLOB, blobs_needed
from ..catalog.results import keep_result, load_result
from ..format.manifest import PREFIX
from ..format.pack import MOST_BLOBS
from .blobs import SHARED, Owners, Uses
from .late import read_point

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..access import Access
    from ..format.manifest import RestorePoint
    from ..format.pack import Location
    from .blobs import Blob

_RESULT = "sizes"
_COUNTING = 2  # to be raised with any change here that makes other numbers of the same points


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


def measure(access: Access, points: Sequence[RestorePoint]) -> Sizes:
    """Of all points of the repository, since each may share with any other.

    What was measured without problems is remembered until a point comes, goes or changes.
    """
    state = _state(access, points)
    known = load_result(access.catalog, _RESULT, state)
    if known is not None:
        total, *sizes = (PointSize(*size) for size in json.loads(known))
        return Sizes(dict(zip(_keys(points), sizes, strict=True)), total, [])
    measured = _Meter(access).measure(points)
    if not measured.problems:
        sizes = [measured.total, *(measured.points[key] for key in _keys(points))]
        keep_result(access.catalog, _RESULT, state, json.dumps(sizes).encode())
    return measured


def _state(access: Access, points: Iterable[RestorePoint]) -> str:
    """Changes with the points that are measured, with their manifests, and with what is counted."""
    versions = {stored.key: stored.version for stored in access.store.list(PREFIX)}
    manifests = [(key, versions.get(key)) for key in _keys(points)]
    return json.dumps([_COUNTING, PointSize._fields, manifests])


def _keys(points: Iterable[RestorePoint]) -> list[str]:
    return sorted(point.key for point in points)


class _Meter:
    def __init__(self, access: Access) -> None:
        self._access = access
        self._owners: dict[Location, int] = {}  # of each map: the number of a point, or SHARED
        self._bytes_used: list[int] = []  # of each point
        self._keys: list[str] = []
        self._problems: list[str] = []
        # Of the point that was measured last: the next one has most of its maps.
        self._maps: set[Location] = set()
        self._uses = Uses()

    def measure(self, points: Iterable[RestorePoint]) -> Sizes:
        in_order = sorted(points, key=lambda point: (point.source_id, point.exact))
        for point, maps in ordered_map(self._maps_of, in_order, READERS):
            self._take(point, maps)
        owned = self._owned()
        sizes = {
            key: PointSize(owned[number], max(0, used - owned[number]))
            for number, (key, used) in enumerate(zip(self._keys, self._bytes_used, strict=True))
        }
        shared = owned.pop(SHARED, 0)
        return Sizes(
            sizes, PointSize(sum(owned.values()), shared), [*dict.fromkeys(self._problems)]
        )

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
        number = len(self._keys)
        for place in maps:
            self._owners[place] = number if self._owners.get(place, number) == number else SHARED
        self._keys.append(point.key)
        self._bytes_used.append(self._bytes_of(maps))

    def _bytes_of(self, maps: set[Location]) -> int:
        """Of all blobs that these maps need, counted on from what the last point needed."""
        if len(self._maps - maps) > len(self._maps & maps):  # another disk: sooner from nothing
            self._forget()
        told = len(self._problems)
        for _place, blobs in self._blobs(self._maps - maps):
            self._uses.remove(blobs)
        if len(self._problems) > told:  # not all was taken away
            self._forget()
        told = len(self._problems)
        for _place, blobs in self._blobs(maps - self._maps):
            self._uses.add(blobs)
        used, self._maps = self._uses.bytes, maps
        if len(self._problems) > told:  # what was not added must not be taken away
            self._forget()
        return used

    def _forget(self) -> None:
        self._maps, self._uses = set(), Uses()

    def _owned(self) -> collections.Counter[int]:
        """Bytes by their owner."""
        owners = Owners()
        for place, blobs in self._blobs(self._owners):
            owners.add(blobs, self._owners[place])
        return owners.bytes

    def _blobs(self, maps: Iterable[Location]) -> Iterator[tuple[Location, list[Blob]]]:
        """Each map with its blobs: itself and its chunks."""
        for place, body in blobs_needed(self._access, maps):
            if isinstance(body, DiskError):
                self._problems.append(str(body))
                body = b""
            own = BLOB.pack(place.pack[:8], place.number, place.length)
            yield place, [blob for blob in BLOB.iter_unpack(own + body) if self._can_be(blob)]

    def _can_be(self, blob: Blob) -> bool:
        pack, number, _length = blob
        if number < MOST_BLOBS:
            return True
        self._problems.append(f"pack {pack.hex()}… cannot have a blob {number}, as a map says")
        return False
