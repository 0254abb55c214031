# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk is checked, repaired as far as that is proven, and what is left of it is saved."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._device.compare import compare
from .._device.copy import copy
from .._device.errors import DiskError, DiskExists, InvalidRequest
from .._device.files import File
from .._device.progress import Silent
from .._device.transaction_mark import refuse_reading
from .._transport.reference import is_on_datastore
from .._vmdk.check.check import check_disk
from .._vmdk.check.finding import WARNING, is_healthy
from .._vmdk.check.repair import repair_disk
from .._vmdk.descriptor.types import ADAPTER_TYPES, MONOLITHIC_SPARSE
from .._vmdk.files.lock import lock, refuse_claimed
from .._vmdk.life.create import check_new_disk, new_disk
from .._vmdk.opening.chain import open_disk
from .._vmdk.opening.family import refuse_pending_below
from .._vmdk.salvage.salvage import open_salvaged
from .inspect_disk import inspect
from .plan import Plan, Result
from .spec import disk_spec, refuse_served
from .target import is_one_of

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.progress import Progress
    from .._vmdk.check.finding import Finding
    from .._vmdk.check.repair import Change
    from .._vmdk.extents.layout import DiskSpec
    from .._vmdk.salvage.part import Fault
    from .._vmdk.salvage.salvage import SalvagedDisk


@dataclasses.dataclass(frozen=True)
class CheckRequest:
    """Check the disk at `path`; the rest only if asked for."""

    path: str
    repair: bool = False
    repair_cid: bool = False
    salvage_to: str | None = None
    disk_type: str = MONOLITHIC_SPARSE
    force: bool = False
    allow_outside: Sequence[str] = ()
    progress: Progress = dataclasses.field(default_factory=Silent)


def plan_check(request: CheckRequest) -> Plan:
    """Reports what is wrong, and never fails for it. Raises DiskNotFound, NotADisk, DiskInUse."""
    refuse_served(request.path)
    _refuse_managed(request.path)
    findings = _check(request)
    changes = _repair(request, dry_run=True)
    result = _report(findings, changes)
    target = request.salvage_to
    if target is not None:
        present = _already_salvaged(request, target)
        if present is not None:
            result["salvaged"], target = present, None
    if not changes and target is None:
        return Plan(before={}, after={}, result=result)
    _require_free(request, changes)

    return Plan(
        before={_place(change): change.before for change in changes},
        after={
            **{_place(change): change.after for change in changes},
            **({} if target is None else {"salvage_to": target}),
        },
        result=result,
        apply=lambda: {**result, **_apply(request, findings, target)},
    )


def _refuse_managed(path: str) -> None:
    if is_on_datastore(path):
        raise InvalidRequest(
            "vSphere checks and repairs its disks itself",
            path=path,
            hint="Clone it to a file on this host with vdisk.lifecycle.vmdk_clone to check that.",
        )


def _apply(request: CheckRequest, findings: list[Finding], target: str | None) -> Result:
    done = _repair(request, dry_run=False)
    report = _report(_check_again(request, findings) if done else findings, done)
    return report if target is None else {**report, "salvaged": _salvage(request, target)}


def _require_free(request: CheckRequest, changes: Sequence[Change]) -> None:
    """Raises DiskInUse, ReadOnlyDisk: what would keep a repair from the files."""
    if changes:
        refuse_claimed(os.path.realpath(request.path))
        refuse_pending_below(os.path.realpath(request.path))
    for path in dict.fromkeys(change.path for change in changes):
        with File(path, writable=True) as file:
            lock(file, exclusive=True)


def _place(change: Change) -> str:
    at = "" if change.offset is None else f" at byte {change.offset}"
    return f"{change.path}: {change.what}{at}"


def _check(request: CheckRequest) -> list[Finding]:
    return check_disk(request.path, allow_outside=request.allow_outside, progress=request.progress)


def _check_again(request: CheckRequest, before: Sequence[Finding]) -> list[Finding]:
    """Once the tables agree, nothing shows any more that both may have lost entries: say it now."""
    doubts = [one for one in before if one.kind == "unused-space" and one.severity == WARNING]
    rest = [one for one in _check(request) if not (doubts and one.kind == "unused-space")]
    return [*rest, *doubts]


def _repair(request: CheckRequest, *, dry_run: bool) -> list[Change]:
    if not (request.repair or request.repair_cid):
        return []
    return repair_disk(
        request.path,
        allow_outside=request.allow_outside,
        proven=request.repair,
        cid=request.repair_cid,
        dry_run=dry_run,
    )


def _report(findings: list[Finding], changes: list[Change]) -> Result:
    return {
        "healthy": is_healthy(findings),
        "findings": [finding.as_dict() for finding in findings],
        "repaired": [dataclasses.asdict(change) for change in changes],
    }


# Salvage


def _already_salvaged(request: CheckRequest, target: str) -> Result | None:
    """What an earlier run has made; None where it is to be made. Raises DiskExists."""
    refuse_reading(os.path.realpath(request.path))
    with open_salvaged(request.path, allow_outside=request.allow_outside) as source:
        _refuse_source(source, target)
        there = os.path.lexists(target)
        if there and _is_salvaged(source, target, request.disk_type):
            return _told(source, target)
        spec = _spec(source, request.disk_type)
    if not there or request.force:
        check_new_disk(target, spec, replace=request.force)
        return None
    raise DiskExists(
        "is already there, and is not what can be salvaged",
        path=target,
        hint="Use force: true to replace it, or choose another name.",
    )


def _refuse_source(source: SalvagedDisk, target: str) -> None:
    link: SalvagedDisk | None = source
    while link is not None:
        if is_one_of(link.files, target):
            raise InvalidRequest("is a part of the damaged disk itself", path=target)
        link = link.parent


def _is_salvaged(source: SalvagedDisk, target: str, disk_type: str) -> bool:
    try:
        with open_disk(target) as present:
            same = present.size == source.size and present.disk_type == disk_type
            return same and compare(source, present) is None
    except DiskError:
        return False


def _salvage(request: CheckRequest, target: str) -> Result:
    with open_salvaged(request.path, allow_outside=request.allow_outside) as source:
        making = new_disk(target, _spec(source, request.disk_type), replace=request.force)
        label = os.path.basename(request.path)
        with making as disk:
            transfer = copy(
                source, disk, target_is_zero=True, progress=request.progress, label=label
            )
        return {**_told(source, target), "transfer": transfer.as_dict()}


def _told(source: SalvagedDisk, target: str) -> Result:
    """Once all of the source was read."""
    faults = source.losses()
    with open_disk(target) as disk:
        return {
            "disk": inspect(disk),
            "lost": [_run(fault) for fault in faults if fault.is_lost],
            "doubtful": [_run(fault) for fault in faults if not fault.is_lost],
        }


def _run(fault: Fault) -> Result:
    return {"offset": fault.offset, "length": fault.length}


def _spec(source: SalvagedDisk, disk_type: str) -> DiskSpec:
    """The same disk as far as its data base is left."""
    metadata = {} if source.descriptor is None else source.descriptor.metadata()
    adapter = metadata.get("adapterType")
    version = metadata.get("virtualHWVersion", "")
    return disk_spec(
        source.size,
        disk_type,
        adapter_type=adapter if adapter in ADAPTER_TYPES else None,
        hw_version=int(version) if version.isdecimal() else None,
        metadata=metadata,
    )
