# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the target of a copy has already, so that it need not be read again."""

from __future__ import annotations

import typing as t

from ..._device.errors import RepositoryDamaged, RestorePointNotFound

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..access import Access
    from ..format.manifest import PointDisk, RestorePoint
    from ..format.map import MapRef
    from ..write.index import Index

    Pair = tuple[PointDisk, PointDisk]  # the same disk of the same point, in source and target


class KnownGroups:
    """Groups by the digest that they have in the source; each says the same in the target."""

    def __init__(self, source: Access, target: Access, index: Index) -> None:
        self._source, self._target, self._index = source, target, index
        self._by_content: dict[bytes, MapRef] = {}
        self._newest: dict[tuple[str, str], Pair] = {}

    def learn(self, source: Iterable[RestorePoint], target: Iterable[RestorePoint]) -> None:
        """From the newest point of each source that is in both; `source` has the newest last."""
        there = {point.key: point for point in target if point.problem is None}
        newest = {
            point.source_id: point
            for point in source
            if point.key in there and point.problem is None
        }
        for point in newest.values():
            try:
                self.add(point, there[point.key])
            except (RepositoryDamaged, RestorePointNotFound):  # then more is read, and no harm done
                continue

    def add(self, point: RestorePoint, copy: RestorePoint) -> None:
        copies = {disk.name: disk for disk in copy.disks}
        for disk in point.disks:
            made = copies.get(disk.name)
            if made is None or made.size != disk.size:
                continue
            self._newest[point.source_id, disk.name] = disk, made
            for ours, theirs in zip(disk.maps, made.maps, strict=True):
                if ours is not None and theirs is not None:
                    self._by_content[ours.content] = theirs

    def find(self, ref: MapRef) -> MapRef | None:
        """The map in the target that says the same, if all that it needs is there."""
        known = self._by_content.get(ref.content)
        return known if known is not None and self._index.is_whole(known.location) else None

    def ids(self, source_id: str, disk_name: str, group: int) -> Mapping[bytes, bytes]:
        """Ids in the target by ids in the source, of this group in the newest point in both."""
        pair = self._newest.get((source_id, disk_name))
        if pair is None or group >= len(pair[0].maps):
            return {}
        if pair[0].maps[group] is None or pair[1].maps[group] is None:
            return {}
        try:
            ours = self._source.load_map(pair[0], group)
            theirs = self._target.load_map(pair[1], group)
        except RepositoryDamaged:  # then the chunks are read
            return {}
        return {one.id: other.id for one, other in zip(ours, theirs, strict=True) if one and other}
