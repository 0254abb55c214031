# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Bytes of a managed disk are read, never written; of its data base, the uuid is set."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest, ReadOnlyDisk
from ..._vmdk.life.metadata import canonical_uuid
from ..._vsphere.disks.disks import VirtualDisks
from ..fetch import fetch, read_bytes
from ..plan import Plan
from .checks import refuse_keys
from .describe import with_new_uuid
from .work import ManagedDisk, refuse_child, refuse_used, require, settled, told

if t.TYPE_CHECKING:
    from ..plan import Result
    from ..requests import EditRequest


def plan_edit(request: EditRequest) -> Plan:
    """Raises ReadOnlyDisk for bytes to write, InvalidRequest for other keys than the uuid."""
    if request.writes:
        raise ReadOnlyDisk(
            "the content of a managed disk cannot be changed in place",
            path=request.path,
            hint="Clone it to a file on this host, change that, and clone it back.",
        )
    refuse_keys([*request.metadata, *(f"{key} (to remove)" for key in request.remove_metadata)])
    return settled(request.access, request.path, lambda disk: _plan(request, disk))


def _plan(request: EditRequest, disk: ManagedDisk) -> Plan:
    require(disk)
    before = disk.describe()
    with disk.device() as device:
        result, stale = read_bytes(request, device)
    uuid = _new_uuid(request, before)
    if uuid is None and not stale:
        return Plan(before, before, {"disk": before, "bytes_written": 0, **result})
    after, warnings = dict(before), list[str]()
    if uuid is not None:
        refuse_child(before, "change its uuid")
        refuse_used(disk, "change its uuid")
        after, warnings = with_new_uuid(before, uuid)
    result = {**result, **told(warnings)}

    def apply() -> Result:
        if stale:
            fetch(request)
        if uuid is not None:
            VirtualDisks(disk.session).set_uuid(disk.place, uuid)
        return {"disk": disk.describe(), "bytes_written": 0, **result}

    return Plan(before, after, {"disk": after, **result}, apply)


def _new_uuid(request: EditRequest, before: Result) -> str | None:
    """As far as it differs."""
    named = [*request.metadata.values(), *([request.uuid] if request.uuid else [])]
    wanted = {canonical_uuid(text).lower(): canonical_uuid(text) for text in named}
    if len(wanted) > 1:
        raise InvalidRequest("metadata and uuid name two uuids", path=request.path)
    same = str(before["uuid"]).lower()
    return next((uuid for folded, uuid in wanted.items() if folded != same), None)
