# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Packs of which little is needed: what is moves into new packs, and manifests say where.

The old packs are left to the collection. Manifests are replaced one by one, each after everything
that it refers to is durable, so it may end anywhere.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import DiskError, DiskInUse, DiskNotFound, RepositoryDamaged
from ..catalog.maps import packs_needed
from ..format.manifest import encode
from ..format.map import MapRef, encode_map
from ..format.pack import MOST_BLOBS, BlobKind, pack_sizes
from ..format.quarantine import quarantined
from ..read.avoid import packs_to_avoid
from .references import maps_of, read_manifests
from .repack import Repacker
from .retention import is_retained

if t.TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable

    from ..._device.progress import Progress
    from ..access import Access
    from ..format.manifest import PointDisk, RestorePoint
    from ..format.pack import Location
    from .lease import Lease


class Compacted(t.NamedTuple):
    """`packs` are no longer needed by any point; bytes are those of new packs."""

    packs: int = 0
    points: int = 0
    bytes_written: int = 0


class Sparse(t.NamedTuple):
    """`packs` are worth the work, to move `live` bytes; `emptied` are those, and others that only
    held their maps."""

    packs: frozenset[bytes] = frozenset()
    emptied: frozenset[bytes] = frozenset()
    live: int = 0


def find_sparse(
    access: Access, percent: int, fixed: frozenset[str], without: frozenset[str] = frozenset()
) -> Sparse:
    """Packs less than `percent` of whose blobs, by bytes, are needed. Reads only.

    Those are left out that points with the keys `fixed` need, since their manifests must stay as
    they are. `without` are keys of manifests that do not count. Nothing is done in a repository of
    which not everything can be read. Raises DiskIOError.
    """
    manifests = read_manifests(access, without)
    used = _Usage(access, manifests.points, fixed)
    avoid = packs_to_avoid(access)
    if manifests.problems or used.damaged or avoid.everything:
        return Sparse()
    packs = frozenset(
        pack
        for pack, live in used.live_bytes.items()
        if pack not in avoid.packs | used.fixed and _is_sparse(access, pack, live, percent)
    )
    live = sum(used.live_bytes[pack] for pack in packs)
    return Sparse(packs, packs | used.without_maps_of(packs), live)


def _is_sparse(access: Access, pack: bytes, live: int, percent: int) -> bool:
    try:
        total = sum(row.length for row in access.packs.table(pack))
    except RepositoryDamaged:  # verifying has to see to it first
        return False
    return live * 100 < total * percent


class _Usage:
    """How many bytes of each pack some map or manifest refers to."""

    def __init__(self, access: Access, points: list[RestorePoint], fixed: frozenset[str]) -> None:
        self.live_bytes: dict[bytes, int] = {}
        self.fixed: frozenset[bytes] = frozenset()
        self.damaged = False
        self._seen: dict[bytes, int] = {}  # a bit for each blob
        self._needed: dict[Location, set[bytes]] = {}  # packs, by map
        keeps = set(maps_of([point for point in points if point.key in fixed]))
        for place in maps_of(points):
            self._add(place)
            try:
                chunk_map = access.read_map(place)
            except RepositoryDamaged:
                self.damaged = True
                return
            packs = {place.pack}
            for chunk in chunk_map:
                if chunk is not None:
                    self._add(chunk)
                    packs.add(chunk.pack)
            self._needed[place] = packs
            if place in keeps:
                self.fixed |= packs

    def without_maps_of(self, packs: frozenset[bytes]) -> frozenset[bytes]:
        """The packs of which nothing is needed once all maps that name `packs` are elsewhere."""
        live = dict(self.live_bytes)
        for place, needed in self._needed.items():
            if needed & packs:
                live[place.pack] -= place.length
        return frozenset(pack for pack, rest in live.items() if rest == 0)

    def _add(self, where: Location) -> None:
        if where.number >= MOST_BLOBS:  # in memory it would be a bit far away
            self.damaged = True
            return
        seen, bit = self._seen.get(where.pack, 0), 1 << where.number
        if not seen & bit:
            self._seen[where.pack] = seen | bit
            self.live_bytes[where.pack] = self.live_bytes.get(where.pack, 0) + where.length


def compact(
    access: Access, lease: Lease, sparse: Sparse, now: datetime.datetime, progress: Progress
) -> Compacted:
    """Empty these packs; the lease makes us a writer whom collections wait for.

    A retained point that was committed since they were found keeps them, and its manifest.

    Raises RepositoryDamaged where a blob is bad: nothing is changed then. DiskInUse, DiskIOError.
    """
    packs = sparse.packs
    if not packs:
        return Compacted()
    points = read_manifests(access).points
    repacker = Repacker(access, progress)
    progress.start("compact packs", sparse.live)
    try:
        _move(access, repacker, points, packs)
    except RepositoryDamaged:
        lease.check()  # whoever took us for dead may have deleted what we read
        raise
    finally:
        repacker.abort()
    progress.finish()
    changed = 0
    for point in points:
        moved = _moved(point, repacker)
        if moved is not point and not is_retained(point, now):
            _replace(access, lease, point, moved)
            changed += 1
    return Compacted(len(packs), changed, repacker.bytes_written)


def _move(
    access: Access, repacker: Repacker, points: list[RestorePoint], packs: frozenset[bytes]
) -> None:
    """Chunks first: maps say where those are."""
    concerned = []
    for place, needed in packs_needed(access, maps_of(points)):
        if isinstance(needed, DiskError):
            raise needed
        if needed & packs:
            concerned.append(place)
    for place in concerned:
        for chunk in access.read_map(place):
            if chunk is not None and chunk.pack in packs:
                repacker.move(chunk, BlobKind.DATA, access.config.chunk_size)
    repacker.finish()
    for place in concerned:
        entries = access.read_map(place)
        data = encode_map(None if one is None else repacker.place(one) for one in entries)
        repacker.write(BlobKind.MAP, place, data)
    repacker.finish()


def _moved(point: RestorePoint, repacker: Repacker) -> RestorePoint:
    """The same point if nothing that it refers to was moved."""
    disks = [_moved_disk(disk, repacker) for disk in point.disks]
    if all(new is old for new, old in zip(disks, point.disks, strict=True)):
        return point
    return dataclasses.replace(point, disks=disks, locked_until=None)  # nobody locks the new packs


def _moved_disk(disk: PointDisk, repacker: Repacker) -> PointDisk:
    maps: Iterable[MapRef | None] = disk.maps
    new = [ref and MapRef(repacker.place(ref.location), ref.content) for ref in maps]
    return disk if new == list(disk.maps) else dataclasses.replace(disk, maps=new)


def _replace(access: Access, lease: Lease, old: RestorePoint, new: RestorePoint) -> None:
    """Only holders of the lease replace or delete manifests. Once we are taken for dead somebody
    else may have done so; then we leave alone what is there.

    Whoever collected before we replaced it may have deleted the new packs: the old manifest is put
    back then. He has not deleted the old ones, which it needed all that time.
    """
    try:
        before = access.store.get(old.key)
    except DiskNotFound:  # somebody else dropped it
        return
    lease.check()
    data = encode(new, access.config, access.subkeys)
    if not access.store.replace(old.key, before, data):
        lease.check()
        return
    try:
        lease.check()
    except DiskInUse:
        if not _stands(access, new):
            access.store.replace(old.key, data, before)
        raise


def _stands(access: Access, point: RestorePoint) -> bool:
    """Whether all packs that it needs are there and not condemned."""
    condemned = packs_to_avoid(access).packs - quarantined(access.store)
    names = pack_sizes(access.store).keys()
    return all(
        not isinstance(needed, DiskError) and needed <= names - condemned
        for _place, needed in packs_needed(access, maps_of([point]))
    )
