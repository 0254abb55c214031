# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk of a given size: created, grown, or deleted."""

from __future__ import annotations

import os
import typing as t

from .._device.errors import DiskExists, InvalidRequest, NotADisk
from .._device.files import remove_if_there
from .._device.units import human_size
from .._vmdk.descriptor.types import MONOLITHIC_SPARSE
from .._vmdk.life.building import require_folder
from .._vmdk.life.create import check_new_disk, create_disk
from .._vmdk.life.grow import check_growth, grow_disk
from .._vmdk.life.metadata import check_key, check_metadata, set_metadata
from .._vmdk.life.remove import check_removal, finish_pending, remove_disk
from .._vmdk.opening import journal
from .._vmdk.opening.chain import open_disk
from .._vmdk.opening.family import parent_in_commit
from .edit_disk import differing, predicted
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do
from .spec import disk_spec, refuse_managed_type, refuse_served

if t.TYPE_CHECKING:
    from .._vmdk.opening.disk import Disk
    from .requests import CreateRequest


def plan_present(request: CreateRequest) -> Plan:
    """Create what is missing, grow what is too small, set what differs."""
    if request.access.is_managed(request.path):
        # Imported here, as it needs what plain disks do not.
        from .managed import create

        return create.plan_present(request)
    refuse_managed_type(request.disk_type)
    _check_name(request.path)
    require_folder(request.path)
    if not os.path.lexists(request.path):
        return _plan_new(request, before={})
    try:
        with open_disk(request.path, allow_outside=request.access.allow_outside) as disk:
            before = inspect(disk)
            size = _checked_size(request, disk, before)
    except NotADisk as error:
        if request.force:
            return _plan_new(request, before={"path": request.path, "disk_type": "not a disk"})
        error.hint = "Use force: true to put a disk in its place."
        raise
    return _plan_existing(request, before, size)


def _check_name(path: str) -> None:
    refuse_served(path)
    if not path.lower().endswith(".vmdk"):
        raise InvalidRequest("the name of a VMDK must end in .vmdk", path=path)


def _plan_new(request: CreateRequest, before: Result) -> Plan:
    if request.size is None:
        raise InvalidRequest("there is no disk yet; to create it, say its size", path=request.path)
    spec = disk_spec(
        request.size,
        request.disk_type or MONOLITHIC_SPARSE,
        adapter_type=request.adapter_type,
        hw_version=request.hw_version,
        metadata={check_key(key): value for key, value in request.metadata.items()},
    )
    check_new_disk(request.path, spec, replace=request.force)
    after: Result = {"path": request.path, "disk_type": spec.disk_type, "size": spec.size}

    def apply() -> Result:
        create_disk(request.path, spec, replace=request.force)
        return _inspected(request)

    return Plan(before=before, after=after, result={"disk": after}, apply=apply)


def _checked_size(request: CreateRequest, disk: Disk, before: Result) -> int | None:
    """The size to grow to. Raises InvalidRequest, DiskExists, UnsupportedDisk, CorruptDisk."""
    _check_type(request, before)
    size = _new_size(request, before)
    if size is not None:
        check_growth(disk, size)
    return size


def _plan_existing(request: CreateRequest, before: Result, size: int | None) -> Plan:
    keys = differing(_wanted(request), before)
    if size is None and not keys:
        return nothing_to_do(before, {"disk": before})
    _require_free(request, size, keys)
    kept = {key: before[key] for key in ("path", "disk_type", "uuid", "chain")}
    metadata = predicted(before, keys)["metadata"]
    after = {**kept, "metadata": metadata, "size": size or before["size"]}

    def apply() -> Result:
        if keys:  # first: the geometry of a grown disk depends on the adapter
            set_metadata(request.path, keys)
        if size is not None:
            grow_disk(request.path, size, allow_outside=request.access.allow_outside)
        return _inspected(request)

    return Plan(before=before, after=after, result={"disk": after}, apply=apply)


def _require_free(request: CreateRequest, size: int | None, keys: dict[str, str]) -> None:
    """Whatever keeps apply() from the disk is told now, in check mode too."""
    if size is not None:
        with open_disk(request.path, writable=True, allow_outside=request.access.allow_outside):
            pass
    if keys:
        check_metadata(request.path, keys)


def _check_type(request: CreateRequest, before: Result) -> None:
    if request.disk_type not in (None, before["disk_type"]):
        raise DiskExists(
            "is there already, of another type",
            path=request.path,
            found=before["disk_type"],
            expected=request.disk_type,
            hint="Convert it with vdisk.lifecycle.vmdk_convert.",
        )


def _new_size(request: CreateRequest, before: Result) -> int | None:
    """The size to grow to. Raises InvalidRequest rather than shrink."""
    if request.size is not None and request.size < before["size"]:
        raise InvalidRequest(
            "the disk is larger than asked for, and disks are never cut",
            path=request.path,
            found=f"{before['size']} bytes ({human_size(before['size'])})",
            expected=f"{request.size} bytes ({human_size(request.size)})",
            hint="Ask for its present size, or copy its content to a new, smaller disk.",
        )
    return request.size if request.size not in (None, before["size"]) else None


def _wanted(request: CreateRequest) -> dict[str, str]:
    """Data base entries that the request names."""
    given = _given(adapterType=request.adapter_type, virtualHWVersion=request.hw_version)
    named = {check_key(key): value for key, value in request.metadata.items()}
    folded = {key.lower() for key in named}
    return {**{key: str(given[key]) for key in given if key.lower() not in folded}, **named}


def _given(**options: t.Any) -> dict[str, t.Any]:
    return {key: value for key, value in options.items() if value is not None}


def _inspected(request: CreateRequest) -> Result:
    with request.access.open(request.path) as disk:
        return {"disk": inspect(disk)}


def _plan_finish(path: str) -> Plan:
    """The disk is gone; a job that was killed while it removed it may have left extents."""
    pending = [name for name in (path + journal.SUFFIX,) if os.path.lexists(name)]
    if not pending:
        return nothing_to_do({}, {"removed": []})

    def apply() -> Result:
        return {"changed": finish_pending(path), "removed": pending}

    return Plan(
        before={"files": pending}, after={"files": []}, result={"removed": pending}, apply=apply
    )


def plan_absent(request: CreateRequest) -> Plan:
    """Delete the disk with all its extents; its parents stay."""
    if request.access.is_managed(request.path):
        from .managed import create

        return create.plan_absent(request)
    _check_name(request.path)
    if not os.path.lexists(request.path):
        return _plan_finish(request.path)
    if os.path.lexists(os.path.realpath(request.path) + journal.SUFFIX):
        return _plan_interrupted(request)
    files = check_removal(request.path, force=request.force)
    told = _loss(request.path)

    def apply() -> Result:
        remove_disk(request.path, force=request.force)
        remove_if_there(request.path)  # a symbolic link to it
        return {"removed": files, **told}

    return Plan(
        before={"files": files}, after={"files": []}, result={"removed": files, **told}, apply=apply
    )


def _plan_interrupted(request: CreateRequest) -> Plan:
    """What a killed job has left is finished first, and may be all that there was to do."""
    real = os.path.realpath(request.path)
    files = [real, real + journal.SUFFIX]

    def apply() -> Result:
        if finish_pending(request.path):
            return {"removed": files}
        return plan_absent(request).run(check_mode=False)

    return Plan(
        before={"files": files}, after={"files": []}, result={"removed": files}, apply=apply
    )


def _loss(path: str) -> Result:
    """What goes with a child in the middle of its commit; only force gets this far."""
    parent = parent_in_commit(os.path.realpath(path))
    if parent is None:
        return {}
    lost = f"{path}: its commit was not complete. Without it, the content of {parent} is lost"
    return {"warnings": [f"{lost}: neither what it was nor what it should have become."]}
