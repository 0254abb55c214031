# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Any disk to any disk: what clone and restore have in common."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._device.compare import compare
from .._device.errors import DigestMismatch, DiskExists, InvalidRequest
from .._device.progress import Silent
from .._device.slice import SliceDevice
from .._transport.reference import is_block_device
from .._vmdk.disk import Disk
from .._vmdk.types import CREATABLE_TYPES, MONOLITHIC_SPARSE
from .inspect_disk import disk_type_of, inspect, is_point
from .plan import Plan, Result, nothing_to_do
from .spec import disk_spec
from .target import Target, exists, write

if t.TYPE_CHECKING:
    from .._device.progress import Progress
    from .._transport.reference import Reference
    from .._vmdk.layout import DiskSpec
    from .access import Access, AnyDisk


@dataclasses.dataclass(frozen=True)
class CopyRequest:
    """Make `dest` a disk with the content of `src`."""

    src: str
    dest: str
    access: Access
    disk_type: str | None = None
    force: bool = False
    verify: bool = False
    progress: Progress = dataclasses.field(default_factory=Silent)


def plan_copy(request: CopyRequest) -> Plan:
    """Compare with what is there; write only if it differs. Raises DiskExists without force."""
    dest = request.access.parse(request.dest)
    there = exists(dest)
    with request.access.open(request.src) as source:
        _refuse_own_chain(source, dest)
        target = Target(dest, _spec(request, source), replace=request.force)
        if not there:
            return _plan_write(request, target, before={})
        with request.access.open(request.dest) as present:
            before = inspect(present)
            difference = _difference(request, source, present)
    if difference is None:
        return nothing_to_do(before, {"disk": before})
    if not request.force:
        raise DiskExists(
            f"is there already, and {difference}",
            path=dest.text,
            hint=f"Use force: true to replace it with the content of {request.src}.",
        )
    return _plan_write(request, target, before)


def _refuse_own_chain(source: AnyDisk, dest: Reference) -> None:
    """A disk must not be replaced by a copy of itself or of its child."""
    chain = [link.path for link in source.links] if isinstance(source, Disk) else [source.name]
    for path in chain:
        if os.path.exists(path) and os.path.exists(dest.text) and os.path.samefile(path, dest.text):
            raise InvalidRequest("is the source itself or one of its parents", path=dest.text)


def _spec(request: CopyRequest, source: AnyDisk) -> DiskSpec:
    """The disk to make: what the user says, else what the source is."""
    own = recorded_facts(source)
    disk_type = request.disk_type or own.get("disk_type")
    if disk_type not in CREATABLE_TYPES:
        disk_type = MONOLITHIC_SPARSE
    metadata = dict(own.get("metadata", {}))
    if not is_point(source):
        metadata.pop("uuid", None)  # a clone is another disk, a restored one the same
    return disk_spec(
        source.size,
        disk_type,
        adapter_type=own.get("adapter_type"),
        hw_version=own.get("hw_version"),
        metadata=metadata,
    )


def recorded_facts(source: AnyDisk) -> Result:
    """What is known of the disk that `source` is, or that it was backed up from."""
    return dict(source.facts) if is_point(source) else inspect(source)


def _difference(request: CopyRequest, source: AnyDisk, present: AnyDisk) -> str | None:
    """In words; None if the disk that is there is what is asked for."""
    wanted = request.disk_type if isinstance(present, Disk) else None
    if wanted is not None and disk_type_of(present) != wanted:
        return f"of type {disk_type_of(present)}, not {wanted}"
    if present.size != source.size and not is_block_device(request.dest):
        return f"has {present.size} bytes, the source {source.size}"
    if present.size < source.size:
        return f"with {present.size} bytes too small for {source.size}"
    content = SliceDevice(present, 0, source.size)
    offset = compare(source, content)
    return None if offset is None else f"differs from the source from byte {offset} on"


def _plan_write(request: CopyRequest, target: Target, before: Result) -> Plan:
    def apply() -> Result:
        with request.access.open(request.src) as source:
            transfer = write(source, target, request.progress, os.path.basename(request.dest))
            with request.access.open(request.dest) as copied:
                if request.verify:
                    _verify(source, copied)
                return {"disk": inspect(copied), "transfer": transfer.as_dict()}

    after = target.facts()
    return Plan(before=before, after=after, result={"disk": after}, apply=apply)


def _verify(source: AnyDisk, copied: AnyDisk) -> None:
    """Raises DigestMismatch."""
    offset = compare(source, SliceDevice(copied, 0, source.size))
    if offset is not None:
        raise DigestMismatch(
            "the copy differs from the source",
            path=copied.name,
            offset=offset,
            hint="Do not use the copy. Check memory and storage of this host.",
        )
