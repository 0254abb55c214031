# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A managed disk of one type becomes one of another."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest, UnsupportedDisk
from ..._device.transfer import Transfer
from ..._vsphere.disks.disks import VirtualDisks, cannot
from ..plan import Plan, nothing_to_do
from .copy import SERVER, SERVER_REASON, adapter_of
from .create import check_type
from .describe import EAGER, THICK, THIN
from .work import (
    ManagedDisk,
    label_of,
    note_eager,
    percentages,
    refuse_used,
    replace,
    require,
    settled,
)

if t.TYPE_CHECKING:
    from ..._vsphere.disks.paths import Place
    from ..convert_disk import ConvertRequest
    from ..plan import Result


def plan_convert(request: ConvertRequest) -> Plan:
    """Nothing to do for a disk of that type without a parent."""
    check_type(request.disk_type)
    if request.compression_level is not None:
        raise InvalidRequest("compression_level is for streamOptimized disks only")
    return settled(request.access, request.path, lambda disk: _plan(request, disk))


def _plan(request: ConvertRequest, disk: ManagedDisk) -> Plan:
    require(disk)
    before = disk.describe()
    if before["disk_type"] == request.disk_type and len(before["chain"]) == 1:
        return nothing_to_do(before, {"disk": before})
    refuse_used(disk, "convert it")
    kept = {key: before[key] for key in ("path", "size", "uuid", "adapter_type", "hw_version")}
    after: Result = {**kept, "disk_type": request.disk_type, "chain": [before["path"]]}

    def apply() -> Result:
        done = Transfer(
            bytes_total=before["size"], transport=SERVER, transport_reason=SERVER_REASON
        )
        hears = percentages(request.progress, label_of(disk.place), before["size"])
        disks = VirtualDisks(disk.session, hears)
        if not _zeroed_in_place(request, disk, disks, before):
            _copied(request, disk, disks, before)
        request.progress.finish()
        return {"disk": disk.describe(), "transfer": done.finish().as_dict()}

    return Plan(before=before, after=after, result={"disk": after}, apply=apply)


def _zeroed_in_place(
    request: ConvertRequest, disk: ManagedDisk, disks: VirtualDisks, before: Result
) -> bool:
    """Whether vSphere could do it to the disk itself, which holds its content all the while."""
    ways = {THIN: disks.inflate, THICK: disks.eager_zero}
    if request.disk_type != EAGER or before["disk_type"] not in ways:
        return False
    try:
        ways[before["disk_type"]](disk.place)
    except UnsupportedDisk as error:
        if cannot(error):
            return False
        raise
    note_eager(disk, disk.place)
    return True


def _copied(
    request: ConvertRequest, disk: ManagedDisk, disks: VirtualDisks, before: Result
) -> None:
    """The old disk stays whole until the new one is complete."""

    def make(place: Place) -> None:
        disks.copy(disk.place, place, request.disk_type, adapter_of(before))
        if before["uuid"]:
            disks.set_uuid(place, before["uuid"])  # the same disk, so the same uuid
        if request.disk_type == EAGER:
            note_eager(disk, place)

    replace(disk, make)
