# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Power: a stun for change tracking, and the end of what nonpersistent disks wrote.

vMotion is a stun, too (vsphere.md 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..handlers import handles
from ..soap import Call, Fault, Reply, markup, task_reply
from .devices import disks_of
from .inner import carry_out
from .locks import cannot_open, holders_of
from .machines import Machine, Machines, machine
from .readers import readers_of
from .redo import drop_redo, make_redo

if TYPE_CHECKING:
    from ..simulator import Simulator


CYCLES = ("PowerOnVM_Task", "PowerOffVM_Task", "ResetVM_Task")


@handles("PowerOnVM_Task", "PowerOffVM_Task", "ResetVM_Task", "SuspendVM_Task", "RelocateVM_Task")
def power(simulator: Simulator, call: Call) -> Reply:
    target = machine(simulator, call.id)

    def work() -> None:
        with simulator.part(Machines).attaching, target.lock:
            if call.method == "PowerOnVM_Task":
                _refuse(simulator, target)
            arguments = [markup(each) for each in call.body if each.tag != "_this"]
            carry_out(simulator, call.method, "VirtualMachine", target.id, *arguments)
            _restack(simulator, target, call.method)
            if call.method == "PowerOnVM_Task":
                for disk in target.disks():
                    target.image(disk).is_reopened = True

    entity = ("VirtualMachine", call.id)
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


def _refuse(simulator: Simulator, target: Machine) -> None:
    for disk in target.disks():
        if not disk.path or disk.mode.endswith("nonpersistent"):
            continue
        for holder in holders_of(simulator, disk.path):
            if holder.id != target.id and holder.is_on:
                raise cannot_open(disk.path)
        if readers_of(simulator, target.image(disk).top):  # it is being exported
            raise Fault("TaskInProgress", "Another task is already in progress.")


def _restack(simulator: Simulator, target: Machine, method: str) -> None:
    devices = target.devices()
    for disk in disks_of(devices):
        if disk.mode.endswith("nonpersistent") and method in CYCLES:
            drop_redo(simulator, target, disk)
            if method != "PowerOffVM_Task":
                make_redo(simulator, target, disk)
    if target.pending and method != "ResetVM_Task":
        target.stunned(disks_of(devices))
        target.save(devices)
