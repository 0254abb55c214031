# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A larger disk, and what is in it: first the disk, then the partition, then the file system."""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._device.errors import InvalidRequest
from .._device.memory import ZeroDevice
from .._device.slice import ConcatDevice
from .._guest.grow import Growth, grow_table, grow_volume, plan_growth
from .._guest.grow_filesystem import require_tools
from .._guest.work_mount import WorkPlace, work_place
from .._transport.reference import Road
from .._vmdk.life.grow import check_growth, grow_disk
from .._vmdk.opening.disk import Disk
from .._vmdk.opening.family import refuse_with_children
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do
from .spec import refuse_served

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .._device.device import BlockDevice
    from .access import AnyDisk
    from .requests import ResizeRequest


def plan_resize(request: ResizeRequest) -> Plan:
    """Nothing to do for a disk of that size whose volume fills it."""
    if request.access.is_managed(request.path):
        # Imported here, as it needs what plain disks do not.
        from .managed import resize

        return resize.plan_resize(request)
    refuse_served(request.path)
    if request.access.parse(request.path).road is not Road.VMDK:
        raise InvalidRequest("only a VMDK is resized here", path=request.path)
    with _work_place(request), request.access.open(request.path) as disk:
        before = inspect(disk)
        _check(request, disk)
        growth = _look(request, disk)
    result: Result = {"disk": {**before, "size": request.size}}
    old: Result = {"size": before["size"]}
    new: Result = {"size": request.size}
    if growth is not None:
        result["volume"] = _forecast(growth)
        old["volume"], new["volume"] = _sides(result["volume"])
        if growth.is_needed:
            refuse_with_children(request.path, "grow a volume of")
    if request.size == before["size"] and not (growth is not None and growth.is_needed):
        return nothing_to_do(old, result)

    with request.access.open(request.path, writable=True):
        pass  # whatever forbids it is told now, in check mode too

    def apply() -> Result:
        with _work_place(request) as place:
            return _resize(request, place, before, growth)

    return Plan(before=old, after=new, result=result, apply=apply)


def _work_place(
    request: ResizeRequest,
) -> contextlib.AbstractContextManager[WorkPlace | None]:
    if request.grow:
        return work_place(os.path.realpath(request.path))
    return contextlib.nullcontext()


def _check(request: ResizeRequest, disk: AnyDisk) -> None:
    if isinstance(disk, Disk) and request.size != disk.size:
        check_growth(disk, request.size)


def _look(request: ResizeRequest, disk: AnyDisk) -> Growth | None:
    """What there will be to do for the volume, once the disk is larger."""
    if not request.grow:
        return None
    more = request.size - disk.size
    larger = ConcatDevice([disk, ZeroDevice(more)], request.path) if more else disk
    growth = plan_growth(larger, request.volume)
    if growth.needs_filesystem:
        require_tools(growth.kind)
    return growth


def _resize(
    request: ResizeRequest, place: WorkPlace | None, before: Result, planned: Growth | None
) -> Result:
    changed = grow_disk(request.path, request.size, allow_outside=request.access.allow_outside)
    result: Result = {}
    if planned is not None and place is not None:
        done = _grow_volume(request, place)
        result["volume"] = _facts(planned, done.volume.partition.size, done.filesystem_size)
        changed = changed or result["volume"] != _facts(
            planned, planned.volume.partition.size, planned.filesystem_size
        )
        changed = changed or bool(planned.writes)
    with request.access.open(request.path) as disk:
        return {"changed": changed, "disk": inspect(disk), **result}


def _grow_volume(request: ResizeRequest, place: WorkPlace) -> Growth:
    """Partition table and file system; how they are afterwards."""
    with request.access.open(request.path) as disk:
        growth = plan_growth(disk, request.volume)
    if growth.writes:
        with request.access.open(request.path, writable=True) as disk:
            grow_table(disk, growth)
    if growth.needs_filesystem:
        grow_volume(place, _opener(request), growth)
    with request.access.open(request.path) as disk:
        return plan_growth(disk, request.volume)


def _opener(request: ResizeRequest) -> Callable[[], BlockDevice]:
    """Opens the disk in the process that serves it to the kernel."""
    return lambda: request.access.open(request.path, writable=True)


def _forecast(growth: Growth) -> Result:
    size = growth.partition_size if growth.needs_filesystem else growth.filesystem_size
    return _facts(growth, growth.partition_size, size)


def _facts(growth: Growth, partition: int, filesystem: int) -> Result:
    """The `volume` value of the result: as it was planned for, and as it came out."""
    shown = growth.volume.as_dict()
    return {
        **{key: shown[key] for key in ("number", "fs", "label", "uuid")},
        "partition": {"before": growth.volume.partition.size, "after": partition},
        "filesystem": {"before": growth.filesystem_size, "after": filesystem},
    }


def _sides(volume: Result) -> tuple[Result, Result]:
    """Before and after, for the diff."""
    keys = ("partition", "filesystem")
    before, after = ({key: volume[key][side] for key in keys} for side in ("before", "after"))
    return before, after
