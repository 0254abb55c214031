# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""RevertToSnapshot: what was written since is gone, and so is the meaning of all change ids."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from ..handlers import handles, mode
from ..images import Disk
from ..soap import Call, Fault, Reply, task_reply
from .devices import VirtualDisk, disks_of
from .inner import carry_out
from .machines import Machine, devices_of, machine, machine_of_snapshot
from .snapshots import flag, free_path

if TYPE_CHECKING:
    from ..simulator import Simulator

# It goes on counting under the old uuid: clients must find out otherwise (vsphere.md 1).
mode("revert_keeps_ids", False)


@handles("RevertToSnapshot_Task")
def revert(simulator: Simulator, call: Call) -> Reply:
    return _begin(simulator, call, machine_of_snapshot(simulator, call.id), call.id)


@handles("RevertToCurrentSnapshot_Task")
def revert_to_current(simulator: Simulator, call: Call) -> Reply:
    target = machine(simulator, call.id)
    current = target.text("snapshot.currentSnapshot")
    if not current:
        raise Fault("NotFound", "The virtual machine has no current snapshot.")
    return _begin(simulator, call, target, current)


def _begin(simulator: Simulator, call: Call, target: Machine, snapshot: str) -> Reply:
    def work() -> None:
        with target.lock:
            _revert(simulator, target, snapshot)

    entity = ("VirtualMachine", target.id)
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


def _revert(simulator: Simulator, target: Machine, snapshot: str) -> None:
    carry_out(simulator, "RevertToSnapshot_Task", "VirtualMachineSnapshot", snapshot)
    _power_off(simulator, target, snapshot)
    live = {disk.key: disk for disk in target.disks()}
    devices = devices_of(simulator, "VirtualMachineSnapshot", snapshot)
    for disk in disks_of(devices):
        if disk.key in target.snapshots.get(snapshot, {}):
            _rewind(simulator, target, snapshot, disk, live.get(disk.key))
    enabled = simulator.upstream.text(
        "VirtualMachineSnapshot", snapshot, "config.changeTrackingEnabled"
    )
    target.save(devices, config__changeTrackingEnabled=flag(enabled == "true"))


def _rewind(
    simulator: Simulator,
    target: Machine,
    snapshot: str,
    disk: VirtualDisk,
    current: VirtualDisk | None,
) -> None:
    """`disk` is as the snapshot has it; it gets a new delta over the frozen file."""
    frozen = target.snapshots[snapshot][disk.key]
    chain = disk.chain()
    with simulator.images.lock:
        image = Disk(simulator.images, frozen.layer) if current is None else target.image(current)
        child = free_path(simulator.images, chain[0])
        if current is None:
            image.freeze(child)
        else:
            image.switch(frozen.layer, child)
    disk.rechain([child, *chain])
    tracking = target.tracking.pop(disk.key, None)
    disk.change_id = ""
    if frozen.uuid:
        target.begin_tracking(disk)
        if simulator.mode["revert_keeps_ids"] and tracking is not None:
            target.tracking[disk.key].uuid = tracking.uuid
            disk.change_id = target.tracking[disk.key].change_id


def _power_off(simulator: Simulator, target: Machine, snapshot: str) -> None:
    """Without the memory there is nothing to go on with."""
    tree = simulator.upstream.properties("VirtualMachine", target.id, "snapshot.rootSnapshotList")
    states = {
        node.findtext("snapshot"): node.findtext("state")
        for root in tree.get("snapshot.rootSnapshotList", Element("val"))
        for node in root.iter()
    }
    if target.is_on and states.get(snapshot) == "poweredOff":
        carry_out(simulator, "PowerOffVM_Task", "VirtualMachine", target.id)
