# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines come and go: the disks they are made with, cloned with, and take with them."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from ..handlers import after, handles
from ..images import Disk
from ..soap import Call, Fault, Reply, Xml, markup, task_reply
from ..tasks import result
from . import content, enabling, hotadd
from .devices import VirtualDisk, disk_changes, disks_of, is_disk, put
from .inner import carry_out
from .locks import holders_of, locked
from .machines import Machine, Machines, machine
from .readers import readers_of
from .redo import drop_redo

if TYPE_CHECKING:
    from ..simulator import Simulator


@handles("CreateVM_Task")
def create_vm(simulator: Simulator, call: Call) -> Reply:
    def work() -> Xml:
        config = call.body.find("config")
        more = [markup(each) for each in call.body if each.tag not in ("_this", "config")]
        spec = Element("config") if config is None else config
        return result(create(simulator, call.id, spec, *more), type="VirtualMachine")

    return task_reply(call, simulator.tasks.run(("Folder", call.id), call.method, work))


def create(simulator: Simulator, folder: str, config: Element, *more: Any) -> str:
    """The new machine's id; its disks have their content."""
    changes = disk_changes(config)
    for change in changes:
        device = change.find("device")
        if device is not None and not change.findtext("fileOperation"):
            _refuse_missing(simulator, VirtualDisk(device).path)
            hotadd.complete_addition(simulator, change)
    vm = carry_out(simulator, "CreateVM_Task", "Folder", folder, markup(config), *more)
    target = machine(simulator, vm)
    devices = target.devices()
    for disk, change in zip(disks_of(devices), changes, strict=True):
        hotadd.added(simulator, target, disk, change)
    extra = enabling.applied(simulator, target, config, devices)
    target.save(devices, **({} if extra is None else {"config__extraConfig": extra}))
    return vm


def _refuse_missing(simulator: Simulator, path: str) -> None:
    try:
        simulator.images.open(path)
    except (OSError, ValueError, KeyError):
        raise Fault(
            "FileNotFound", f"File {path} was not found", Xml(f"<file>{path}</file>")
        ) from None


@handles("CloneVM_Task")
def clone_vm(simulator: Simulator, call: Call) -> Reply:
    source = machine(simulator, call.id)

    def work() -> Xml:
        with source.lock:
            snapshot = call.text("spec/snapshot")
            arguments = [markup(each) for each in call.body if each.tag != "_this"]
            vm = carry_out(simulator, call.method, "VirtualMachine", call.id, *arguments)
            linked = call.text("spec/location/diskMoveType") == "createNewChildDiskBacking"
            _fill_clone(simulator, source, machine(simulator, vm), snapshot, linked=linked)
            return result(vm, type="VirtualMachine")

    entity = ("VirtualMachine", call.id)
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


def _fill_clone(
    simulator: Simulator, source: Machine, clone: Machine, snapshot: str, *, linked: bool
) -> None:
    originals = {disk.key: disk for disk in source.disks()}
    frozen = source.snapshots.get(snapshot, {})
    devices = clone.devices()
    for disk in disks_of(devices):
        original = originals.get(disk.key)
        if original is None:
            continue
        image = source.image(original)
        if disk.key in frozen:
            image = Disk(simulator.images, frozen[disk.key].layer)
        if linked and disk.key in frozen:
            clone.inherited += image.layers
            chain = [layer.path for layer in reversed(image.layers)]
            image.freeze(disk.path)
            disk.rechain([disk.path, *chain])
            continue
        kind = content.kind_of(simulator, image)
        copied = content.copy(simulator, image, disk.path, kind)
        put(disk.backing, "uuid", hotadd.uuid_of(simulator, copied.path))
        disk.change_id = ""
    clone.save(devices)


@handles("Destroy_Task")
def destroy(simulator: Simulator, call: Call) -> Reply:
    """Of machines; the rest is vcsim's."""
    target = machine(simulator, call.id)

    def work() -> None:
        with simulator.part(Machines).attaching, target.lock:
            _destroy(simulator, target)

    entity = simulator.entity(call)
    if call.type != "VirtualMachine":
        return simulator.forward(call)
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


def _destroy(simulator: Simulator, target: Machine) -> None:
    devices = target.devices()
    paths = _files(target, disks_of(devices))
    for path in paths:
        # Never while somebody reads it (vsphere.md 3).
        if readers_of(simulator, simulator.images.open(path).top):
            raise locked(path)
    ours = [
        path
        for path in paths
        if all(holder.id == target.id for holder in holders_of(simulator, path))
    ]
    if target.is_on:
        carry_out(simulator, "Destroy_Task", "VirtualMachine", target.id)  # says why not
    for disk in disks_of(devices):
        drop_redo(simulator, target, disk)
    target.save([each for each in devices if not is_disk(each)])
    carry_out(simulator, "Destroy_Task", "VirtualMachine", target.id)
    for path in ours:
        with contextlib.suppress(OSError):
            simulator.images.delete(path)
    simulator.part(Machines).forget(target.id)


def _files(target: Machine, disks: list[VirtualDisk]) -> list[str]:
    """All of its disks' and snapshots', tops first."""
    paths = [path for disk in disks for path in disk.chain()]
    for frozen in target.snapshots.values():
        paths += [each.layer.path for each in frozen.values()]
    return list(dict.fromkeys(paths))


@after("UnregisterVM")
def unregistered(simulator: Simulator, call: Call, answer: Reply) -> Reply:
    simulator.part(Machines).forget(call.id)
    return answer
