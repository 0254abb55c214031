# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are added to and removed from a machine, and when that is refused (vsphere.md 3)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from ..handlers import mode, reports
from ..images import Disk
from ..soap import XSI_TYPE, Fault, tag
from . import content, guesttree
from .devices import VirtualDisk, disks_of, put
from .locks import cannot_open, holders_of
from .machines import Machine, Machines
from .redo import drop_redo, make_redo

if TYPE_CHECKING:
    from ..simulator import Simulator

# A disk that is detached and attached again goes on with its ids, and no change is seen any more.
mode("reattach_keeps_ids", False)

CONTROLLER_UNIT = 7  # the controller's own place on its bus
UNITS = 16
MOST_DISKS = 64


def refuse_addition(
    simulator: Simulator, target: Machine, devices: list[Element], change: Element, index: int
) -> None:
    device = change.find("device")
    if device is None:
        raise _invalid(index, "device")
    disk = VirtualDisk(device)
    if len(disks_of(devices)) >= MOST_DISKS:
        raise Fault("TooManyDevices", f"More than {MOST_DISKS} disks.")
    if disk.unit is not None:
        _refuse_unit(devices, disk, index)
    if _kind(devices, disk.controller) == "VirtualIDEController" and target.is_on:
        raise _invalid(index, "device.controllerKey")  # SCSI only, not IDE
    if not change.findtext("fileOperation"):
        _refuse_file(simulator, target, disk)


def _refuse_unit(devices: list[Element], disk: VirtualDisk, index: int) -> None:
    taken = [
        each.findtext("unitNumber")
        for each in devices
        if each.findtext("controllerKey") == str(disk.controller)
    ]
    ours = _kind(devices, disk.controller).endswith(("SCSIController", "LsiLogicController"))
    reserved = ours and disk.unit == CONTROLLER_UNIT
    outside = not 0 <= (disk.unit or 0) < UNITS
    if reserved or outside or str(disk.unit) in taken:
        raise _invalid(index, "device.unitNumber")


def _refuse_file(simulator: Simulator, target: Machine, disk: VirtualDisk) -> None:
    """An existing file: it must be there, and nobody may have it who would not share it."""
    try:
        simulator.images.open(disk.path)
    except (OSError, ValueError, KeyError):
        raise Fault(
            "FileNotFound", f"File {disk.path} was not found", tag("file", disk.path)
        ) from None
    if disk.mode.endswith("nonpersistent"):
        live = [each for each in holders_of(simulator, disk.path) if each.disk.path == disk.path]
        if any(each.is_on and not each.shares for each in live):
            raise cannot_open(disk.path)  # its writer is at work: only frozen files can be shared
        return
    for holder in holders_of(simulator, disk.path):
        frozen = holder.disk.path != disk.path
        if not frozen and holder.id != target.id and disk.multi_writer and holder.disk.multi_writer:
            continue  # both say that others may write to it
        if frozen or holder.id == target.id or holder.is_on:
            raise cannot_open(disk.path)


def _kind(devices: list[Element], key: int) -> str:
    found = [each.get(XSI_TYPE, "") for each in devices if each.findtext("key") == str(key)]
    return found[0] if found else ""


def _invalid(index: int, name: str) -> Fault:
    return Fault(
        "InvalidDeviceSpec",
        f"Invalid configuration for device '{index}'.",
        tag("property", f"virtualDeviceSpec.{name}") + tag("deviceIndex", index),
    )


def complete_addition(simulator: Simulator, change: Element) -> None:
    """Before vcsim sees it: the size, which real hosts read from the file, and the disk's uuid."""
    device = change.find("device")
    if device is None or change.findtext("fileOperation"):
        return
    image = simulator.images.open(VirtualDisk(device).path)
    VirtualDisk(device).capacity = image.size
    put(VirtualDisk(device).backing, "uuid", uuid_of(simulator, image.path))


def added(simulator: Simulator, target: Machine, disk: VirtualDisk, change: Element) -> None:
    """After vcsim has it: the content of a new disk, and the redo log of a nonpersistent one."""
    if change.findtext("fileOperation"):
        _create(simulator, disk, change)
    elif (kept := target.detached.pop(disk.path, None)) is not None:
        kept.blind = True
        target.tracking[disk.key] = kept
        disk.change_id = kept.change_id
    if disk.mode.endswith("nonpersistent") and target.is_on:
        make_redo(simulator, target, disk)
    guesttree.appeared(simulator, target, disk)


def _create(simulator: Simulator, disk: VirtualDisk, change: Element) -> None:
    parent = change.findtext("device/backing/parent/fileName")
    if parent:  # a linked clone
        simulator.images.forget(disk.path)
        Disk(simulator.images, simulator.images.open(parent).top).freeze(disk.path)
        disk.rechain([disk.path, *disk.chain()[1:]])
        return
    kind = content.LAZY
    if disk.backing.findtext("thinProvisioned") == "true":
        kind = content.THIN
    elif disk.backing.findtext("eagerlyScrub") == "true":
        kind = content.EAGER
    uuid = change.findtext("device/backing/uuid") or ""
    image = content.create(simulator, disk.path, disk.capacity, kind, uuid=uuid)
    put(disk.backing, "uuid", uuid_of(simulator, image.path))


def removed(simulator: Simulator, target: Machine, disk: VirtualDisk, *, destroy: bool) -> None:
    guesttree.vanished(simulator, target, disk)
    drop_redo(simulator, target, disk)
    if simulator.mode["reattach_keeps_ids"] and disk.key in target.tracking:
        target.detached[disk.path] = target.tracking[disk.key]
    for forgotten in (target.tracking, target.pending):
        forgotten.pop(disk.key, None)
    if destroy:
        for path in disk.chain():
            simulator.images.delete(path)


def uuid_of(simulator: Simulator, path: str) -> str:
    """`6000C298-…` of the base: deltas have none of their own."""
    base = simulator.images.open(path).layers[0]
    digits = "".join(c for c in base.descriptor.database.get("ddb.uuid", "") if c.isalnum())
    parts = (digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:])
    return "-".join(parts).upper() if digits else ""


@reports("attached")
def count(simulator: Simulator) -> dict[str, list[str]]:
    """Redo logs by the id of their machine."""
    known = simulator.part(Machines).known()
    return {each.id: list(each.redo.values()) for each in known if each.redo}
