# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ReconfigVM: vcsim keeps the configuration; what it means for disks' content happens here."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from ..handlers import handles
from ..soap import Call, Fault, Reply, Xml, markup, parse_call, request, tag, task_reply
from . import enabling, hotadd
from .devices import VirtualDisk, capacity_of, disk_changes, disks_of, is_disk
from .inner import carry_out
from .locks import locked
from .machines import Machine, Machines, machine
from .readers import readers_of

if TYPE_CHECKING:
    from ..simulator import Simulator


@handles("ReconfigVM_Task")
def reconfigure(simulator: Simulator, call: Call) -> Reply:
    target = machine(simulator, call.id)
    spec = call.body.find("spec")

    def work() -> None:
        apply(simulator, target, Element("spec") if spec is None else spec)

    entity = ("VirtualMachine", call.id)
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


def changed(simulator: Simulator, target: Machine, change: str) -> None:
    """One device, by the markup inside its deviceChange."""
    spec = tag("spec", tag("deviceChange", Xml(change)))
    body = parse_call("/sdk", request("/sdk", "ReconfigVM_Task", "", "", spec), {}).body
    apply(simulator, target, next(iter(body.findall("spec"))))


def apply(simulator: Simulator, target: Machine, spec: Element) -> None:
    with simulator.part(Machines).attaching, target.lock:
        seen = spec.findtext("changeVersion")
        if seen and seen != target.text("config.changeVersion"):
            raise Fault("ConcurrentAccess", "The object was changed by somebody else meanwhile.")
        _reconfigure(simulator, target, spec)


def _reconfigure(simulator: Simulator, target: Machine, spec: Element) -> None:
    before = {disk.key: disk for disk in target.disks()}
    changes = disk_changes(spec)
    _refuse(simulator, target, spec, before)
    destroyed = _withheld_destruction(changes)
    for change in changes:
        if change.findtext("operation") == "add":
            hotadd.complete_addition(simulator, change)
    carry_out(simulator, "ReconfigVM_Task", "VirtualMachine", target.id, markup(spec))
    devices = target.devices()
    _follow_up(simulator, target, devices, changes, before, destroyed)
    extra = enabling.applied(simulator, target, spec, devices)
    if changes or extra is not None or spec.find("extraConfig") is not None:
        more = {} if extra is None else {"config__extraConfig": extra}
        target.save(devices, **more)


def _key(change: Element) -> int:
    return int(change.findtext("device/key", "0"))


def _refuse(
    simulator: Simulator, target: Machine, spec: Element, before: dict[int, VirtualDisk]
) -> None:
    devices = target.devices()
    for index, change in enumerate(spec.findall("deviceChange")):
        device = change.find("device")
        if device is None or not is_disk(device):
            if change.findtext("operation") == "add" and device is not None:
                devices.append(device)  # a controller that a disk of the same call may use
            continue
        operation, old = change.findtext("operation"), before.get(_key(change))
        if operation == "add":
            hotadd.refuse_addition(simulator, target, devices, change, index)
            devices.append(device)
        elif operation == "remove" and old is not None and change.findtext("fileOperation"):
            _refuse_destruction(simulator, old)
        elif operation == "edit" and old is not None and capacity_of(device) > old.capacity:
            _refuse_growth(simulator, target, old)


def _refuse_destruction(simulator: Simulator, disk: VirtualDisk) -> None:
    for layer in simulator.images.open(disk.path).layers:
        if readers_of(simulator, layer):
            raise locked(layer.path)
    if len(disk.chain()) > 1:
        raise _generic(f"{disk.path} belongs to a snapshot")


def _refuse_growth(simulator: Simulator, target: Machine, disk: VirtualDisk) -> None:
    if len(disk.chain()) > 1 or target.redo.get(disk.key):
        raise _generic("A disk with snapshots cannot be made larger")
    if readers_of(simulator, simulator.images.open(disk.path).top):
        raise locked(disk.path)


def _generic(reason: str) -> Fault:
    return Fault("GenericVmConfigFault", reason, f"<reason>{reason}</reason>")


def _withheld_destruction(changes: list[Element]) -> set[int]:
    """Keys of the disks whose files go: not by vcsim, which knows nothing of chains."""
    keys = set()
    for change in changes:
        operation = change.find("fileOperation")
        if change.findtext("operation") == "remove" and operation is not None:
            keys.add(_key(change))
            change.remove(operation)
    return keys


def _follow_up(
    simulator: Simulator,
    target: Machine,
    devices: list[Element],
    changes: list[Element],
    before: dict[int, VirtualDisk],
    destroyed: set[int],
) -> None:
    """`devices`, as vcsim has them now, made to agree with the images."""
    now = disks_of(devices)
    new = iter([disk for disk in now if disk.key not in before])
    for change in changes:
        operation, old = change.findtext("operation"), before.get(_key(change))
        if operation == "add":
            hotadd.added(simulator, target, next(new), change)
        elif operation == "remove" and old is not None:
            hotadd.removed(simulator, target, old, destroy=old.key in destroyed)
        elif operation == "edit" and old is not None:
            _edited(simulator, target, next(each for each in now if each.key == old.key), old)


def _edited(simulator: Simulator, target: Machine, disk: VirtualDisk, old: VirtualDisk) -> None:
    if disk.path != old.path:
        return
    disk.rechain(old.chain())  # clients seldom send it back whole
    disk.change_id = old.change_id
    if disk.capacity > old.capacity:
        simulator.images.open(disk.path).grow(disk.capacity)
        if old.key in target.tracking:
            target.begin_tracking(disk)  # vsphere.md 1: any change of capacity is a full read
