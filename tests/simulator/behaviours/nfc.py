# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""ExportSnapshot, ExportVm and ImportVApp: what the leases are about; leases.py has the rest."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element

from ..handlers import handles
from ..images import Disk
from ..soap import XSI_TYPE, Call, Fault, Reply, Xml, returnval, tag
from . import lifecycle
from .changes import invalid
from .devices import VirtualDisk, disks_of
from .leases import File, Lease, Leases
from .machines import Machine, devices_of, machine, machine_of_snapshot

if TYPE_CHECKING:
    from ..simulator import Simulator


@handles("ExportSnapshot")
def export_snapshot(simulator: Simulator, call: Call) -> Reply:
    target = machine_of_snapshot(simulator, call.id)
    with target.lock:
        devices = devices_of(simulator, "VirtualMachineSnapshot", call.id)
        frozen = target.snapshots.get(call.id, {})
        images = {
            disk.key: Disk(simulator.images, frozen[disk.key].layer)
            if disk.key in frozen
            else target.image(disk)
            for disk in disks_of(devices)
        }
        return _exported(simulator, call, target, devices, images)


@handles("ExportVm")
def export_vm(simulator: Simulator, call: Call) -> Reply:
    target = machine(simulator, call.id)
    with target.lock:
        if target.is_on:
            states = tag("requestedState", "poweredOff") + tag("existingState", "poweredOn")
            message = "The attempted operation cannot be performed in the current state."
            raise Fault("InvalidPowerState", message, states)
        devices = target.devices()
        images = {disk.key: target.image(disk) for disk in disks_of(devices)}
        return _exported(simulator, call, target, devices, images)


def _exported(
    simulator: Simulator,
    call: Call,
    target: Machine,
    devices: list[Element],
    images: dict[int, Disk],
) -> Reply:
    files = _files(target, devices, images)
    lease = simulator.part(Leases).begin("export", target.id, files)
    lease.ready()
    return _reply(call, lease)


@handles("ImportVApp")
def import_vapp(simulator: Simulator, call: Call) -> Reply:
    spec = call.body.find("spec")
    if spec is None or spec.get(XSI_TYPE) != "VirtualMachineImportSpec":
        raise invalid("spec")
    config = spec.find("configSpec")
    if config is None:
        raise invalid("spec.configSpec")
    lease = simulator.part(Leases).begin("import", "", [])
    arguments = (simulator, call, lease, config)
    threading.Thread(target=_import, args=arguments, daemon=True).start()
    return _reply(call, lease)


def _import(simulator: Simulator, call: Call, lease: Lease, config: Element) -> None:
    folder = call.reference("folder") or ("Folder", _vm_folder(simulator))
    config.tag = "config"
    more: list[Any] = [tag("pool", call.id, type=call.type)]
    if host := call.reference("host"):
        more.append(tag("host", host[1], type="HostSystem"))
    try:
        vm = lifecycle.create(simulator, folder[1], config, *more)
    except Fault as fault:
        lease.fail(fault)
        return
    target = machine(simulator, vm)
    devices = target.devices()
    images = {disk.key: target.image(disk) for disk in disks_of(devices)}
    lease.entity, lease.files = vm, _files(target, devices, images)
    lease.ready()


def _vm_folder(simulator: Simulator) -> str:
    found = simulator.upstream.all("Datacenter", "vmFolder")
    return next(iter(found.values()))["vmFolder"].text or ""


def _files(target: Machine, devices: list[Element], images: dict[int, Disk]) -> list[File]:
    """Names as vCenter gives them: they tell nothing of the file on the datastore."""
    name = target.text("name")
    return [
        File(f"disk-{number}.vmdk", _place(devices, disk), name, images[disk.key])
        for number, disk in enumerate(disks_of(devices))
    ]


def _place(devices: list[Element], disk: VirtualDisk) -> str:
    """`ParaVirtualSCSIController0:1`, the last part of a device's key."""
    for each in devices:
        if each.findtext("key") == str(disk.controller):
            return f"{each.get(XSI_TYPE)}{each.findtext('busNumber', '0')}:{disk.unit}"
    return f"VirtualDisk{disk.key}"


def _reply(call: Call, lease: Lease) -> Reply:
    return returnval(call, Xml(lease.id), type="HttpNfcLease")
