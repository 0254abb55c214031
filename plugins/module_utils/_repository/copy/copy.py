# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Restore points into a second repository: chunks move as the frames that they are stored in."""

from __future__ import annotations

import dataclasses
import functools
import typing as t

from ..._device.errors import (
    DiskExists,
    InvalidRequest,
    RepositoryDamaged,
    RestorePointNotFound,
)
from ..._device.progress import Silent
from ..format.manifest import PREFIX as POINTS
from ..format.map import GROUP
from ..read.points import find_point, load_points, of_source
from ..write.commit import commit_point
from ..write.draft import DiskDraft
from ..write.index import load_index
from ..write.stream import PackStream
from .chunks import ChunkMover
from .groups import KnownGroups

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._device.progress import Progress
    from ..access import Access
    from ..format.manifest import PointDisk, RestorePoint
    from ..store.protocol import Session


def missing_points(
    source: Access, target: Access, references: Sequence[str], sources: Sequence[str]
) -> list[RestorePoint]:
    """The chosen restore points that the target does not have, the oldest first.

    Raises RestorePointNotFound, AmbiguousRestorePoint, InvalidRequest, RepositoryDamaged.
    """
    _check_target(source, target)
    points = load_points(source)
    there = {stored.key for stored in target.store.list(POINTS)}
    return [point for point in _chosen(points, references, sources) if point.key not in there]


def _check_target(source: Access, target: Access) -> None:
    if source.config.repository_id == target.config.repository_id:
        raise InvalidRequest("a repository cannot be copied to itself", path=target.store.url)
    if source.config.chunk_size != target.config.chunk_size:
        raise InvalidRequest(
            "restore points can only be copied to a repository with the same chunk_size",
            path=target.store.url,
            found=target.config.chunk_size,
            expected=source.config.chunk_size,
            hint="Make the target with that chunk_size.",
        )


def _chosen(
    points: list[RestorePoint], references: Sequence[str], sources: Sequence[str]
) -> list[RestorePoint]:
    if not references and not sources:
        return points
    keys = {find_point(points, reference).point.key for reference in references}
    for name in sources:
        of_it = of_source(points, name)
        if not of_it:
            raise InvalidRequest(
                f"the repository has no restore points of {name!r}",
                found=", ".join(sorted({point.source_name for point in points})) or "none at all",
            )
        keys.update(point.key for point in of_it)
    return [point for point in points if point.key in keys]


class Copied(t.NamedTuple):
    """The points that were copied, as they are in the target, and what a user should know."""

    points: list[RestorePoint]
    warnings: tuple[str, ...]


class PointCopier:
    """One run of copy_points(): a writer in the target, a reader in the source."""

    def __init__(self, source: Access, target: Access, progress: Progress | None) -> None:
        self._source, self._target = source, target
        self._progress = progress or Silent()

    def run(self, points: list[RestorePoint]) -> Copied:
        """Raises RepositoryDamaged naming those that could not be read, and whatever stops a
        writer."""
        _check_target(self._source, self._target)
        self._target.store.sweep()
        session = self._target.store.begin_session()
        try:
            copied, failed = self._run(points, session)
        finally:
            session.end()
        if failed:
            raise _some_failed(failed, len(copied), self._source)
        return Copied(copied, tuple(self._index.warnings))

    def _run(
        self, points: list[RestorePoint], session: Session
    ) -> tuple[list[RestorePoint], list[str]]:
        copied: list[RestorePoint] = []
        failed: list[str] = []
        self._session = session
        self._index = index = load_index(self._target)
        self._groups = KnownGroups(self._source, self._target, index)
        self._groups.learn(load_points(self._source), load_points(self._target))
        self._packs = PackStream(self._target, index)
        self._mover = ChunkMover(self._source, self._target, index, self._packs)
        try:
            for point in points:
                if self._target.store.size(point.key) is not None:  # another copy was faster
                    continue
                try:
                    copied.append(self._copy(point))
                except (RepositoryDamaged, RestorePointNotFound, DiskExists) as error:
                    failed.append(f"{point.source_name or point.source_id}@{point.id}: {error}")
        finally:
            self._packs.abort()
        return copied, failed

    def _copy(self, point: RestorePoint) -> RestorePoint:
        if point.problem is not None:
            raise RepositoryDamaged(point.problem)
        stored = self._packs.stored
        drafts = [self._copy_disk(point, disk) for disk in point.disks]
        self._packs.finish()
        for draft in drafts:
            draft.write_maps(self._packs)
        self._packs.finish()
        made = self._as_here(point, drafts, self._packs.stored - stored)
        self._commit(made)
        self._groups.add(point, made)
        return made

    def _copy_disk(self, point: RestorePoint, disk: PointDisk) -> DiskDraft:
        draft = DiskDraft(self._target, self._index, disk.size, None)
        self._progress.start(f"{point.source_name}@{point.name} {disk.name}", disk.size)
        for group, ref in enumerate(disk.maps):
            known = ref and self._groups.find(ref)
            if known:
                draft.take_over(group, known)
            elif ref:
                ids = self._groups.ids(point.source_id, disk.name, group)
                for number, chunk_id, place in self._mover.move(disk, group, ids):
                    draft.set(group * GROUP + number, chunk_id, place)
            self._progress.advance(self._bytes_of(disk, group))
        draft.close()
        self._progress.finish()
        if self._mover.same_ids and draft.root != disk.root:
            raise RepositoryDamaged("its maps do not fit its root", path=disk.name)
        return draft

    def _bytes_of(self, disk: PointDisk, group: int) -> int:
        """How much of the disk a group is."""
        size = GROUP * self._source.config.chunk_size
        return min(size, disk.size - group * size)

    def _as_here(self, point: RestorePoint, drafts: list[DiskDraft], stored: int) -> RestorePoint:
        """The point as the target describes it: all that was known of it, where it is here."""
        disks = [
            dataclasses.replace(disk, root=draft.root, maps=draft.maps())
            for disk, draft in zip(point.disks, drafts, strict=True)
        ]
        return dataclasses.replace(
            point,
            disks=disks,
            stored=stored,
            retain_until=None,
            locked_until=None,
            repository=self._target.store.url,
            id_hash=self._target.config.id_hash,
        )

    def _commit(self, point: RestorePoint) -> None:
        target = self._target
        for other in load_points(target, point.source_id):
            if other.name == point.name and other.id != point.id:
                raise DiskExists(
                    f"the target has another restore point {point.name!r} of it", found=other.id
                )
        put = functools.partial(target.store.put, if_absent=True)
        commit_point(target, point, self._index.avoid, self._session, put)


def _some_failed(failed: list[str], copied: int, source: Access) -> RepositoryDamaged:
    return RepositoryDamaged(
        f"{len(failed)} of {len(failed) + copied} restore points could not be copied",
        path=source.store.url,
        found="; ".join(failed),
        hint="All others are there. Verify this repository, or name the points to copy.",
    )
