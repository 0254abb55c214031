# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A managed disk gets another name, another folder, or another datastore."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskExists, DiskNotFound, InvalidRequest
from ..._vsphere.disks.disks import VirtualDisks
from ..plan import Plan, nothing_to_do
from .work import ManagedDisk, label_of, look, percentages, refuse_child, refuse_used, settled

if t.TYPE_CHECKING:
    from ..plan import Result
    from ..requests import RenameRequest


def plan_rename(request: RenameRequest) -> Plan:
    """Nothing to do where `src` is gone and `dest` is there. Raises DiskExists, DiskInUse, …"""
    access = request.access
    if not (access.is_managed(request.src) and access.is_managed(request.dest)):
        raise InvalidRequest(
            f"{request.src} cannot be renamed to {request.dest}: one is on a datastore of vSphere,"
            " the other is not",
            hint="Clone it with vdisk.lifecycle.vmdk_clone, then delete the original.",
        )
    after: Result = {"children": []}
    return settled(access, request.src, lambda disk: _plan(request, disk), after)


def _plan(request: RenameRequest, disk: ManagedDisk) -> Plan:
    dest = look(request.access, request.dest)
    if dest.place == disk.place or (dest.is_there and not disk.is_there):
        return _done(dest)
    if not disk.is_there:
        raise DiskNotFound("there is no such disk", path=str(disk.place))
    if dest.is_there:
        raise DiskExists("is already there", path=str(dest.place), hint="Nothing is overwritten.")
    if dest.leftovers():
        raise DiskExists(
            "a job that was killed has left disks there",
            path=str(dest.place),
            found=", ".join(map(str, dest.leftovers())),
            hint="Run that job again, or delete the disk with vmdk_create and state: absent.",
        )
    before = disk.describe()
    refuse_child(before, "rename it")
    refuse_used(disk, "rename it")
    after: Result = {**before, "path": str(dest.place), "chain": [str(dest.place)]}

    def apply() -> Result:
        hears = percentages(request.progress, label_of(dest.place), before["size"])
        VirtualDisks(dest.session).make_folder(dest.place)
        VirtualDisks(disk.session, hears).move(disk.place, dest.place)
        request.progress.finish()
        return {"disk": dest.describe(), "children": []}

    return Plan(before, after, {"disk": after, "children": []}, apply)


def _done(dest: ManagedDisk) -> Plan:
    if not dest.is_there:
        raise DiskNotFound("there is no such disk", path=str(dest.place))
    state = dest.describe()
    return nothing_to_do(state, {"disk": state, "children": []})
