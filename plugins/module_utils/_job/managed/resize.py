# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A managed disk becomes larger."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest
from ..._vsphere.disks.disks import VirtualDisks
from ..._vsphere.disks.fcd import is_first_class
from ..plan import Plan, nothing_to_do
from .checks import check_growth
from .describe import EAGER
from .first_class import plan_first_class_resize
from .work import (
    ManagedDisk,
    label_of,
    percentages,
    refuse_child,
    refuse_used,
    require,
    settled,
)

if t.TYPE_CHECKING:
    from ..plan import Result
    from ..requests import ResizeRequest


def plan_resize(request: ResizeRequest) -> Plan:
    """Nothing to do for a disk of that size. Raises InvalidRequest for grow_partition."""
    if is_first_class(request.path):
        return plan_first_class_resize(request)
    if request.grow:
        raise InvalidRequest(
            "grow_partition is for disks in files of a host",
            path=request.path,
            hint="Grow the disk without it; then grow partition and file system in the guest (for"
            " instance with growpart and resize2fs), or clone the disk to a file, resize it there,"
            " and clone it back.",
        )
    return settled(request.access, request.path, lambda disk: _plan(request, disk))


def _plan(request: ResizeRequest, disk: ManagedDisk) -> Plan:
    require(disk)
    before, size = disk.describe(), request.size
    check_growth(before, size)
    result: Result = {"disk": {**before, "size": size}}
    if size == before["size"]:
        return nothing_to_do({"size": size}, result)
    refuse_child(before, "grow it")
    refuse_used(disk, "grow it")

    def apply() -> Result:
        eager = before["disk_type"] == EAGER
        hears = percentages(request.progress, label_of(disk.place), size)
        VirtualDisks(disk.session, hears).extend(disk.place, size, eager_zero=eager)
        request.progress.finish()
        return {"disk": disk.describe()}

    return Plan(before={"size": before["size"]}, after={"size": size}, result=result, apply=apply)
