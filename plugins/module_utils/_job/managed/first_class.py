# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""First-class disks, `[datastore] fcd:NAME`: created, grown, deleted, and their snapshots."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import DiskExists, DiskInUse, InvalidRequest
from ..._vsphere.connection.shared import shared_session
from ..._vsphere.disks import fcd
from ..._vsphere.disks.holders import holders
from ..._vsphere.machine.machine import ManagedFile
from ..plan import Plan, nothing_to_do
from .checks import check_growth, check_type
from .describe import THIN
from .first_class_disk import FirstClass, describe_first_class, find

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..access import Access
    from ..plan import Result
    from ..requests import CreateRequest, ResizeRequest, SnapshotRequest


def _find(access: Access, text: str) -> FirstClass:
    return find(shared_session(access.vcenter), text)


# Created, grown, deleted


def plan_first_class_present(request: CreateRequest) -> Plan:
    """Create what is missing, grow what is too small. Raises DiskError."""
    check_type(request.disk_type)
    _refuse_options(
        request.path,
        adapter_type=request.adapter_type,
        hw_version=request.hw_version,
        metadata=request.metadata or None,
    )
    found = _find(request.access, request.path)
    if found.disk is None:
        return _plan_new(request, found)
    if request.disk_type not in (None, found.disk.disk_type):
        raise DiskExists(
            "is there already, of another type",
            path=found.text,
            found=found.disk.disk_type,
            expected=request.disk_type,
        )
    return _plan_size(found, request.size)


def plan_first_class_resize(request: ResizeRequest) -> Plan:
    """Nothing to do for a disk of that size. Raises DiskError."""
    if request.grow:
        raise InvalidRequest(
            "grow_partition is for disks in files of a host",
            path=request.path,
            hint="Grow the disk without it; then grow partition and file system in the guest.",
        )
    return _plan_size(_find(request.access, request.path), request.size)


def plan_first_class_absent(request: CreateRequest) -> Plan:
    """With its files; with force, its snapshots go first. Raises DiskInUse, DiskError."""
    found = _find(request.access, request.path)
    if found.disk is None:
        return nothing_to_do({"removed": []}, {"removed": []})
    disk, session = found.disk, found.session
    _refuse_attached(found, "delete it")
    snapshots = fcd.snapshots_of(session, disk)
    if snapshots and not request.force:
        raise DiskInUse(
            "cannot delete it: it has snapshots",
            path=found.text,
            found=", ".join(each.description for each in snapshots),
            hint="Use force: true to delete them with it.",
        )
    removed: Result = {"removed": [disk.path]}

    def apply() -> Result:
        for snapshot in snapshots:
            fcd.delete_snapshot(session, disk, snapshot)
        fcd.delete_first_class(session, disk)
        return removed

    return Plan({"files": removed["removed"]}, {"files": []}, removed, apply)


def _plan_new(request: CreateRequest, found: FirstClass) -> Plan:
    if request.size is None:
        raise InvalidRequest("there is no disk yet; to create it, say its size", path=request.path)
    size, disk_type = request.size, request.disk_type or THIN
    fcd.in_mib(size)
    after: Result = {"path": found.text, "disk_type": disk_type, "size": size}

    def apply() -> Result:
        datastore = found.place.datastore
        made = fcd.create_first_class(found.session, datastore, found.name, size, disk_type)
        return {"disk": describe_first_class(dataclasses.replace(found, disk=made).again())}

    return Plan({}, after, {"disk": after}, apply)


def _plan_size(found: FirstClass, size: int | None) -> Plan:
    disk, before = found.require(), describe_first_class(found)
    if size in (None, disk.size):
        return nothing_to_do(before, {"disk": before})
    wanted = int(size or 0)
    fcd.in_mib(wanted)
    check_growth(before, wanted)
    _refuse_attached(found, "grow it")
    if before["first_class"]["snapshots"]:
        raise DiskInUse(
            "cannot grow it: it has snapshots",
            path=found.text,
            found=", ".join(each["description"] for each in before["first_class"]["snapshots"]),
            hint="Delete them first (vmdk_snapshot, state: absent).",
        )
    after: Result = {**before, "size": wanted}

    def apply() -> Result:
        fcd.extend_first_class(found.session, disk, wanted)
        return {"disk": describe_first_class(found.again())}

    return Plan(before, after, {"disk": after}, apply)


# Snapshots


def plan_first_class_snapshot(request: SnapshotRequest, state: str) -> Plan:
    """present, absent and reverted, of the snapshot that `child` describes. Raises DiskError."""
    _refuse_options(
        request.path,
        disk_type=request.disk_type,
        parent=request.parent,
        parent_digest=request.parent_digest,
        unsafe=request.unsafe or None,
    )
    plans: dict[str, Callable[[FirstClass, str | None], Plan]] = {
        "present": _plan_snapshot,
        "absent": _plan_no_snapshot,
        "reverted": _plan_reverted,
    }
    if state not in plans:
        raise InvalidRequest(
            f"state {state} is for redo logs in files of a host", expected=", ".join(plans)
        )
    found = _find(request.access, request.path)
    found.require()
    return plans[state](found, request.child)


def _plan_snapshot(found: FirstClass, child: str | None) -> Plan:
    if child is None:
        raise InvalidRequest(
            "a snapshot of a first-class disk needs a description",
            path=found.text,
            hint="Give it in the option child.",
        )
    before = describe_first_class(found)
    if _named(found, child):
        return nothing_to_do(before, {"disk": before})
    new = {"id": None, "description": child, "created": None}
    after = _with_snapshots(before, [*before["first_class"]["snapshots"], new])

    def apply() -> Result:
        fcd.create_snapshot(found.session, found.require(), child)
        return {"disk": describe_first_class(found.again())}

    return Plan(before, after, {"disk": after}, apply)


def _plan_no_snapshot(found: FirstClass, child: str | None) -> Plan:
    before = describe_first_class(found)
    snapshot = _one(found, child)
    if snapshot is None:
        return nothing_to_do(before, {"disk": before, "removed": []})
    kept = [each for each in before["first_class"]["snapshots"] if each["id"] != snapshot.id]
    after, removed = _with_snapshots(before, kept), [snapshot.description]

    def apply() -> Result:
        fcd.delete_snapshot(found.session, found.require(), snapshot)
        return {"disk": describe_first_class(found.again()), "removed": removed}

    return Plan(before, after, {"disk": after, "removed": removed}, apply)


def _plan_reverted(found: FirstClass, child: str | None) -> Plan:
    """Whether the disk was written to since is not known: it counts as a change each time."""
    before = describe_first_class(found)
    snapshot = _one(found, child)
    if snapshot is None:
        raise InvalidRequest(
            "the first-class disk has no such snapshot", path=found.text, found=child
        )
    _refuse_attached(found, "revert it")

    def apply() -> Result:
        fcd.revert_to_snapshot(found.session, found.require(), snapshot)
        return {"disk": describe_first_class(found.again())}

    after: Result = {**before, "reverted_to": snapshot.description}
    return Plan(before, after, {"disk": before}, apply)


def _with_snapshots(facts: Result, snapshots: list[Result]) -> Result:
    return {**facts, "first_class": {**facts["first_class"], "snapshots": snapshots}}


def _named(found: FirstClass, child: str) -> list[fcd.DiskSnapshot]:
    snapshots = fcd.snapshots_of(found.session, found.require())
    return [each for each in snapshots if each.answers_to(child)]


def _one(found: FirstClass, child: str | None) -> fcd.DiskSnapshot | None:
    """The one that is named, or the only one. Raises InvalidRequest where it is not plain which."""
    if child is None:
        named = fcd.snapshots_of(found.session, found.require())
    else:
        named = _named(found, child)
    if len(named) > 1:
        raise InvalidRequest(
            "it has several snapshots" + (f" called {child}" if child else ""),
            path=found.text,
            found=", ".join(f"{each.description} ({each.id})" for each in named),
            hint="Say which one by its id, in the option child.",
        )
    return named[0] if named else None


# What forbids it


def _refuse_attached(found: FirstClass, what: str) -> None:
    """Raises DiskInUse."""
    disk = found.require()
    file = ManagedFile(disk.path, disk.datastore, first_class=disk.id)
    users = [f"{each.name} {each.how}" for each in holders(found.session, file)]
    if users or disk.consumers:
        raise DiskInUse(
            f"cannot {what}: the disk is attached",
            path=found.text,
            found="; ".join(users) or f"consumer {', '.join(disk.consumers)}",
            hint="Detach it first (vmdk_attach, state: absent); if a container platform has it"
            " attached, do it there.",
        )


def _refuse_options(path: str, **options: t.Any) -> None:
    """What vSphere decides for first-class disks by itself. Raises InvalidRequest."""
    given = [name for name, value in options.items() if value is not None]
    if given:
        raise InvalidRequest(
            f"first-class disks have no {' and no '.join(given)}",
            path=path,
            hint="Leave out those options.",
        )
