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
from .checks import check_type
from .copy import SERVER, SERVER_REASON, adapter_of
from .describe import EAGER, NOT_NOTED, THICK, THIN
from .replace import replace
from .work import ManagedDisk, label_of, percentages, refuse_used, require, settled, told

if t.TYPE_CHECKING:
    from ..._vsphere.disks.disks import Hears
    from ..plan import Result
    from ..requests import ConvertRequest
    from .site import Site


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
        warnings = _converted(request, disk, before, hears)
        request.progress.finish()
        result = {"disk": disk.describe(), "transfer": done.finish().as_dict()}
        return {**result, **told(warnings)}

    return Plan(before=before, after=after, result={"disk": after}, apply=apply)


def _converted(
    request: ConvertRequest, disk: ManagedDisk, before: Result, hears: Hears
) -> list[str]:
    """Returns warnings. A disk that cannot be copied into another type may still be zeroed."""
    try:
        return replace(disk, lambda site: _copy(request, site, before, hears))
    except UnsupportedDisk as error:
        ways = {THIN: VirtualDisks.inflate, THICK: VirtualDisks.eager_zero}
        way = ways.get(before["disk_type"])
        if request.disk_type != EAGER or way is None or not cannot(error):
            raise
        way(VirtualDisks(disk.session, hears), disk.place)
        return [NOT_NOTED]


def _copy(request: ConvertRequest, site: Site, before: Result, hears: Hears) -> None:
    """The old disk stays whole until the new one is complete."""
    site.copy(site.disk.place, site.new, request.disk_type, adapter_of(before), hears)
    if before["uuid"]:
        site.set_uuid(site.new, before["uuid"])  # the same disk, so the same uuid
    if request.disk_type == EAGER:
        site.note_eager(site.new)
