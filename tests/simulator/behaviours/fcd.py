# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""First-class disks: vcsim keeps the catalogue; here they get content, and snapshots that hold it.

A snapshot is a full copy beside the disk, because vcsim's catalogue cannot be told of a new file:
what clients see (its content, its change id, what a revert brings back) is the same.
"""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING

from ..descriptors import as_ddb
from ..handlers import after, handles
from ..images import BLOCK, Disk
from ..soap import Call, Fault, Reply, Xml, markup, parse_reply, returnval, tag, task_reply
from ..tasks import result
from . import content, reconfigure
from .changes import invalid, page
from .inner import carry_out, wait_for
from .locks import holders_of, locked
from .machines import machine, new_uuid

if TYPE_CHECKING:
    from ..simulator import Simulator

MIB = 1 << 20
MANAGER = ("VcenterVStorageObjectManager", "VStorageObjectManager")
_KINDS = {"thin": content.THIN, "eagerZeroedThick": content.EAGER, "lazyZeroedThick": content.LAZY}


@dataclasses.dataclass
class Snapshot:
    disk: str  # id of the first-class disk
    path: str
    epoch: int  # the last one of the live image that is in it


class Snapshots:
    """By id."""

    def __init__(self, _simulator: Simulator) -> None:
        self.all: dict[str, Snapshot] = {}
        self.uuids: dict[str, str] = {}  # of the tracking of each disk


@after("Fetch")
def content_of_the_service(simulator: Simulator, call: Call, answer: Reply) -> Reply:
    """vcsim leaves the manager out here, for an old client's sake; vCenter does not."""
    if call.type != "ServiceInstance" or call.text("prop") != "content":
        return answer
    whole = simulator.upstream.call("RetrieveServiceContent", call.type, call.id)
    inside = [markup(each) for each in whole.findall("returnval/*")]
    return returnval(call, *inside, xsi="ServiceContent")


@after("CreateDisk_Task", "VslmCreateDisk_Task")
def created(simulator: Simulator, call: Call, answer: Reply) -> Reply:
    """vcsim has made an empty file; the client has not heard of it yet."""
    task = _task(answer)
    with contextlib.suppress(Fault):  # the client will find it in the task
        wait_for(simulator, task)
        made = simulator.upstream.properties("Task", task, "info.result")["info.result"]
        kind = _KINDS.get(call.text("spec/backingSpec/provisioningType"), content.THIN)
        size = int(made.findtext("config/capacityInMB", "0")) * MIB
        path = made.findtext("config/backing/filePath", "")
        image = content.create(simulator, path, size, kind)
        _mark(image, made.findtext("config/id/id", ""), call.text("spec/name"))
    return answer


@after("RegisterDisk")
def registered(simulator: Simulator, call: Call, answer: Reply) -> Reply:
    made = parse_reply(answer.body).find("returnval/config")
    if made is not None:
        image = simulator.images.open(made.findtext("backing/filePath", ""))
        _mark(image, made.findtext("id/id", ""), made.findtext("name", ""))
    return answer


def _mark(image: Disk, id: str, name: str) -> None:
    """vCenter notes in the descriptor that this is a first-class disk; copies keep the note."""
    base = image.layers[0]
    base.descriptor.database.update({"ddb.fcd.name": name, "ddb.fcd.uuid": as_ddb(id)})
    base.save()


@after("ExtendDisk_Task", "VslmExtendDisk_Task")
def extended(simulator: Simulator, call: Call, answer: Reply) -> Reply:
    with contextlib.suppress(Fault):
        wait_for(simulator, _task(answer))
        image = _image(simulator, call.text("id/id"))
        image.grow(int(call.text("newCapacityInMB")) * MIB)
        simulator.part(Snapshots).uuids.pop(call.text("id/id"), None)
    return answer


@handles("DeleteVStorageObject_Task")
def delete(simulator: Simulator, call: Call) -> Reply:
    id = call.text("id/id")

    def work() -> None:
        path = path_of(simulator, id)
        if holders_of(simulator, path):
            raise locked(path)
        arguments = _arguments(call)
        carry_out(simulator, call.method, call.type, call.id, *arguments)
        simulator.images.forget(path)
        with contextlib.suppress(OSError):
            simulator.images.delete(path)
        known = simulator.part(Snapshots).all
        for snapshot in [key for key, each in known.items() if each.disk == id]:
            simulator.images.delete(known.pop(snapshot).path)

    return task_reply(call, simulator.tasks.run(simulator.entity(call), call.method, work))


@after("VStorageObjectCreateSnapshot_Task")
def snapshot_created(simulator: Simulator, call: Call, answer: Reply) -> Reply:
    task = _task(answer)
    with contextlib.suppress(Fault):
        wait_for(simulator, task)
        made = simulator.upstream.properties("Task", task, "info.result")["info.result"]
        id, disk = made.findtext("id", ""), call.text("id/id")
        live = _image(simulator, disk)
        with simulator.images.lock:
            path = f"{live.path.removesuffix('.vmdk')}-{id}.vmdk"
            content.copy(simulator, live, path, content.THIN)
            simulator.part(Snapshots).all[id] = Snapshot(disk, path, live.epoch)
            live.mark()
    return answer


@handles("DeleteSnapshot_Task")
def snapshot_deleted(simulator: Simulator, call: Call) -> Reply:
    def work() -> None:
        carry_out(simulator, call.method, call.type, call.id, *_arguments(call))
        gone = simulator.part(Snapshots).all.pop(call.text("snapshotId/id"), None)
        if gone is not None:
            simulator.images.delete(gone.path)

    return task_reply(call, simulator.tasks.run(simulator.entity(call), call.method, work))


@handles("RevertVStorageObject_Task")
def reverted(simulator: Simulator, call: Call) -> Reply:
    def work() -> None:
        snapshot, id = _snapshot(simulator, call), call.text("id/id")
        live = _image(simulator, id)
        if any(holder.is_on for holder in holders_of(simulator, live.path)):
            raise locked(live.path)
        with simulator.images.lock:
            frozen = simulator.images.open(snapshot.path)
            for start in range(0, live.size, BLOCK):
                length = min(BLOCK, frozen.size - start)
                live.write(start, frozen.read(start, length).ljust(length, b"\0"))
        simulator.part(Snapshots).uuids.pop(id, None)

    return task_reply(call, simulator.tasks.run(simulator.entity(call), call.method, work))


@handles("RetrieveSnapshotDetails")
def snapshot_details(simulator: Simulator, call: Call) -> Reply:
    snapshot = _snapshot(simulator, call)
    change_id = f"{_uuid(simulator, snapshot.disk)}/{snapshot.epoch}"
    return returnval(call, tag("path", snapshot.path), tag("changedBlockTrackingId", change_id))


@handles("CreateDiskFromSnapshot_Task")
def disk_from_snapshot(simulator: Simulator, call: Call) -> Reply:
    def work() -> Xml:
        source = simulator.images.open(_snapshot(simulator, call).path)
        datastore = call.reference("datastore") or ("Datastore", "")
        backing = tag(
            "backingSpec",
            tag("datastore", datastore[1], type="Datastore"),
            xsi="VslmCreateSpecDiskFileBackingSpec",
        )
        size = tag("capacityInMB", source.size // MIB)
        spec = tag("spec", tag("name", call.text("name")), backing, size)
        id = carry_out(simulator, "CreateDisk_Task", *MANAGER, spec, found="config/id/id")
        path = path_of(simulator, id)
        _mark(content.copy(simulator, source, path, content.THIN), id, call.text("name"))
        return result(id)

    return task_reply(call, simulator.tasks.run(simulator.entity(call), call.method, work))


@handles("VstorageObjectVCenterQueryChangedDiskAreas")
def changed_areas(simulator: Simulator, call: Call) -> Reply:
    snapshot, start = _snapshot(simulator, call), int(call.text("startOffset", "0"))
    live = _image(simulator, snapshot.disk)
    if not 0 <= start < live.size:
        raise invalid("startOffset")
    uuid, _slash, number = call.text("changeId").rpartition("/")
    if uuid != _uuid(simulator, snapshot.disk) or int(number or 0) > snapshot.epoch:
        raise Fault("FileFault", "Error caused by file", tag("file", snapshot.path))
    changed = live.changed_since(int(number) + 1, until=snapshot.epoch + 1)
    return returnval(call, page(simulator, list(changed.areas(live.size)), start, live.size))


@handles("AttachDisk_Task")
def attach(simulator: Simulator, call: Call) -> Reply:
    target, id = machine(simulator, call.id), call.text("diskId/id")

    def work() -> None:
        disk = tag(
            "device",
            tag("key", -1),
            tag(
                "backing",
                tag("fileName", path_of(simulator, id)),
                tag("diskMode", "persistent"),
                xsi="VirtualDiskFlatVer2BackingInfo",
            ),
            tag("controllerKey", call.text("controllerKey") or 1000),
            tag("unitNumber", call.text("unitNumber")) if call.text("unitNumber") else None,
            tag("vDiskId", tag("id", id)),
            xsi="VirtualDisk",
        )
        reconfigure.changed(simulator, target, tag("operation", "add") + disk)
        carry_out(simulator, call.method, call.type, call.id, *_arguments(call))

    entity = ("VirtualMachine", call.id)
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


@handles("DetachDisk_Task")
def detach(simulator: Simulator, call: Call) -> Reply:
    target, id = machine(simulator, call.id), call.text("diskId/id")

    def work() -> None:
        path = path_of(simulator, id)
        found = [disk for disk in target.disks() if path in disk.chain()]
        if not found:
            raise invalid("diskId")
        device = tag("device", tag("key", found[0].key), xsi="VirtualDisk")
        reconfigure.changed(simulator, target, tag("operation", "remove") + device)
        carry_out(simulator, call.method, call.type, call.id, *_arguments(call))

    entity = ("VirtualMachine", call.id)
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


def path_of(simulator: Simulator, id: str) -> str:
    """Of the disk's file; a Fault where there is no such disk."""
    for datastore in simulator.upstream.all("Datastore", "name"):
        with contextlib.suppress(Fault):
            arguments = (tag("id", tag("id", id)), tag("datastore", datastore, type="Datastore"))
            found = simulator.upstream.call("RetrieveVStorageObject", *MANAGER, *arguments)
            return found.findtext("returnval/config/backing/filePath", "")
    raise Fault("NotFound", "The object or item referred to could not be found.")


def _image(simulator: Simulator, id: str) -> Disk:
    return simulator.images.open(path_of(simulator, id))


def _uuid(simulator: Simulator, id: str) -> str:
    return simulator.part(Snapshots).uuids.setdefault(id, new_uuid())


def _snapshot(simulator: Simulator, call: Call) -> Snapshot:
    found = simulator.part(Snapshots).all.get(call.text("snapshotId/id"))
    if found is None:
        raise invalid("snapshotId")
    return found


def _task(answer: Reply) -> str:
    return parse_reply(answer.body).findtext("returnval", "")


def _arguments(call: Call) -> list[Xml]:
    return [markup(each) for each in call.body if each.tag != "_this"]
