# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Any disk to any disk: what clone and restore have in common."""

from __future__ import annotations

import os
import typing as t

from .._device.compare import compare
from .._device.errors import DigestMismatch, DiskExists, InvalidRequest
from .._device.slice import SliceDevice
from .._device.transfer import Transfer
from .._transport.datastore import TRANSPORT, DatastoreDevice
from .._transport.nbd.client import TRANSPORT as NBD
from .._transport.nbd.client import NbdDevice
from .._transport.reference import Road
from .._vmdk.descriptor.types import CREATABLE_TYPES, MONOLITHIC_SPARSE
from .._vmdk.extents.header import SECTOR
from .._vmdk.opening.disk import Disk
from .facts import is_point, recorded_facts
from .inspect_disk import inspect
from .plan import Plan, Result, nothing_to_do
from .space import space_needed
from .spec import disk_spec, refuse_managed_type
from .target import Target, check, exists, has_fixed_size, refuse_own_files, write

if t.TYPE_CHECKING:
    from .._transport.reference import Reference
    from .._vmdk.extents.layout import DiskSpec
    from .access import AnyDisk
    from .requests import CopyRequest


def plan_copy(request: CopyRequest) -> Plan:
    """Compare with what is there; write only if it differs. Raises DiskExists without force."""
    if request.access.is_managed(request.dest):
        # Imported here, as it needs what plain disks do not.
        from .managed import copy as managed_copy

        return managed_copy.plan_copy_to_managed(request)
    refuse_managed_type(request.disk_type)
    dest = request.access.parse(request.dest)
    there = exists(dest)
    _check_type(request, dest)
    with request.access.open(request.src) as source:
        refuse_own_files(source, dest.text)
        target = Target(dest, _spec(request, source, dest), replace=request.force)
        before: Result = {}
        if there:
            with request.access.open(request.dest) as present:
                before = inspect(present)
                difference = _difference(source, present, target, request.disk_type)
            if difference is None:
                return nothing_to_do(before, {"disk": before})
            if not request.force:
                raise DiskExists(
                    f"is there already, and {difference}",
                    path=dest.text,
                    hint=f"Use force: true to replace it with the content of {request.src}.",
                )
        needed = space_needed(source, target)
    return _plan_write(request, target, before, needed)


def _check_type(request: CopyRequest, dest: Reference) -> None:
    if request.disk_type is not None and dest.road is not Road.VMDK:
        raise InvalidRequest(
            f"disk_type {request.disk_type} is for disks whose name ends in .vmdk",
            path=dest.text,
            hint="Give dest such a name, or leave disk_type out to get a raw disk.",
        )


def _spec(request: CopyRequest, source: AnyDisk, dest: Reference) -> DiskSpec:
    """The disk to make: what the user says, else what the source is."""
    own = inspect(source) if isinstance(source, DatastoreDevice) else recorded_facts(source)
    disk_type = request.disk_type or own.get("disk_type")
    if disk_type not in CREATABLE_TYPES:
        disk_type = MONOLITHIC_SPARSE
    metadata = dict(own.get("metadata", {}))
    if not is_point(source):
        metadata.pop("uuid", None)  # a clone is another disk, a restored one the same
    return disk_spec(
        size_at(source, dest),
        disk_type,
        adapter_type=own.get("adapter_type"),
        hw_version=own.get("hw_version"),
        metadata=metadata,
    )


def size_at(source: AnyDisk, dest: Reference) -> int:
    """A VMDK consists of whole sectors; a raw file may end anywhere."""
    return -(-source.size // SECTOR) * SECTOR if dest.road is Road.VMDK else source.size


def _difference(
    source: AnyDisk, present: AnyDisk, target: Target, wanted: str | None
) -> str | None:
    """In words; None if the disk that is there is what is asked for."""
    if isinstance(present, Disk) and wanted not in (None, present.disk_type):
        return f"of type {present.disk_type}, not {wanted}"
    if isinstance(present, Disk) and len(present.links) > 1:
        return f"a child, which needs its parent {present.links[1].path}"
    if present.size != target.spec.size and not has_fixed_size(target.reference):
        return f"has {present.size} bytes, not {target.spec.size}"
    if present.size < source.size:
        return f"with {present.size} bytes too small for {source.size}"
    offset = compare(source, SliceDevice(present, 0, source.size))
    return None if offset is None else f"differs from the source from byte {offset} on"


def _plan_write(request: CopyRequest, target: Target, before: Result, needed: int) -> Plan:
    check(target)

    def apply() -> Result:
        with request.access.open(request.src) as source:
            transfer = write(source, target, request.progress, os.path.basename(request.dest))
            transfer.transport, transfer.transport_reason = _road(source, target)
            with request.access.open(request.dest) as copied:
                if request.verify:
                    verify_copy(source, copied)
                done = {"disk": inspect(copied), "transfer": transfer.as_dict()}
                return {**done, "space_needed": needed}

    after = target.facts()
    result = {"disk": after, "space_needed": needed}
    return Plan(before=before, after=after, result=result, apply=apply)


def _road(source: AnyDisk, target: Target) -> tuple[str, str]:
    """By what the bytes came or went, and why."""
    if isinstance(source, DatastoreDevice):
        return TRANSPORT, "read over HTTPS"
    if isinstance(source, NbdDevice):
        return NBD, "read from an NBD server"
    if target.reference.road is Road.NBD:
        return NBD, "written to an NBD server"
    return Transfer.transport, Transfer.transport_reason


def verify_copy(source: AnyDisk, copied: AnyDisk) -> None:
    """Raises DigestMismatch."""
    offset = compare(source, SliceDevice(copied, 0, source.size))
    if offset is not None:
        raise DigestMismatch(
            "the copy differs from the source",
            path=copied.name,
            offset=offset,
            hint="Do not use the copy. Check memory and storage of this host.",
        )
