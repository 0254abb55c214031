# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Disks that are there already, attached to a virtual machine and detached from it.

Files are never made or destroyed here: nothing below sends a file operation.
"""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError, DiskNotFound, InvalidRequest
from ..connection import libraries
from ..connection.errors import fault_name
from ..connection.tasks import wait
from ..machine.free_slot import KINDS, Slot, Wanted, find_slot, slot_of
from ..machine.machine import Attached, Machine, ManagedFile, look_at

if t.TYPE_CHECKING:
    from ..connection.session import Session

ATTEMPTS = 5  # at a slot that others, too, are after
_NEW_CONTROLLER, _NEW_DISK = -101, -102  # keys of our own, until vSphere gives others


def attach(
    session: Session,
    vm: t.Any,
    disk: ManagedFile,
    *,
    wanted: Wanted | None = None,
    mode: str = "persistent",
    multi_writer: bool = False,
) -> Attached:
    """One change of the machine, whole or not at all.

    Others may change the machine between our look and our request: then we look again.
    Raises NoFreeSlot, DiskInUse, DiskError.
    """

    def once() -> Attached:
        machine = look_at(session, vm)
        slot = find_slot(machine.devices, wanted or Wanted())
        changes = _controller_for(slot)
        changes.append(_change("add", _new_disk(disk, slot, mode, multi_writer=multi_writer)))
        _reconfigure(session, machine, changes, f"attach it to {machine.name}", disk.path)
        return disk_at(look_at(session, vm), slot)

    for _attempt in range(ATTEMPTS - 1):
        try:
            return once()
        except DiskError as error:
            if fault_name(error) != "ConcurrentAccess":
                raise
    return once()


def detach(session: Session, vm: t.Any, attached: Attached, path: str) -> None:
    """Takes the device away; its files stay, and so does the controller. Raises DiskError."""
    machine = _unchanged(session, vm, attached)
    changes = [_change("remove", attached.device)]
    _reconfigure(session, machine, changes, f"detach it from {machine.name}", path)


def change_mode(session: Session, vm: t.Any, attached: Attached, mode: str, path: str) -> None:
    """vSphere allows it while the machine is off. Raises DiskError."""
    machine = _unchanged(session, vm, attached)
    attached.device.backing.diskMode = mode
    changes = [_change("edit", attached.device)]
    _reconfigure(session, machine, changes, f"change its mode to {mode}", path)


def slot_on_controller(session: Session, vm: t.Any, wanted: Wanted) -> Slot:
    """A free slot of a controller that is there: where need be it is made. Raises DiskError."""
    machine = look_at(session, vm)
    slot = find_slot(machine.devices, wanted)
    if slot.key is not None:
        return slot
    what = f"add a controller to {machine.name}"
    _reconfigure(session, machine, _controller_for(slot), what, machine.name)
    return find_slot(look_at(session, vm).devices, Wanted(slot.kind, slot.bus, slot.unit))


def disk_at(machine: Machine, slot: Slot) -> Attached:
    """Raises DiskNotFound."""
    for device in machine.disks:
        found = slot_of(machine.devices, device)
        if found is not None and found.name == slot.name:
            return Attached(device, found)
    raise DiskNotFound(f"{machine.name} has no disk at {slot.name}")


def _unchanged(session: Session, vm: t.Any, attached: Attached) -> Machine:
    """The machine, where the key of the device still means that disk."""
    machine = look_at(session, vm)
    device = attached.device
    for each in machine.disks:
        if each.key == device.key and each.backing.fileName == device.backing.fileName:
            return machine
    raise DiskNotFound(
        f"{machine.name} was changed meanwhile: the disk is not where it was",
        path=device.backing.fileName,
        hint="Try again.",
    )


def _reconfigure(
    session: Session, machine: Machine, changes: list[t.Any], what: str, target: str
) -> None:
    _refuse_file_operations(changes)
    version = machine.facts.get("config.changeVersion")
    spec = libraries.vim().vm.ConfigSpec(deviceChange=changes, changeVersion=version)
    task = session.call(lambda: machine.ref.ReconfigVM_Task(spec), what, target)
    wait(session, task, what, target)


def _refuse_file_operations(changes: list[t.Any]) -> None:
    """`destroy`, sent along with `remove`, would delete a disk that somebody needs."""
    for change in changes:
        if change.fileOperation is not None:
            raise InvalidRequest(
                "attaching and detaching must not touch files", found=str(change.fileOperation)
            )


def _change(operation: str, device: t.Any) -> t.Any:
    return libraries.vim().vm.device.VirtualDeviceSpec(operation=operation, device=device)


def _new_disk(disk: ManagedFile, slot: Slot, mode: str, *, multi_writer: bool) -> t.Any:
    kind = libraries.vim().vm.device.VirtualDisk
    backing = kind.FlatVer2BackingInfo(fileName=disk.path, diskMode=mode)
    backing.datastore = disk.datastore
    if multi_writer:
        backing.sharing = "sharingMultiWriter"
    controller = _NEW_CONTROLLER if slot.key is None else slot.key
    return kind(key=_NEW_DISK, backing=backing, controllerKey=controller, unitNumber=slot.unit)


def _controller_for(slot: Slot) -> list[t.Any]:
    """The change that makes it, where it is not there."""
    if slot.key is not None:
        return []
    kind = KINDS[slot.kind]
    make = getattr(libraries.vim().vm.device, kind.vim_name)
    controller = make(key=_NEW_CONTROLLER, busNumber=slot.bus)
    if kind.family == "scsi":
        controller.sharedBus = "noSharing"
    return [_change("add", controller)]
