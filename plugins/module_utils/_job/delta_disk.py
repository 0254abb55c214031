# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A restore point onto a disk that is there, in place."""

from __future__ import annotations

import os
import typing as t

from .._device.errors import DiskExists, InvalidRequest
from .._vmdk.descriptor.types import STREAM_TYPES
from .._vmdk.opening.disk import Disk
from .copy_disk import size_at, verify_copy
from .facts import is_point
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do
from .target import exists, has_fixed_size

if t.TYPE_CHECKING:
    from .._repository.read.reader import PointDevice
    from .access import Access, AnyDisk
    from .requests import CopyRequest


def plan_delta(request: CopyRequest) -> Plan | None:
    """Write only what differs. None: nothing is there that could become it, so it is made anew.

    Raises DiskExists without force, and what opening the disk for writing raises.
    """
    # Imported here: it needs no library, but the room is for those who have a repository.
    from .._repository.read.delta import first_difference

    if not exists(request.access.parse(request.dest)):
        return None
    with (
        _open_point(request.access, request.src) as point,
        request.access.open(request.dest) as present,
    ):
        if not _can_become(request, point, present):
            return None
        before = inspect(present)
        start = first_difference(point, present)
    if start is None:
        return nothing_to_do(before, {"disk": before})
    if not request.force:
        raise DiskExists(
            f"is there already, and differs from the restore point near byte {start}",
            path=request.dest,
            hint="Use force: true to overwrite what differs.",
        )
    request.access.open(request.dest, writable=True).close()  # raises what apply() would
    return Plan(
        before={**before, "content": "another"},
        after={**before, "content": request.src},
        result={"disk": before},
        apply=lambda: _apply(request),
    )


def _apply(request: CopyRequest) -> Result:
    from .._repository.read.delta import restore_differences

    label = os.path.basename(request.dest)
    with _open_point(request.access, request.src) as point:
        with request.access.open(request.dest, writable=True) as target:
            transfer = restore_differences(point, target, progress=request.progress, label=label)
        with request.access.open(request.dest) as restored:
            if request.verify:
                verify_copy(point, restored)
            return {"disk": inspect(restored), "transfer": transfer.as_dict()}


def _open_point(access: Access, text: str) -> PointDevice:
    device = access.open(text)
    if not is_point(device):
        device.close()
        raise InvalidRequest("is no restore point", path=text)
    return device


def _can_become(request: CopyRequest, point: PointDevice, present: AnyDisk) -> bool:
    """Whether the disk that is there has the size and type asked for, and can be written to."""
    if isinstance(present, Disk):
        if present.disk_type in STREAM_TYPES:
            return False
        if request.disk_type not in (None, present.disk_type):
            return False
    elif has_fixed_size(request.access.parse(request.dest)):
        return present.size >= point.size
    return present.size == size_at(point, request.access.parse(request.dest))
