# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Less and better ordered space for a managed disk, as far as vSphere does that."""

from __future__ import annotations

import contextlib
import typing as t

from ..._device.device import read
from ..._device.errors import DiskInUse, InvalidRequest, UnsupportedDisk
from ..._device.extent import Extent, Kind, pieces
from ..._device.pipeline import ordered_map
from ..._device.zeros import is_zero
from ..._transport.datastore import refuse_running
from ..._vsphere.disks.disks import VirtualDisks, cannot
from ..plan import Plan, nothing_to_do
from ..spec import MANAGED_TYPES
from .describe import THIN
from .work import ManagedDisk, label_of, percentages, require, settled

if t.TYPE_CHECKING:
    from ..plan import Result
    from ..requests import CompactRequest

_BLOCK = 1 << 20  # what VMFS gives files


# Defragment


def plan_defragment(request: CompactRequest) -> Plan:
    """Nothing to do for thin and thick disks, which are one file in order, and where vSphere says
    that nothing is out of place."""
    return settled(request.access, request.path, lambda disk: _plan_defragment(request, disk))


def _plan_defragment(request: CompactRequest, disk: ManagedDisk) -> Plan:
    require(disk)
    before = disk.describe()
    percent = 0 if before["disk_type"] in MANAGED_TYPES else _fragmentation(disk)
    numbers = {"before": _numbers(before, percent), "after": _numbers(before, percent)}
    if not percent:
        return nothing_to_do(numbers["before"], {"disk": before, "fragmentation": numbers})
    _refuse_running(disk)
    forecast = {**numbers, "after": _numbers(before, 0)}

    def apply() -> Result:
        with _one_message("defragment"):
            VirtualDisks(disk.session, _hears(request, disk, before)).defragment(disk.place)
        request.progress.finish()
        after, left = disk.describe(), _fragmentation(disk)
        done = {"before": numbers["before"], "after": _numbers(after, left)}
        return {"changed": left != percent, "disk": after, "fragmentation": done}

    result: Result = {"disk": before, "fragmentation": forecast}
    return Plan(forecast["before"], forecast["after"], result, apply)


def _fragmentation(disk: ManagedDisk) -> int:
    with _one_message("defragment"):
        return VirtualDisks(disk.session).fragmentation(disk.place)


def _numbers(described: Result, percent: int) -> Result:
    """vSphere tells no grains, but how much of the disk is out of place."""
    size = described["allocated"]
    return {"grains": None, "fragments": None, "file_size": size, "percent": percent}


# Shrink


def plan_shrink(request: CompactRequest) -> Plan:
    """Nothing to do for a disk that is not thin: it keeps all its space."""
    if request.trim:
        raise InvalidRequest(
            "trim is for disks in files of a host",
            path=request.path,
            hint="Run fstrim in the guest before it is switched off, and shrink without trim.",
        )
    return settled(request.access, request.path, lambda disk: _plan_shrink(request, disk))


def _plan_shrink(request: CompactRequest, disk: ManagedDisk) -> Plan:
    require(disk)
    before = disk.describe()
    if before["disk_type"] != THIN:
        return nothing_to_do(_sizes(before), {"disk": before, "freed": 0})
    _refuse_running(disk)

    def apply() -> Result:
        with _one_message("shrink"):
            VirtualDisks(disk.session, _hears(request, disk, before)).shrink(disk.place)
        request.progress.finish()
        after = disk.describe()
        freed = max(0, (before["allocated"] or 0) - (after["allocated"] or 0))
        return {"changed": freed > 0, "disk": after, "freed": freed}

    def predict() -> bool:
        return _content(disk) < (before["allocated"] or 0)

    result: Result = {"disk": before, "freed": None}
    return Plan(_sizes(before), {"allocated": None}, result, apply, predict)


def _content(disk: ManagedDisk) -> int:
    """Bytes of the blocks that are not all zeros: what a thin disk takes at least."""
    with disk.device() as device:

        def taken(run: Extent) -> int:
            data = read(device, run.offset, run.length)
            return 0 if is_zero(data, 0, run.length) else run.length

        runs = pieces([Extent(0, device.size, Kind.DATA)], _BLOCK)
        return sum(ordered_map(taken, runs))


def _sizes(described: Result) -> Result:
    return {"allocated": described["allocated"]}


def _refuse_running(disk: ManagedDisk) -> None:
    try:
        refuse_running(disk.session, disk.place, disk.device().descriptor)
    except DiskInUse as error:
        error.hint = "Do it while the machine is off, or once the disk is detached."
        raise


def _hears(request: CompactRequest, disk: ManagedDisk, before: Result) -> t.Callable[[int], None]:
    return percentages(request.progress, label_of(disk.place), before["size"])


@contextlib.contextmanager
def _one_message(what: str) -> t.Iterator[None]:
    try:
        yield
    except UnsupportedDisk as error:
        if cannot(error):
            error.hint = (
                f"This server does not {what} disks on its datastores. What always works: clone it"
                " to a new disk with vmdk_clone."
            )
        raise
