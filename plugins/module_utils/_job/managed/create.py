# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A managed disk of a given size: created, grown, or deleted."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskExists, InvalidRequest
from ..._vmdk.life.metadata import canonical_uuid
from ..._vsphere.disks.disks import VirtualDisks, in_kib
from ..._vsphere.disks.fcd import is_first_class
from ..plan import Plan, nothing_to_do
from .checks import ADAPTERS, check_growth, check_type, refuse_keys
from .describe import COUNTS_AS_THICK, EAGER, THICK, THIN, extent_path, with_new_uuid
from .first_class import plan_first_class_absent, plan_first_class_present
from .replace import replace
from .work import (
    ManagedDisk,
    label_of,
    look,
    percentages,
    refuse_child,
    refuse_used,
    refuse_used_leftovers,
    settled,
    told,
)

if t.TYPE_CHECKING:
    from ..plan import Result
    from ..requests import CreateRequest
    from .site import Site


def plan_present(request: CreateRequest) -> Plan:
    """Create what is missing, grow what is too small. Folders that are missing are made."""
    if is_first_class(request.path):
        return plan_first_class_present(request)
    check_type(request.disk_type)
    _check_options(request)
    return settled(
        request.access,
        request.path,
        lambda disk: _existing(request, disk) if disk.is_there else _new(request, disk),
    )


def _check_options(request: CreateRequest) -> None:
    """What a hosted disk has and vSphere decides by itself."""
    if request.hw_version is not None:
        raise InvalidRequest(
            "the hw_version of a managed disk is the host's choice", hint="Leave it out."
        )
    if request.adapter_type not in (None, *ADAPTERS):
        raise InvalidRequest(
            f"vSphere makes no managed disk for adapter_type {request.adapter_type}",
            expected=f"one of {', '.join(ADAPTERS)}",
        )
    refuse_keys(request.metadata)
    if request.size is not None:
        in_kib(request.size)


def _new(request: CreateRequest, disk: ManagedDisk) -> Plan:
    if request.size is None:
        raise InvalidRequest("there is no disk yet; to create it, say its size", path=request.path)
    disk_type, size = request.disk_type or THIN, request.size
    after: Result = {"path": str(disk.place), "disk_type": disk_type, "size": size}

    uuid = _wanted_uuid(request)

    def make(site: Site) -> None:
        hears = percentages(request.progress, label_of(disk.place), size)
        site.create(site.new, size, disk_type, request.adapter_type or "lsilogic", hears)
        request.progress.finish()
        if uuid is not None:
            site.set_uuid(site.new, uuid)
        if disk_type == EAGER:
            site.note_eager(site.new)

    def apply() -> Result:
        warned = told(replace(disk, make))
        return {"disk": disk.describe(), **warned}

    return Plan(before={}, after=after, result={"disk": after}, apply=apply)


def _existing(request: CreateRequest, disk: ManagedDisk) -> Plan:
    before = disk.describe()
    _check_facts(request, before)
    size, uuid = _new_size(request, before), _wanted_uuid(request)
    if uuid is not None and uuid.lower() == str(before["uuid"]).lower():
        uuid = None
    eager = EAGER in (before["disk_type"], request.disk_type)
    warnings = [COUNTS_AS_THICK] if eager and before["disk_type"] != EAGER else []
    if size is None and uuid is None:
        return nothing_to_do(before, {"disk": before, **told(warnings)})
    refuse_child(before, "grow it")
    refuse_used(disk, "grow it" if size is not None else "change its uuid")
    kept = {key: before[key] for key in ("path", "disk_type", "chain", "metadata")}
    after: Result = {**kept, "uuid": uuid or before["uuid"], "size": size or before["size"]}
    if uuid is not None:
        changed, more = with_new_uuid(before, uuid)
        after.update((key, changed[key]) for key in ("disk_type", "metadata"))
        warnings += more
    warned = told(warnings)

    def apply() -> Result:
        if uuid is not None:
            VirtualDisks(disk.session).set_uuid(disk.place, uuid)
        if size is not None:
            hears = percentages(request.progress, label_of(disk.place), size)
            VirtualDisks(disk.session, hears).extend(disk.place, size, eager_zero=eager)
            request.progress.finish()
        return {"disk": disk.describe(), **warned}

    return Plan(before=before, after=after, result={"disk": after, **warned}, apply=apply)


def _check_facts(request: CreateRequest, before: Result) -> None:
    if not _is_of_type(request.disk_type, before["disk_type"]):
        raise DiskExists(
            "is there already, of another type",
            path=before["path"],
            found=before["disk_type"],
            expected=request.disk_type,
            hint="Convert it with vdisk.lifecycle.vmdk_convert.",
        )
    if request.adapter_type not in (None, str(before["adapter_type"]).lower()):
        raise InvalidRequest(
            "the adapter_type of a managed disk cannot be changed",
            path=before["path"],
            found=before["adapter_type"],
            expected=request.adapter_type,
            hint="Attach it to the controller that you want: vSphere does not mind.",
        )


def _is_of_type(wanted: str | None, found: str) -> bool:
    """An eagerly zeroed disk counts as thick where we could not note it: as far as can be told."""
    return wanted in (None, found) or (wanted, found) == (EAGER, THICK)


def _new_size(request: CreateRequest, before: Result) -> int | None:
    if request.size is None or request.size == before["size"]:
        return None
    check_growth(before, request.size)
    return request.size


def _wanted_uuid(request: CreateRequest) -> str | None:
    for value in request.metadata.values():  # there is no other key
        return canonical_uuid(value)
    return None


def plan_absent(request: CreateRequest) -> Plan:
    """Delete the disk with its extents; its folder stays. Also what a killed job has left."""
    if is_first_class(request.path):
        return plan_first_class_absent(request)
    disk = look(request.access, request.path)
    files = _files(disk)
    if not files:
        return nothing_to_do({}, {"removed": []})
    refuse_used_leftovers(disk)
    if disk.is_there:
        refuse_used(disk, "delete it")

    def apply() -> Result:
        disks = VirtualDisks(disk.session)
        for place in [*disk.leftovers(), *([disk.place] if disk.is_there else [])]:
            disks.delete(place)
        return {"removed": files}

    return Plan(
        before={"files": files}, after={"files": []}, result={"removed": files}, apply=apply
    )


def _files(disk: ManagedDisk) -> list[str]:
    leftovers = [str(place) for place in disk.leftovers()]
    if not disk.is_there:
        return leftovers
    extents = disk.device().descriptor.extents
    paths = [extent_path(disk.place, line.name) for line in extents]
    files = [path for path in paths if path is not None and "://" not in path]
    return [str(disk.place), *files, *leftovers]
