# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""QueryChangedDiskAreas, with all that clients get wrong about it (vsphere.md 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..handlers import handles, mode
from ..images import Bitmap, Layer
from ..soap import Call, Fault, Reply, Xml, returnval, tag
from .machines import Frozen, Machine, machine

if TYPE_CHECKING:
    from ..simulator import Simulator

mode("page", 2000)  # areas in one reply (CDI#3534)
mode("page_span", 0)  # bytes that one reply looks at, at most: then some have no areas at all
mode("drop_areas", 0)  # every so many areas one is missing, as on 6.0 (KB2136854)
mode("overhang", False)  # the last area ends where its 64 KiB block does, beyond the disk's end
mode("storage", "vmfs")  # when switched: how "*" is answered, whatever the datastore is

Area = tuple[int, int]  # (offset, length) in bytes


@handles("QueryChangedDiskAreas")
def changed_areas(simulator: Simulator, call: Call) -> Reply:
    target = machine(simulator, call.id)
    start = int(call.text("startOffset", "0"))
    frozen = _frozen(target, call)
    if not 0 <= start < frozen.capacity:
        raise invalid("startOffset")
    found = list(_areas(simulator, frozen, call.text("changeId")))
    if every := int(simulator.mode["drop_areas"]):
        found = [area for number, area in enumerate(found, 1) if number % every]
    return returnval(call, page(simulator, found, start, frozen.capacity))


def _frozen(target: Machine, call: Call) -> Frozen:
    """The disk at the snapshot; without a snapshot as it is now."""
    key = int(call.text("deviceKey", "0"))
    snapshot = call.reference("snapshot")
    if snapshot is None:
        return _live(target, key)
    if snapshot[1] not in target.snapshots:
        raise invalid("snapshot")
    if key not in target.snapshots[snapshot[1]]:
        raise invalid("deviceKey")
    return target.snapshots[snapshot[1]][key]


def _live(target: Machine, key: int) -> Frozen:
    disk = next((each for each in target.disks() if each.key == key), None)
    if disk is None:
        raise invalid("deviceKey")
    image = target.image(disk)
    now = Frozen(image.top, image, image.epoch, image.size)
    if key in target.tracking:
        now.uuid, now.blind = target.tracking[key].uuid, target.tracking[key].blind
    return now


def _areas(simulator: Simulator, frozen: Frozen, change_id: str) -> list[Area]:
    if not frozen.uuid:
        raise _file_fault(frozen, "change tracking is not enabled, or has not begun")
    if change_id == "*":
        return _allocated(simulator, frozen)
    uuid, _slash, number = change_id.rpartition("/")
    if not uuid or not number.isdigit():
        raise invalid("changeId")
    if uuid != frozen.uuid or int(number) > frozen.epoch:
        raise _file_fault(frozen, f"there is no change id {change_id}")
    if frozen.blind:
        return []
    changed = frozen.disk.changed_since(int(number) + 1, until=frozen.epoch + 1)
    return list(changed.areas(frozen.capacity))


def _allocated(simulator: Simulator, frozen: Frozen) -> list[Area]:
    """On VMFS what was ever written; elsewhere the whole disk (vsphere.md 1, "About CBT")."""
    if storage_of(simulator, frozen.layer.path) != "vmfs":
        return [(0, frozen.capacity)]
    held, layer = Bitmap(), frozen.layer
    while True:
        # Tracking that began under a snapshot does not know what that snapshot's delta holds.
        if not frozen.blind or layer.parent is None:
            held |= layer.held
        if layer.parent is None:
            return list(held.areas(frozen.capacity))
        layer = layer.parent


def storage_of(simulator: Simulator, path: str) -> str:
    if simulator.mode["storage"] != simulator.world.storage:
        return str(simulator.mode["storage"])
    name = path[1:].partition("]")[0]
    return simulator.world.datastores.get(name, "vmfs")


def page(simulator: Simulator, found: list[Area], start: int, capacity: int) -> Xml:
    """The areas of one reply; its `length` says how far it looked."""
    end = capacity
    if span := int(simulator.mode["page_span"]):
        end = min(end, start + span)
    cut = [
        (max(start, offset), min(end, offset + length) - max(start, offset))
        for offset, length in found
        if offset + length > start and offset < end
    ]
    most = int(simulator.mode["page"])
    if len(cut) > most:
        cut = cut[:most]
        end = sum(cut[-1])
    if simulator.mode["overhang"] and cut and sum(cut[-1]) == capacity:
        offset, length = cut[-1]
        cut[-1] = (offset, length + -capacity % (64 * 1024))
    areas = [
        tag("changedArea", tag("start", offset), tag("length", length)) for offset, length in cut
    ]
    return Xml(tag("startOffset", start) + tag("length", end - start) + "".join(areas))


def invalid(name: str) -> Fault:
    message = f"A specified parameter was not correct: {name}"
    return Fault("InvalidArgument", message, tag("invalidProperty", name))


def _file_fault(frozen: Frozen, reason: str) -> Fault:
    file = ctk_path(frozen.layer)
    return Fault("FileFault", f"Error caused by file {file}: {reason}", tag("file", file))


def ctk_path(layer: Layer) -> str:
    return layer.path.removesuffix(".vmdk") + "-ctk.vmdk"
