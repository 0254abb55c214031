# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One disk into a repository."""

from __future__ import annotations

import dataclasses
import os
import socket
import time
import typing as t
import uuid

from .._device.errors import DiskExists
from .._device.progress import Silent
from .._repository.format import times
from .._repository.write.retain import Retention
from .._repository.write.source import SELF_CHECK, DiskSource, Source
from .._vmdk.opening.disk import Disk
from .chain_changes import ChainChanges
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do

if t.TYPE_CHECKING:
    from .._device.progress import Progress
    from .._repository.format.manifest import RestorePoint
    from .access import Access, AnyDisk

_NAMESPACE = uuid.UUID("6f1c7c5e-3a52-4d0b-9d5f-5c3d6a0f9b17")  # of ids made here (RFC 9562, v5)


@dataclasses.dataclass(frozen=True)
class BackupRequest:
    """Make a restore point of the disk at `path`, unless there is one that will do."""

    path: str
    access: Access
    name: str | None = None
    max_age: int | None = None  # seconds
    mode: str = "auto"
    changes: str = "auto"
    self_check: int = SELF_CHECK
    retain: int | None = None  # seconds
    retain_mode: str = "compliance"
    workers: int | None = None  # None: as many as suit this host
    memory_limit: int | None = None  # bytes; None: write/budget.py
    progress: Progress = dataclasses.field(default_factory=Silent)


def plan_backup(request: BackupRequest) -> Plan:
    """A restore point of that name or young enough will do; else one is made."""
    repository = request.access.open_repository()
    began = time.time_ns()
    with request.access.open(request.path) as disk:
        source = identify(disk)
        points = repository.points(source.id)
        enough = next((point for point in points if _will_do(request, point)), None)
        if enough is not None:
            return nothing_to_do({}, {"restore_point": enough.as_dict()})
        repository.check_backup(
            [_disk_source(request, disk, _watch(request, disk, began))],
            source,
            name=request.name,
            mode=request.mode,
            retain=_retention(request),
            workers=request.workers,
            memory_limit=request.memory_limit,
        )
    newest = points[-1].as_dict() if points else None
    # Without a name or an age, what counts is whether the content has changed. But no point that
    # is there can be kept for longer than it says.
    any_will_do = request.name is None and request.max_age is None and request.retain is None

    def predict() -> bool:
        if not (any_will_do and points):
            return True
        began = time.time_ns()
        with request.access.open(request.path) as disk:
            backed_up = _disk_source(request, disk, _watch(request, disk, began))
            return not repository.same_as(points[-1], [backed_up])

    def apply() -> Result:
        began = time.time_ns()
        try:
            with request.access.open(request.path) as disk:
                chain = _watch(request, disk, began)
                made = repository.back_up(
                    [_disk_source(request, disk, chain)],
                    source,
                    name=request.name,
                    mode=request.mode,
                    progress=request.progress,
                    unchanged_ok=any_will_do,
                    retain=_retention(request),
                    workers=request.workers,
                    memory_limit=request.memory_limit,
                )
        except DiskExists as error:  # another run has made this very point meanwhile
            if error.found is None:
                raise
            point = repository.find(str(error.found)).point
            if not _will_do(request, point):
                raise
            return {"changed": False, "restore_point": point.as_dict()}
        warnings = [*made.warnings, *(chain.warnings if chain else ())]
        return {
            **({"warnings": warnings} if warnings else {}),
            "changed": made.created,
            "restore_point": made.point.as_dict(),
            "transfer": made.transfer.as_dict(),
        }

    return Plan(
        before={"newest": newest},
        after={"newest": {"name": request.name or "(a new one)", "source": source.name}},
        result={},
        apply=apply,
        predict=predict,
    )


def _retention(request: BackupRequest) -> Retention | None:
    if request.retain is None:
        return None
    return Retention(request.retain, request.retain_mode)


def _will_do(request: BackupRequest, point: RestorePoint) -> bool:
    if point.problem is not None:
        return False
    named = request.name is not None and point.name == request.name
    if request.retain and not point.retain_until:
        if named:
            raise _not_retained(point)
        return False
    if named:
        return True
    if request.max_age is None:
        return False
    age = times.now() - times.parse(point.clock)
    return 0 <= age.total_seconds() < request.max_age  # a clock that ran ahead proves nothing


def _not_retained(point: RestorePoint) -> DiskExists:
    return DiskExists(
        f"the disk already has a restore point {point.name!r}, and that is not retained",
        path=point.repository,
        hint="Choose another name: a point cannot be retained afterwards.",
    )


def identify(disk: AnyDisk) -> Source:
    """What is backed up: the same disk has the same id in every run, and no other disk has it."""
    path = os.path.realpath(disk.name)
    own = disk.descriptor.get("ddb.uuid") if isinstance(disk, Disk) else None
    # Hosts that share a repository have disks at the same path, and copies have the same uuid.
    identity = uuid.uuid5(_NAMESPACE, "|".join((*_this_host(), own or "", path)))
    stem, suffix = os.path.splitext(os.path.basename(path))
    name = stem if suffix.lower() in (".vmdk", ".img", ".raw") else stem + suffix
    return Source(kind="disk", id=str(identity), name=name, facts={"path": path})


def _this_host() -> tuple[str, str]:
    """Its name, and its machine id where it has one: cloned machines may share either."""
    try:
        with open("/etc/machine-id", encoding="ascii") as stream:
            return socket.gethostname(), stream.read().strip()
    except OSError:
        return socket.gethostname(), ""


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
    host = (*_this_host(), _this_boot())
    return ChainChanges(disk, host, request.access.allow_outside, began)


def _may_rely(request: BackupRequest) -> bool:
    """Whether it is enough to read what changed."""
    return request.changes == "auto" and request.mode != "full"


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
        changes=chain.known() if chain and _may_rely(request) else (),
        change_id=chain.change_id if chain else None,
        self_check=request.self_check,
    )
