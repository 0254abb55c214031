# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A backup: packs first, the manifest last."""

from __future__ import annotations

import datetime
import os
import re
import typing as t

from ..._device.errors import DiskExists, InvalidRequest, RepositoryNotFound
from ..._device.progress import Silent
from ..._device.transfer import Transfer
from ..format.config import KEY
from ..format.manifest import RestorePoint, encode
from ..read.points import load_points
from .disk import DiskBackup
from .index import load_index
from .moment import after
from .plan import MODES, plan_disk
from .source import check_disks, check_name, check_source
from .stream import PackStream

if t.TYPE_CHECKING:
    from ..._device.progress import Progress
    from ..access import Access
    from .index import Index
    from .source import DiskSource, Source


class BackupResult(t.NamedTuple):
    """`created` is False where the newest point already held the same; `point` is that one then."""

    point: RestorePoint
    transfer: Transfer
    created: bool


class Backup:
    """One run of back_up(). Nothing of it can be seen before _commit()."""

    def __init__(
        self, access: Access, source: Source, mode: str, progress: Progress | None
    ) -> None:
        if mode not in MODES:
            raise InvalidRequest(f"there is no mode {mode!r}", expected=" or ".join(MODES))
        check_source(source)
        self.access, self.source, self.mode = access, source, mode
        self.progress = progress or Silent()
        self.clock = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}"
        # Chunks that this run has stored or, with mode full, read back and found good.
        self.proven: set[bytes] = set()
        self.transfer = Transfer()

    def check(self, disks: list[DiskSource], name: str | None) -> None:
        """Raises what run() would raise before it reads a disk."""
        check_disks(disks)
        if name:
            check_name(name)
        points = load_points(self.access, self.source.id)
        for disk in disks:
            plan_disk(disk, [point for point in points if point.problem is None], self.mode)

    def run(self, disks: list[DiskSource], name: str | None, unchanged_ok: bool) -> BackupResult:
        check_disks(disks)
        if name:
            check_name(name)
        self.access.store.sweep()
        session = self.access.store.begin_session()  # removal.py looks for it
        try:
            return self._run(disks, name, unchanged_ok)
        finally:
            session.end()

    def _run(self, disks: list[DiskSource], name: str | None, unchanged_ok: bool) -> BackupResult:
        everything = load_points(self.access)
        known = [point for point in everything if point.source_id == self.source.id]
        exact = after(self.clock, [point.exact for point in known])
        point_id = f"{re.sub('[-:]', '', exact[:19])}Z-{os.urandom(4).hex()}"
        points = [point for point in everything if point.problem is None]
        earlier = [point for point in known if point.problem is None]
        self._check_free(name or point_id, earlier)
        plans = [plan_disk(disk, earlier, self.mode) for disk in disks]
        index = load_index(self.access, reversed(points))  # newest first: its places are preferred
        packs = PackStream(self.access, index)
        try:
            jobs = [
                DiskBackup(self, disk, plan, index, packs)
                for disk, plan in zip(disks, plans, strict=True)
            ]
            for job in jobs:
                job.run()
            packs.finish()
            newest = earlier[-1] if earlier else None
            if newest and unchanged_ok and not packs.stored and _is_same(newest, jobs, index):
                return BackupResult(newest, self.transfer.finish(), created=False)
            for job in jobs:
                job.draft.write_maps(packs)
            packs.finish()
            self.transfer.bytes_written = packs.stored
        finally:
            packs.abort()
        point = self._point(point_id, name or point_id, exact, jobs, packs.stored)
        self._commit(point)
        return BackupResult(point, self.transfer.finish(), created=True)

    def _check_free(self, name: str, earlier: list[RestorePoint]) -> None:
        for point in earlier:
            if point.name == name:
                raise DiskExists(
                    f"{self.source.name} already has a restore point {name!r}",
                    path=self.access.store.url,
                    found=point.id,
                    hint="Choose another name.",
                )

    def _point(
        self, point_id: str, name: str, exact: str, jobs: list[DiskBackup], stored: int
    ) -> RestorePoint:
        return RestorePoint(
            id=point_id,
            name=name,
            exact=exact,
            own_clock=None if exact == self.clock else self.clock,
            source_kind=self.source.kind,
            source_id=self.source.id,
            source_name=self.source.name,
            source_facts=self.source.facts,
            disks=[job.entry() for job in jobs],
            stored=stored,
            repository=self.access.store.url,
            id_hash=self.access.config.id_hash,
        )

    def _commit(self, point: RestorePoint) -> None:
        """The one step that makes the point exist."""
        data = encode(point, self.access.config, self.access.subkeys)
        # Another writer may have taken the name meanwhile. Between this look and the next line
        # there is no lock: two points of one name are told apart by their ids.
        self._check_free(point.name, load_points(self.access, self.source.id))
        if not self.access.store.put(point.key, data, if_absent=True):
            raise DiskExists("a restore point of this id is there already", path=point.key)
        if self.access.store.size(KEY) is None:
            raise RepositoryNotFound(
                "the repository was removed while the backup ran", path=self.access.store.url
            )


def _is_same(point: RestorePoint, jobs: list[DiskBackup], index: Index) -> bool:
    """Whether the point holds just these disks and everything it needs is there."""
    roots = {disk.name: disk.root for disk in point.disks}
    return roots == {job.disk.name: job.draft.root for job in jobs} and index.holds(point)
