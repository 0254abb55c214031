# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A VMDK of one type becomes one of another, in place."""

from __future__ import annotations

import os
import typing as t

from .._device.copy import copy
from .._device.errors import InvalidRequest
from .._vmdk.descriptor.types import STREAM_OPTIMIZED
from .._vmdk.life.create import check_new_disk, new_disk
from .._vmdk.opening.chain import open_disk
from .._vmdk.opening.disk import Disk
from .._vmdk.opening.family import refuse_with_children
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do
from .spec import disk_spec, refuse_managed_type, refuse_served

if t.TYPE_CHECKING:
    from .._vmdk.extents.layout import DiskSpec
    from .requests import ConvertRequest


def plan_convert(request: ConvertRequest) -> Plan:
    """Nothing to do for a disk of that type without a parent."""
    if request.access.is_managed(request.path):
        # Imported here, as it needs what plain disks do not.
        from .managed import convert

        return convert.plan_convert(request)
    refuse_served(request.path)
    refuse_managed_type(request.disk_type)
    _check_level(request)
    with request.access.open(request.path) as disk:
        before = inspect(disk)
        is_done = before["disk_type"] == request.disk_type and len(before["chain"]) == 1
        if not is_done and isinstance(disk, Disk):
            refuse_with_children(request.path, "convert")
            check_new_disk(request.path, _spec(request, before), replace=True, held=disk)
    if is_done:
        return nothing_to_do(before, {"disk": before})
    kept = {key: before[key] for key in ("path", "size", "uuid", "adapter_type", "hw_version")}
    after: Result = {**kept, "disk_type": request.disk_type, "chain": [request.path]}

    def apply() -> Result:
        return _convert(request, before)

    return Plan(before=before, after=after, result={"disk": after}, apply=apply)


def _check_level(request: ConvertRequest) -> None:
    level = request.compression_level
    if level is not None and request.disk_type != STREAM_OPTIMIZED:
        raise InvalidRequest(f"compression_level is for {STREAM_OPTIMIZED} disks only")
    if level is not None and not 0 <= level <= 9:
        raise InvalidRequest(f"compression_level {level} is not between 0 and 9")


def _spec(request: ConvertRequest, before: Result) -> DiskSpec:
    return disk_spec(
        before["size"],
        request.disk_type,
        adapter_type=before["adapter_type"],
        hw_version=before["hw_version"],
        metadata=before["metadata"],  # the same disk, so the same uuid
    )


def _convert(request: ConvertRequest, before: Result) -> Result:
    label = os.path.basename(request.path)
    with open_disk(request.path, allow_outside=request.access.allow_outside) as source:
        making = new_disk(
            request.path,
            _spec(request, before),
            replace=True,
            held=source,
            compression_level=request.compression_level,
        )
        with making as target:
            transfer = copy(
                source, target, target_is_zero=True, progress=request.progress, label=label
            )
    with request.access.open(request.path) as disk:
        return {"disk": inspect(disk), "transfer": transfer.as_dict()}
