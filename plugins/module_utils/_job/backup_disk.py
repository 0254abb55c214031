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

from .._device.errors import DiskExists
from .._repository.write.source import DiskSource, Source, stable_id
from .._transport.datastore import DatastoreDevice
from .._transport.nbd.client import NbdDevice
from .._vmdk.opening.disk import Disk
from .chain_changes import ChainChanges
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do
from .point_wish import PointWish

if t.TYPE_CHECKING:
    from collections.abc import Callable

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
        repository.check_backup(
            [_disk_source(request, disk, _watch(request, disk, began))],
            source,
            name=request.name,
            mode=request.mode,
            retain=request.retention,
            workers=request.workers,
            memory_limit=request.memory_limit,
        )
    newest = points[-1].as_dict() if points else None

    def predict() -> bool:
        if not (request.any_will_do and points):
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
                    unchanged_ok=request.any_will_do,
                    retain=request.retention,
                    workers=request.workers,
                    memory_limit=request.memory_limit,
                )
        except DiskExists as error:  # another run has made this very point meanwhile
            if error.found is None:
                raise
            point = repository.find(str(error.found)).point
            if not request.will_do(point):
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


def identify(disk: AnyDisk) -> Source:
    """What is backed up: the same disk has the same id in every run, and no other disk has it."""
    if isinstance(disk, NbdDevice):
        return _identify_export(disk)
    if isinstance(disk, DatastoreDevice):
        return _identify_managed(disk)
    path = os.path.realpath(disk.name)
    own = disk.descriptor.get("ddb.uuid") if isinstance(disk, Disk) else None
    # Hosts that share a repository have disks at the same path, and copies have the same uuid.
    identity = stable_id(*_this_host(), own or "", path)
    stem, suffix = os.path.splitext(os.path.basename(path))
    name = stem if suffix.lower() in (".vmdk", ".img", ".raw") else stem + suffix
    return Source(kind="disk", id=identity, name=name, facts={"path": path})


def _identify_export(disk: NbdDevice) -> Source:
    """By its address: which disk the server has behind that, it does not tell."""
    identity = stable_id(*_this_host(), disk.name)
    name = disk.address.export.rpartition("/")[2] or "nbd"
    return Source(kind="disk", id=identity, name=name, facts={"path": disk.name})


def _identify_managed(disk: DatastoreDevice) -> Source:
    """By its place and its uuid, whichever host reads it."""
    facts = (disk.session.identity, disk.descriptor.get("ddb.uuid") or "", str(disk.place))
    name = os.path.splitext(disk.place.path.name)[0]
    identity = stable_id(*facts)
    return Source(kind="disk", id=identity, name=name, facts={"path": disk.name})


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
