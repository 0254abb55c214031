# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk gets another name or another folder."""

from __future__ import annotations

import os
import typing as t

from .._device.errors import InvalidRequest
from .._transport.reference import Road
from .._vmdk.life.rename import destination, plan_move, rename_disk
from .._vmdk.opening.chain import open_disk
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do
from .spec import refuse_served

if t.TYPE_CHECKING:
    from .requests import RenameRequest


def plan_rename(request: RenameRequest) -> Plan:
    """Nothing to do where `src` is gone and `dest` is there. Raises DiskExists, UnsafePath."""
    if request.access.is_managed(request.src) or request.access.is_managed(request.dest):
        # Imported here, as it needs what plain disks do not.
        from .managed import rename

        return rename.plan_rename(request)
    src, dest = _hosted(request, request.src), destination(_hosted(request, request.dest))
    if not os.path.lexists(src) or os.path.realpath(src) == dest:
        return _plan_done(request, dest)
    outside = request.access.allow_outside
    with open_disk(src, allow_outside=outside) as disk:
        before = inspect(disk)
        move = plan_move(disk, dest, outside)
        move.check()
        children = [edit.path for edit in move.children]
    after: Result = {**before, "path": dest, "chain": [dest, *before["chain"][1:]]}

    def apply() -> Result:
        rename_disk(
            src,
            dest,
            allow_outside=outside,
            progress=request.progress,
            label=os.path.basename(dest),
        )
        with open_disk(dest, allow_outside=outside) as disk:
            return {"disk": inspect(disk), "children": children}

    return Plan(before, after, {"disk": after, "children": children}, apply)


def _plan_done(request: RenameRequest, dest: str) -> Plan:
    with open_disk(dest, allow_outside=request.access.allow_outside) as disk:
        state = inspect(disk)
    return nothing_to_do(state, {"disk": state, "children": []})


def _hosted(request: RenameRequest, text: str) -> str:
    refuse_served(text)
    reference = request.access.parse(text)
    if reference.road is not Road.VMDK:
        raise InvalidRequest(
            f"{text}: only a hosted VMDK is renamed with all its files",
            hint="Other files are one file: use ansible.builtin.command with mv.",
        )
    return reference.text
