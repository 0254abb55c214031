# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Any disk to a managed disk: within vSphere where both are there, else by upload."""

from __future__ import annotations

import typing as t

from ..._device.compare import compare
from ..._device.errors import DigestMismatch, DiskExists, InvalidRequest
from ..._device.slice import SliceDevice
from ..._device.transfer import Transfer
from ..._transport.datastore import DatastoreDevice, plain_extent, refuse_running, upload
from ..._vmdk.life.metadata import canonical_uuid
from ..._vsphere.disks.disks import KIB, VirtualDisks
from ..copy_disk import recorded_facts
from ..inspect_disk import is_point
from ..plan import Plan, nothing_to_do
from ..spec import MANAGED_TYPES
from .create import ADAPTERS, check_type
from .describe import EAGER, THICK, describe_managed
from .work import ManagedDisk, label_of, note_eager, percentages, refuse_used, replace, settled

if t.TYPE_CHECKING:
    from ..._vsphere.disks.paths import Place
    from ..access import AnyDisk
    from ..copy_disk import CopyRequest
    from ..plan import Result

SERVER, SERVER_REASON = "vsphere", "copied by vSphere itself"


def plan_copy_to_managed(request: CopyRequest) -> Plan:
    """Compare with what is there; write only if it differs. Raises DiskExists without force."""
    check_type(request.disk_type)
    return settled(request.access, request.dest, lambda disk: _plan(request, disk))


def _plan(request: CopyRequest, disk: ManagedDisk) -> Plan:
    before: Result = {}
    with request.access.open(request.src) as source:
        _refuse_itself(source, disk)
        if isinstance(source, DatastoreDevice):
            refuse_running(source.session, source.place, source.descriptor)
            own = describe_managed(source)
        else:
            own = recorded_facts(source)
        size = -(-source.size // KIB) * KIB
        disk_type = request.disk_type or _own_type(own)
        if disk.is_there:
            before = disk.describe()
            difference = _difference(request, source, disk, before, size)
            if difference is None:
                return nothing_to_do(before, {"disk": before})
            _refuse_to_replace(request, disk, difference)
    after: Result = {"path": str(disk.place), "disk_type": disk_type, "size": size}
    told: Result = {"space_needed": size} if disk_type != "thin" else {"space_needed": _space(own)}

    def apply() -> Result:
        transfer = _copy(request, disk, own, disk_type)
        return {"disk": disk.describe(), "transfer": transfer.as_dict(), **told}

    return Plan(before=before, after=after, result={"disk": after, **told}, apply=apply)


def _refuse_itself(source: AnyDisk, disk: ManagedDisk) -> None:
    if isinstance(source, DatastoreDevice) and source.place == disk.place:
        raise InvalidRequest("is the source itself", path=str(disk.place))


def _own_type(own: Result) -> str:
    """That of a managed source; else what an upload makes."""
    found = own.get("disk_type")
    return found if found in MANAGED_TYPES else THICK


def _space(own: Result) -> int:
    size: int = own["size"]
    return min(size, own.get("allocated") or size)


def _difference(
    request: CopyRequest, source: AnyDisk, disk: ManagedDisk, before: Result, size: int
) -> str | None:
    """In words; None if the disk that is there is what is asked for."""
    if request.disk_type not in (None, before["disk_type"]):
        return f"of type {before['disk_type']}, not {request.disk_type}"
    if len(before["chain"]) > 1:
        return f"a redo log, which needs its parent {before['chain'][1]}"
    if before["size"] != size:
        return f"has {before['size']} bytes, not {size}"
    with disk.device() as present:
        offset = compare(source, SliceDevice(present, 0, source.size))
    return None if offset is None else f"differs from the source from byte {offset} on"


def _refuse_to_replace(request: CopyRequest, disk: ManagedDisk, difference: str) -> None:
    if not request.force:
        raise DiskExists(
            f"is there already, and {difference}",
            path=str(disk.place),
            hint=f"Use force: true to replace it with the content of {request.src}.",
        )
    refuse_used(disk, "replace it")


def _copy(request: CopyRequest, disk: ManagedDisk, own: Result, disk_type: str) -> Transfer:
    """The new disk is verified before it takes the place of what is there."""
    done = Transfer()
    with request.access.open(request.src) as source:

        def make(place: Place) -> None:
            nonlocal done
            if isinstance(source, DatastoreDevice):
                done = _within(request, disk, source, place, own)
            else:
                done = _upload(request, disk, source, place, own, disk_type)
            if disk_type == EAGER:
                note_eager(disk, place)
            if request.verify:
                _verify(source, disk, place)

        replace(disk, make)
    return done


def _within(
    request: CopyRequest, disk: ManagedDisk, source: DatastoreDevice, place: Place, own: Result
) -> Transfer:
    """vSphere copies. A type is named only where it changes: not every vCenter can do that."""
    changes = request.disk_type not in (None, own["disk_type"])
    adapter = adapter_of(own)
    done = Transfer(bytes_total=source.size, transport=SERVER, transport_reason=SERVER_REASON)
    hears = percentages(request.progress, label_of(disk.place), source.size)
    disk_type = request.disk_type if changes else None
    VirtualDisks(disk.session, hears).copy(source.place, place, disk_type, adapter)
    request.progress.finish()
    return done.finish()


def _upload(
    request: CopyRequest,
    disk: ManagedDisk,
    source: AnyDisk,
    place: Place,
    own: Result,
    disk_type: str,
) -> Transfer:
    """What is sent is thick. For another type vSphere copies it once more."""
    size = -(-source.size // KIB) * KIB
    disks = VirtualDisks(disk.session)
    sent = place if disk_type == THICK else disk.sent
    disks.create(sent, size, THICK, adapter_of(own))
    extent = plain_extent(str(sent), disk.device(sent).descriptor)
    done = upload(source, disk.files, sent.named(extent), size, request.progress)
    if sent != place:
        disks.copy(sent, place, disk_type, adapter_of(own))
        disks.delete(sent)
    uuid = own.get("uuid")
    if is_point(source) and uuid:  # a clone is another disk, a restored one the same
        disks.set_uuid(place, canonical_uuid(uuid))
    return done


def adapter_of(own: Result) -> str:
    """Of the disk to make. VMware writes lsilogic for all that is neither of the others."""
    adapter = str(own.get("adapter_type") or "").lower()
    return adapter if adapter in ADAPTERS else "lsilogic"


def _verify(source: AnyDisk, disk: ManagedDisk, place: Place) -> None:
    with disk.device(place) as copied:
        offset = compare(source, SliceDevice(copied, 0, source.size))
    if offset is not None:
        raise DigestMismatch(
            "the copy differs from the source, and was deleted again",
            path=str(disk.place),
            offset=offset,
            hint="Check the storage of the datastore, and the memory of this host.",
        )
