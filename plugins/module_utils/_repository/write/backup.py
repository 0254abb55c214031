# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A backup: packs first, the manifest last."""

from __future__ import annotations

import os
import re
import typing as t
from time import monotonic

from ..._device.errors import (
    DiskExists,
    DiskIOError,
    InvalidRequest,
    RepositoryDamaged,
    RestorePointNotFound,
)
from ..._device.progress import Silent
from ..._device.transfer import Transfer
from ..format import times
from ..format.manifest import RestorePoint
from ..format.twins import mend_twins
from ..read.points import load_points
from .budget import plan_budget
from .commit import commit_point
from .damage import quarantine
from .disk import DiskBackup
from .index import load_index
from .moment import after
from .plan import MODES, plan_disk
from .retain import Retainer, Retention
from .source import check_disks, check_name, check_source
from .stream import PackStream

if t.TYPE_CHECKING:
    from ..._device.progress import Progress
    from ..access import Access
    from ..read.avoid import Avoid
    from ..store.protocol import Session
    from .budget import Budget
    from .index import Index
    from .plan import DiskPlan
    from .source import DiskSource, Source


class BackupResult(t.NamedTuple):
    """`created` is False where the newest point already held the same; `point` is that one then."""

    point: RestorePoint
    transfer: Transfer
    created: bool
    warnings: tuple[str, ...] = ()


class Backup:
    """One run of back_up(). Nothing of it can be seen before _commit()."""

    def __init__(
        self,
        access: Access,
        source: Source,
        mode: str,
        progress: Progress | None,
        retain: Retention | None = None,
        budget: Budget | None = None,
    ) -> None:
        if mode not in MODES:
            raise InvalidRequest(f"there is no mode {mode!r}", expected=" or ".join(MODES))
        check_source(source)
        self.access, self.source, self.mode = access, source, mode
        self.progress = progress or Silent()
        self.budget = budget or plan_budget(access.config.chunk_size)
        self.clock = times.to_exact(times.now())
        self._begun = monotonic()
        self.retainer = Retainer(access, retain, self.clock)
        # Chunks that this run has stored or, with mode full, read back and found good.
        self.proven: set[bytes] = set()
        self.transfer = Transfer()
        self.warnings: list[str] = []

    def check(self, disks: list[DiskSource], name: str | None) -> None:
        """Raises what run() would raise before it reads a disk."""
        check_disks(disks)
        if name is not None:
            check_name(name)
        self.retainer.check()
        points = [point for point in load_points(self.access) if point.problem is None]
        for disk in disks:
            plan_disk(disk, self._own(points), self.mode, points)

    def _own(self, points: list[RestorePoint]) -> list[RestorePoint]:
        return [point for point in points if point.source_id == self.source.id]

    def run(self, disks: list[DiskSource], name: str | None, unchanged_ok: bool) -> BackupResult:
        check_disks(disks)
        if name is not None:
            check_name(name)
        self.retainer.check()
        self.access.store.sweep()
        session = self.access.store.begin_session()  # removal.py looks for it
        try:
            mend_twins(self.access.store, self.access.subkeys)
            return self._run(session, disks, name, unchanged_ok)
        finally:
            session.end()

    def _run(
        self, session: Session, disks: list[DiskSource], name: str | None, unchanged_ok: bool
    ) -> BackupResult:
        index = load_index(self.access, fresh=self.mode == "full")
        self.warnings += index.warnings
        everything = load_points(self.access)
        known = [point for point in everything if point.source_id == self.source.id]
        exact = after(self.clock, [point.exact for point in known])
        point_id = f"{re.sub('[-:]', '', exact[:19])}Z-{os.urandom(4).hex()}"
        points = [point for point in everything if point.problem is None]
        earlier = [point for point in known if point.problem is None]
        self._check_free(name or point_id, earlier)
        plans = self._plan(disks, points, index)
        packs = PackStream(self.access, index, self.budget)
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
                return self._result(newest, created=False)
            for job in jobs:
                job.draft.write_maps(packs)
            packs.finish()
            self.transfer.bytes_written = packs.stored
        finally:
            packs.abort()
        self.warnings += quarantine(self.access, index.damaged, f"{self.clock[:19]}Z")
        point = self._point(point_id, name or point_id, exact, jobs, packs.stored)
        point = self.retainer.secure(point, earlier)
        self._commit(point, index.avoid, session)
        return self._result(point, created=True)

    def _plan(
        self, disks: list[DiskSource], points: list[RestorePoint], index: Index
    ) -> list[DiskPlan]:
        """The maps of bases are read here, so that these may be dropped from now on."""
        while True:
            plans = [plan_disk(disk, self._own(points), self.mode, points) for disk in disks]
            try:
                for plan in plans:
                    if plan.base is not None:
                        index.learn_maps(ref.location for ref in plan.base.maps if ref is not None)
            except (RestorePointNotFound, RepositoryDamaged, DiskIOError):
                # From now on it is listed no more, or as one that cannot be read.
                points = [point for point in load_points(self.access) if point.problem is None]
                continue
            return plans

    def _result(self, point: RestorePoint, *, created: bool) -> BackupResult:
        return BackupResult(point, self.transfer.finish(), created, tuple(self.warnings))

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
            seconds=round(monotonic() - self._begun),
            repository=self.access.store.url,
            id_hash=self.access.config.id_hash,
        )

    def _commit(self, point: RestorePoint, avoid: Avoid, session: Session) -> None:
        # Another writer may have taken the name meanwhile. Between this look and the next line
        # there is no lock: two points of one name are told apart by their ids.
        self._check_free(point.name, load_points(self.access, self.source.id))
        commit_point(self.access, point, avoid, session, self.retainer.put)


def _is_same(point: RestorePoint, jobs: list[DiskBackup], index: Index) -> bool:
    """Whether the point holds just these disks and everything it needs is there."""
    roots = {disk.name: disk.root for disk in point.disks}
    if roots != {job.disk.name: job.draft.root for job in jobs}:
        return False
    try:
        return index.holds(point)
    except RestorePointNotFound:  # dropped meanwhile
        return False
