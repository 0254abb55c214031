# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Less and better ordered space for the same disk: defragment and shrink."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._device.errors import InvalidRequest
from .._guest.trim import find_free, trim
from .._guest.work_mount import work_place
from .._transport.reference import Road
from .._vmdk.compact.compact import Layout, held_link
from .._vmdk.compact.defragment import check_defragment, defragment, fragmentation
from .._vmdk.compact.shrink import shrink, surplus
from .._vmdk.files.paths import folder_of
from .._vmdk.life.building import require_writable
from .._vmdk.opening.chain import open_disk
from .._vmdk.opening.family import refuse_with_children
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do
from .spec import refuse_served

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .._device.device import BlockDevice
    from .._guest.trim import Trimmed
    from .requests import CompactRequest

_WORTH_A_TRIM = 1 << 20  # bytes; mounting changes a file system, so a few blocks are no reason


# Defragment


def plan_defragment(request: CompactRequest) -> Plan:
    """Nothing to do where grains are in order and no whole grain of file could be saved."""
    if request.access.is_managed(request.path):
        # Imported here, as it needs what plain disks do not.
        from .managed import compact

        return compact.plan_defragment(request)
    before = _inspected(request)
    links = before["chain"] if request.all_links else before["chain"][:1]
    found = [fragmentation(path, allow_outside=request.access.allow_outside) for path in links]
    layout = sum((each.layout for each in found), Layout())
    old: Result = {"fragmentation": {"before": _numbers(layout), "after": _numbers(layout)}}
    if not any(each.worthwhile for each in found):
        return nothing_to_do(old["fragmentation"]["before"], {"disk": before, **old})
    new = _numbers(_in_order(layout))
    for path in links:
        require_writable(folder_of(path))
        check_defragment(path, allow_outside=request.access.allow_outside)

    def apply() -> Result:
        for path in links:
            defragment(path, allow_outside=request.access.allow_outside, progress=request.progress)
        done = [fragmentation(path, allow_outside=request.access.allow_outside) for path in links]
        after = _numbers(sum((each.layout for each in done), Layout()))
        numbers = {"before": _numbers(layout), "after": after}
        return {"disk": _inspected(request), "fragmentation": numbers}

    numbers = {"before": _numbers(layout), "after": new}
    result: Result = {"disk": before, "fragmentation": numbers}
    return Plan(before=numbers["before"], after=new, result=result, apply=apply)


def _in_order(layout: Layout) -> Layout:
    return dataclasses.replace(layout, fragments=layout.extents, size=layout.compact_size)


def _numbers(layout: Layout) -> Result:
    return {"grains": layout.grains, "fragments": layout.fragments, "file_size": layout.size}


def _inspected(request: CompactRequest) -> Result:
    refuse_served(request.path)
    if request.access.parse(request.path).road is not Road.VMDK:
        raise InvalidRequest("only the space of a VMDK is managed here", path=request.path)
    with request.access.open(request.path) as disk:
        return inspect(disk)


# Shrink


def plan_shrink(request: CompactRequest) -> Plan:
    """Read all that is stored; nothing to do where no zeros are found that take space."""
    if request.access.is_managed(request.path):
        from .managed import compact

        return compact.plan_shrink(request)
    looked = _inspected_for_trim(request) if request.trim else (_inspected(request), [], [])
    disk, free, outcomes = looked
    gain = surplus(
        request.path,
        free=free,
        allow_outside=request.access.allow_outside,
        progress=request.progress,
    )
    result: Result = {"disk": disk, "freed": gain}
    if request.trim:
        result["volumes"] = [outcome.as_dict() for outcome in outcomes]
    if not gain:
        return nothing_to_do(_sizes(disk), result)
    require_writable(folder_of(request.path))
    with held_link(request.path, request.access.allow_outside):
        pass  # whatever forbids it is told now, in check mode too

    def apply() -> Result:
        if request.trim and gain >= _WORTH_A_TRIM:
            return _trim_and_shrink(request)
        freed = _shrink(request)
        return {**result, "changed": freed > 0, "disk": _inspected(request), "freed": freed}

    after = {"allocated": max(0, disk["allocated"] - gain)}
    return Plan(before=_sizes(disk), after=after, result=result, apply=apply)


def _sizes(disk: Result) -> Result:
    return {"allocated": disk["allocated"]}


def _inspected_for_trim(
    request: CompactRequest,
) -> tuple[Result, list[tuple[int, int]], list[Trimmed]]:
    """The disk, what trimming would free, and what became of each volume."""
    with work_place(os.path.realpath(request.path)) as place:
        disk = _inspected(request)
        refuse_with_children(request.path, "trim")  # it changes what they inherit
        return (disk, *find_free(place, _opener(request, writable=False)))


def _opener(request: CompactRequest, *, writable: bool) -> Callable[[], BlockDevice]:
    """Opens the disk in the process that serves it to the kernel."""
    return lambda: request.access.open(request.path, writable=writable)


def _trim_and_shrink(request: CompactRequest) -> Result:
    before = _space(request)
    with work_place(os.path.realpath(request.path)) as place:
        outcomes = trim(place, _opener(request, writable=True))
    _shrink(request)
    after = _space(request)
    return {
        "disk": _inspected(request),
        "freed": max(0, *(old - new for old, new in zip(before, after, strict=True))),
        "volumes": [outcome.as_dict() for outcome in outcomes],
    }


def _shrink(request: CompactRequest) -> int:
    outside = request.access.allow_outside
    return shrink(request.path, allow_outside=outside, progress=request.progress)


def _space(request: CompactRequest) -> tuple[int, int]:
    """Bytes of all files of the disk, and bytes that they take."""
    with open_disk(request.path, allow_outside=request.access.allow_outside) as disk:
        found = [os.stat(path) for path in disk.files()]
    return sum(each.st_size for each in found), sum(each.st_blocks * 512 for each in found)
