# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A backup: packs first, the manifest last."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import typing as t

from .._device.errors import DiskError, DiskExists, InvalidRequest, RepositoryNotFound
from .._device.progress import Silent
from .._device.transfer import Transfer
from .config import KEY
from .draft import DiskDraft
from .index import load_index
from .manifest import PointDisk, RestorePoint, encode
from .moment import after
from .pack import BlobKind
from .points import LATEST, load_points
from .scan import scan
from .stream import PackStream

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice
    from .._device.progress import Progress
    from .access import Access
    from .chunk import Encoded
    from .index import Index
    from .scan import Chunk

MODES = ("auto", "full", "incremental")
_SOURCE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_POINT_NAME = re.compile(r"[^@#/\x00-\x1f\x7f]{1,200}")


@dataclasses.dataclass(frozen=True)
class Source:
    """What is backed up: a disk or a VM. `id` stays when `name` changes."""

    kind: str
    id: str
    name: str
    facts: dict[str, t.Any] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class DiskSource:
    """One disk of a source; `facts` are kept in the manifest, `key` is vSphere's device key."""

    name: str
    label: str
    device: BlockDevice
    uuid: str
    path: str
    facts: dict[str, t.Any] = dataclasses.field(default_factory=dict)
    key: int | None = None


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
        if not _SOURCE_ID.fullmatch(source.id):
            raise InvalidRequest(
                f"{source.id!r} cannot be the id of a source",
                expected="letters, digits, dot, dash and underscore, 128 at most",
            )
        self.access, self.source, self.mode = access, source, mode
        self.progress = progress or Silent()
        self.clock = f"{datetime.datetime.now(datetime.timezone.utc):%Y-%m-%dT%H:%M:%S.%fZ}"
        # Chunks that this run has stored or, with mode full, read back and found good.
        self.proven: set[bytes] = set()
        self.transfer = Transfer()

    def check(self, disks: list[DiskSource], name: str | None) -> None:
        """Raises what run() would raise before it reads a disk."""
        _check_disks(disks)
        if name:
            _check_name(name)
        points = load_points(self.access, self.source.id)
        for disk in disks:
            _plan(disk, [point for point in points if point.problem is None], self.mode)

    def run(self, disks: list[DiskSource], name: str | None, unchanged_ok: bool) -> BackupResult:
        _check_disks(disks)
        if name:
            _check_name(name)
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
        plans = [_plan(disk, earlier, self.mode) for disk in disks]
        index = load_index(self.access, reversed(points))  # newest first: its places are preferred
        packs = PackStream(self.access, index)
        try:
            jobs = [
                _DiskBackup(self, disk, plan, index, packs)
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
        self, point_id: str, name: str, exact: str, jobs: list[_DiskBackup], stored: int
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


class _Plan(t.NamedTuple):
    base: PointDisk | None  # whose maps are taken over where nothing changed
    reason: str


class _DiskBackup:
    """One disk of a backup."""

    def __init__(
        self, backup: Backup, disk: DiskSource, plan: _Plan, index: Index, packs: PackStream
    ) -> None:
        self.backup, self.disk, self.plan = backup, disk, plan
        self.index, self.packs = index, packs
        self.size = disk.device.size
        base = plan.base.maps if plan.base else None
        self.draft = DiskDraft(backup.access, index, self.size, base)
        self.bytes_read = self.bytes_data = self.bytes_new = 0

    def run(self) -> None:
        progress, transfer = self.backup.progress, self.backup.transfer
        chunk_size = self.backup.access.config.chunk_size
        progress.start(self.disk.label, self.size)
        done = 0
        for chunk in scan(self.backup.access, self.disk.device, self._prepare):
            self._take(chunk)
            end = chunk.number * chunk_size + chunk.length
            progress.advance(end - done)
            done = end
        self.draft.close()
        progress.finish()
        transfer.bytes_total += self.size
        transfer.bytes_read += self.bytes_read
        transfer.bytes_zero += self.size - self.bytes_data
        transfer.bytes_reused += self.bytes_data - self.bytes_new

    def _prepare(self, chunk_id: bytes, content: memoryview) -> Encoded | None:
        """On a thread: compress what is not known yet, or is known but damaged."""
        place = self.index.find(chunk_id)
        if place is not None and self._is_good(chunk_id, place, content.nbytes):
            return None
        return self.backup.access.codec.compress(content)

    def _is_good(self, chunk_id: bytes, place: bytes, length: int) -> bool:
        """Whether a stored chunk can be used again. Only mode full reads it back, once."""
        if self.backup.mode != "full" or chunk_id in self.backup.proven:
            return True
        where = self.index.location(chunk_id, place)
        try:
            self.backup.access.packs.read_into(where, memoryview(bytearray(length)))
        except DiskError:  # damaged, or the storage cannot read it any more
            return False
        self.backup.proven.add(chunk_id)
        return True

    def _take(self, chunk: Chunk) -> None:
        self.bytes_read += chunk.length
        if chunk.id is None:
            return
        self.bytes_data += chunk.length
        place = self.index.find(chunk.id)  # again: an equal chunk may have come in between
        if place is None or (chunk.encoded is not None and chunk.id not in self.backup.proven):
            # _prepare() compressed it, since what the index once knew it knows for ever
            encoded = t.cast("Encoded", chunk.encoded)
            place = self.packs.add(BlobKind.DATA, chunk.id, encoded)
            self.backup.proven.add(chunk.id)  # first: who finds the place must know it is good
            self.index.add(chunk.id, place)
            self.bytes_new += chunk.length
        self.draft.set(chunk.number, chunk.id, place)

    def entry(self) -> PointDisk:
        """For the manifest; all packs must be finished."""
        return PointDisk(
            name=self.disk.name,
            key=self.disk.key,
            label=self.disk.label,
            uuid=self.disk.uuid,
            path=self.disk.path,
            size=self.size,
            method="incremental" if self.plan.base else "full",
            reason=self.plan.reason,
            bytes_read=self.bytes_read,
            bytes_new=self.bytes_new,
            root=self.draft.root,
            maps=self.draft.maps(),
            facts=self.disk.facts,
        )


def _plan(disk: DiskSource, earlier: list[RestorePoint], mode: str) -> _Plan:
    """Full or incremental, and why in words. `earlier` has the newest last."""
    if mode == "full":
        return _Plan(None, "asked for")
    known = [
        (point, entry) for point in earlier for entry in point.disks if entry.name == disk.name
    ]
    for point, entry in reversed(known):
        if entry.size == disk.device.size:
            return _Plan(entry, f"compared with {point.id}")
    if known:
        reason = f"its size changed from {known[-1][1].size} to {disk.device.size} bytes"
    else:
        reason = "no earlier restore point of this disk"
    if mode == "incremental":
        raise InvalidRequest(
            f"an incremental backup of {disk.label} is not possible: {reason}",
            hint="Use mode auto or full.",
        )
    return _Plan(None, reason)


def _is_same(point: RestorePoint, jobs: list[_DiskBackup], index: Index) -> bool:
    """Whether the point holds just these disks and everything it needs is there."""
    roots = {disk.name: disk.root for disk in point.disks}
    return roots == {job.disk.name: job.draft.root for job in jobs} and index.holds(point)


def _check_disks(disks: list[DiskSource]) -> None:
    names = [disk.name for disk in disks]
    if not disks or len(set(names)) < len(names):
        raise InvalidRequest("a backup needs disks with different names", found=names)


def _check_name(name: str) -> None:
    if name == LATEST or not _POINT_NAME.fullmatch(name):
        raise InvalidRequest(
            f"{name!r} cannot be the name of a restore point",
            expected=f"up to 200 characters without @ # /, and not {LATEST!r}",
        )
