# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Any disk to a managed disk: within vSphere where both are there, else by upload."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.compare import compare
from ..._device.errors import DigestMismatch, DiskExists, InvalidRequest, UnsupportedDisk
from ..._device.slice import SliceDevice
from ..._device.transfer import Transfer
from ..._transport.datastore import (
    DatastoreDevice,
    plain_extent,
    refuse_filtered,
    refuse_running,
    upload,
)
from ..._vmdk.life.metadata import canonical_uuid
from ..._vsphere.disks.disks import KIB, keeps_objects
from ..facts import is_point, recorded_facts
from ..plan import Plan, nothing_to_do
from ..spec import MANAGED_TYPES
from .checks import ADAPTERS, check_type
from .describe import EAGER, THICK, THIN, describe_managed
from .replace import replace
from .same_content import difference, is_readable, note_origin
from .work import ManagedDisk, label_of, percentages, refuse_used, settled, told

if t.TYPE_CHECKING:
    from ..access import AnyDisk
    from ..plan import Result
    from ..requests import CopyRequest
    from .site import Site

SERVER, SERVER_REASON = "vsphere", "copied by vSphere itself"


def plan_copy_to_managed(
    request: CopyRequest, *, owner: str | None = None, facts: Result | None = None
) -> Plan:
    """Compare with what is there; write only if it differs. Raises DiskExists without force.

    owner: the id of a machine that is off, whose disk this is. facts: of the source, where it does
    not have them itself.
    """
    check_type(request.disk_type)

    def make(disk: ManagedDisk) -> Plan:
        return _plan(request, dataclasses.replace(disk, owner=owner), facts or {})

    return settled(request.access, request.dest, make)


def _plan(request: CopyRequest, disk: ManagedDisk, facts: Result) -> Plan:
    before: Result = {}
    with request.access.open(request.src) as source:
        _refuse_itself(source, disk)
        if isinstance(source, DatastoreDevice):
            refuse_running(source.session, source.place, source.descriptor)
            own = describe_managed(source)
        else:
            own = {"size": source.size, **recorded_facts(source), **facts}
        if _is_the_same(source, disk):
            own["uuid"] = _recorded_uuid(own)
        size = -(-source.size // KIB) * KIB
        disk_type = request.disk_type or _own_type(own)
        if disk.is_there:
            before = disk.describe()
            if disk.owner is not None:  # its machine would not know a disk in the clear for its own
                with disk.device() as present:
                    refuse_filtered(present.name, present.descriptor)
            why = _why_not(request, source, own, disk, before, size)
            if why is None:
                return nothing_to_do(before, {"disk": before})
            _refuse_to_replace(request, disk, why)
        _refuse_unreadable(request, source, disk)
    after: Result = {"path": str(disk.place), "disk_type": disk_type, "size": size}
    needed: Result = {"space_needed": _space(own) if disk_type == THIN else size}

    def apply() -> Result:
        return {**_copy(request, disk, own, disk_type), "disk": disk.describe(), **needed}

    return Plan(before=before, after=after, result={"disk": after, **needed}, apply=apply)


def _refuse_itself(source: AnyDisk, disk: ManagedDisk) -> None:
    if isinstance(source, DatastoreDevice) and source.place == disk.place:
        raise InvalidRequest("is the source itself", path=str(disk.place))


def _is_the_same(source: AnyDisk, disk: ManagedDisk) -> bool:
    """A clone is another disk; a restored one, or that of a machine with new content, the same."""
    return is_point(source) or disk.owner is not None


def _own_type(own: Result) -> str:
    """That of a managed source; else what an upload makes."""
    found = own.get("disk_type")
    return found if found in MANAGED_TYPES else THICK


def _recorded_uuid(own: Result) -> str | None:
    """As vSphere wants to have it. Raises InvalidRequest."""
    uuid = own.get("metadata", {}).get("uuid")
    return canonical_uuid(uuid) if uuid else None


def _space(own: Result) -> int:
    size: int = own["size"]
    return min(size, own.get("allocated") or size)


def _why_not(
    request: CopyRequest,
    source: AnyDisk,
    own: Result,
    disk: ManagedDisk,
    before: Result,
    size: int,
) -> str | None:
    """In words; None if the disk that is there is what is asked for."""
    if request.disk_type not in (None, before["disk_type"]):
        return f"of type {before['disk_type']}, not {request.disk_type}"
    if len(before["chain"]) > 1:
        return f"a redo log, which needs its parent {before['chain'][1]}"
    if before["size"] != size:
        return f"has {before['size']} bytes, not {size}"
    with disk.device() as present:
        return difference(source, own, present)


def _refuse_to_replace(request: CopyRequest, disk: ManagedDisk, why: str) -> None:
    if not request.force:
        raise DiskExists(
            f"is there already, and {why}",
            path=str(disk.place),
            hint=f"Use force: true to replace it with the content of {request.src}.",
        )
    refuse_used(disk, "replace it")


def _refuse_unreadable(request: CopyRequest, source: AnyDisk, disk: ManagedDisk) -> None:
    """Raises UnsupportedDisk for what would end in an error when the work is done."""
    objects = keeps_objects(disk.session, disk.place)
    if objects and not isinstance(source, DatastoreDevice):
        raise UnsupportedDisk(
            "nothing can be sent to this datastore: it keeps disks as objects and not as files",
            path=str(disk.place),
            hint="Clone it to a VMFS or NFS datastore first, and from there to this one.",
        )
    if request.verify and (objects or not is_readable(source)):
        raise UnsupportedDisk(
            "the copy could not be verified: vSphere alone can read "
            + ("what is on that datastore" if objects else "the source"),
            path=str(disk.place) if objects else source.name,
            hint="Leave out verify. What vSphere copies does not leave its storage.",
        )


def _copy(request: CopyRequest, disk: ManagedDisk, own: Result, disk_type: str) -> Result:
    """The new disk is verified before it takes the place of what is there."""
    done = Transfer()
    with request.access.open(request.src) as source:

        def make(site: Site) -> None:
            nonlocal done
            if isinstance(source, DatastoreDevice):
                done = _within(request, site, source, own)
            else:
                done = _upload(request, site, source, own, disk_type)
            if disk_type == EAGER:
                site.note_eager(site.new)
            if request.verify:
                _verify(source, site)

        warnings = replace(disk, make)
    return {"transfer": done.as_dict(), **told(warnings)}


def _within(request: CopyRequest, site: Site, source: DatastoreDevice, own: Result) -> Transfer:
    """vSphere copies. A type is named only where it changes: not every vCenter can do that."""
    changes = request.disk_type not in (None, own["disk_type"])
    disk_type = request.disk_type if changes else None
    done = Transfer(bytes_total=source.size, transport=SERVER, transport_reason=SERVER_REASON)
    hears = percentages(request.progress, label_of(site.disk.place), source.size)
    site.copy(source.place, site.new, disk_type, adapter_of(own), hears)
    note_origin(site, site.new, source, own)
    request.progress.finish()
    return done.finish()


def _upload(
    request: CopyRequest, site: Site, source: AnyDisk, own: Result, disk_type: str
) -> Transfer:
    """What is sent is thick. For another type vSphere copies it once more."""
    size = -(-source.size // KIB) * KIB
    sent = site.new if disk_type == THICK else site.sent
    site.create(sent, size, THICK, adapter_of(own))
    extent = sent.named(plain_extent(str(sent), site.device(sent).descriptor))
    done = upload(
        source, site.disk.files, extent, size, request.progress, lambda: site.require(sent)
    )
    if sent != site.new:
        site.copy(sent, site.new, disk_type, adapter_of(own))
        site.delete(sent)
    if _is_the_same(source, site.disk) and own["uuid"]:
        site.set_uuid(site.new, own["uuid"])
    return done


def adapter_of(own: Result) -> str:
    """Of the disk to make. VMware writes lsilogic for all that is neither of the others."""
    adapter = str(own.get("adapter_type") or "").lower()
    return adapter if adapter in ADAPTERS else "lsilogic"


def _verify(source: AnyDisk, site: Site) -> None:
    with site.device(site.new) as copied:
        offset = compare(source, SliceDevice(copied, 0, source.size))
    if offset is not None:
        raise DigestMismatch(
            "the copy differs from the source, and was deleted again",
            path=str(site.disk.place),
            offset=offset,
            hint="Check the storage of the datastore, and the memory of this host.",
        )
