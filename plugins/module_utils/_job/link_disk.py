# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A linked clone: a child that stores only what changes."""

from __future__ import annotations

import os
import typing as t

from .._device.errors import DiskExists, InvalidRequest
from .._transport.reference import Road
from .._vmdk.descriptor.types import CHILD_TYPES, MONOLITHIC_SPARSE
from .._vmdk.life.building import require_folder
from .._vmdk.opening.chain import open_disk
from .._vmdk.redo.redo import create_child
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do

if t.TYPE_CHECKING:
    from .requests import CopyRequest


def plan_linked(request: CopyRequest) -> Plan:
    """Make `dest` a child of `src`, unless it is one. Raises DiskExists, InvalidRequest."""
    parent, child = _paths(request)
    disk_type = request.disk_type or MONOLITHIC_SPARSE
    if os.path.lexists(child):
        return _plan_existing(request, parent, child)
    with request.access.open(parent) as source:
        after: Result = {"path": child, "disk_type": disk_type, "size": source.size}

    def apply() -> Result:
        create_child(parent, child, disk_type, allow_outside=request.access.allow_outside)
        with request.access.open(child) as disk:
            return {"disk": inspect(disk)}

    return Plan(before={}, after=after, result={"disk": after}, apply=apply)


def _paths(request: CopyRequest) -> tuple[str, str]:
    """Parent and child, both hosted VMDKs. Raises InvalidRequest."""
    source, dest = (request.access.parse(text) for text in (request.src, request.dest))
    for reference in (source, dest):
        if reference.road is not Road.VMDK:
            raise InvalidRequest(
                f"{reference.text}: a linked clone and its source are hosted VMDKs",
                hint="Clone with linked: false.",
            )
    if request.disk_type not in (None, *CHILD_TYPES):
        raise InvalidRequest(
            f"a linked clone cannot be of type {request.disk_type}",
            hint=f"It can be {' or '.join(CHILD_TYPES)}.",
        )
    require_folder(dest.text)
    return source.text, dest.text


def _plan_existing(request: CopyRequest, parent: str, child: str) -> Plan:
    with open_disk(child, allow_outside=request.access.allow_outside) as disk:
        before = inspect(disk)
        links = [link.path for link in disk.links]
    same_type = request.disk_type in (None, before["disk_type"])
    if len(links) > 1 and os.path.samefile(links[1], parent) and same_type:
        return nothing_to_do(before, {"disk": before})
    raise DiskExists(
        "is there already, and is not such a child of the source",
        path=child,
        found=f"{before['disk_type']}, parent {links[1] if len(links) > 1 else 'none'}",
        expected=f"{request.disk_type or 'any type'}, parent {parent}",
        hint="Choose another dest, or delete that disk first.",
    )
