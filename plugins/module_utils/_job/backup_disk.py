# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One disk into a repository."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
import typing as t

from .._device.errors import DiskExists
from .._repository.write.source import DiskSource
from .._vmdk.opening.disk import Disk
from .chain_changes import ChainChanges
from .identify_disk import identify, this_host
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do
from .point_wish import PointWish

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._repository.format.manifest import RestorePoint
    from .._repository.repository import Repository
    from .._repository.write.backup import BackupResult
    from .._repository.write.source import Source
    from .access import AnyDisk


@dataclasses.dataclass(frozen=True, kw_only=True)
class BackupRequest(PointWish):
    """Make a restore point of the disk at `path`."""

    path: str


def plan_backup(request: BackupRequest) -> Plan:
    """A restore point of that name or young enough will do; else one is made."""
    repository = request.access.open_repository()
    began = time.time_ns()
    with request.access.open(request.path) as disk:
        source = identify(disk)
        points = repository.points(source.id)
        enough = next((point for point in points if request.will_do(point)), None)
        if enough is not None:
            return nothing_to_do({}, {"restore_point": enough.as_dict()})
        chain = _watch(request, disk, began)
        repository.check_backup([_disk_source(request, disk, chain)], source, **_manner(request))
    backup = _Backup(request, repository, source, points[-1] if points else None)
    return Plan(
        before={"newest": backup.newest and backup.newest.as_dict()},
        after={"newest": {"name": request.name or "(a new one)", "source": source.name}},
        result={},
        apply=backup.apply,
        predict=backup.predict,
    )


@dataclasses.dataclass(frozen=True)
class _Backup:
    """One that has to be made, unless `newest` holds the same and will do."""

    request: BackupRequest
    repository: Repository
    source: Source
    newest: RestorePoint | None

    def predict(self) -> bool:
        if not self.request.any_will_do or self.newest is None:
            return True
        with self._disk() as (disk, _chain):
            return not self.repository.same_as(self.newest, [disk])

    def apply(self) -> Result:
        try:
            with self._disk() as (disk, chain):
                made = self._back_up(disk)
        except DiskExists as error:  # another run has made this very point meanwhile
            return self._made_by_another(error)
        warnings = [*made.warnings, *(chain.warnings if chain else ())]
        return {
            **({"warnings": warnings} if warnings else {}),
            "changed": made.created,
            "restore_point": made.point.as_dict(),
            "transfer": made.transfer.as_dict(),
        }

    @contextlib.contextmanager
    def _disk(self) -> Iterator[tuple[DiskSource, ChainChanges | None]]:
        began = time.time_ns()
        with self.request.access.open(self.request.path) as disk:
            chain = _watch(self.request, disk, began)
            yield _disk_source(self.request, disk, chain), chain

    def _back_up(self, disk: DiskSource) -> BackupResult:
        return self.repository.back_up(
            [disk],
            self.source,
            progress=self.request.progress,
            unchanged_ok=self.request.any_will_do,
            **_manner(self.request),
        )

    def _made_by_another(self, error: DiskExists) -> Result:
        if error.found is None:
            raise error
        point = self.repository.find(str(error.found)).point
        if not self.request.will_do(point):
            raise error
        return {"changed": False, "restore_point": point.as_dict()}


def _manner(request: BackupRequest) -> dict[str, t.Any]:
    return {
        "name": request.name,
        "mode": request.mode,
        "retain": request.retention,
        "workers": request.workers,
        "memory_limit": request.memory_limit,
    }


def _this_boot() -> str:
    """Of the kernel. A crash can lose the time of a write but not the write (lazytime, fdatasync),
    so the times of files are compared within one boot only."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def _watch(request: BackupRequest, disk: AnyDisk, began: int) -> ChainChanges | None:
    """`began`: before the disk was opened, in nanoseconds."""
    if not isinstance(disk, Disk):
        return None
    host = (*this_host(), _this_boot())
    return ChainChanges(disk, host, request.access.allow_outside, began)


def _disk_source(request: BackupRequest, disk: AnyDisk, chain: ChainChanges | None) -> DiskSource:
    facts = inspect(disk)
    kept = ("disk_type", "adapter_type", "hw_version", "cid", "metadata")
    return DiskSource(
        name="disk0",
        label=os.path.basename(disk.name),
        device=disk,
        uuid=facts.get("uuid") or "",
        path=disk.name,
        facts={key: facts[key] for key in kept if facts.get(key) is not None},
        changes=chain.known() if chain and request.may_rely else (),
        change_id=_state_of(disk, chain),
        self_check=request.self_check,
    )


def _state_of(disk: AnyDisk, chain: ChainChanges | None) -> Callable[[], str | None]:
    """To be asked once all of it was read."""

    def state() -> str | None:
        disk.require_unchanged()
        return chain.change_id() if chain else None

    return state
