# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""CreateSnapshot: every disk's file is frozen and a delta put over it, all at one instant."""

from __future__ import annotations

import os
import re
import time
from typing import TYPE_CHECKING

from ..handlers import handles, mode, reports
from ..soap import Call, Fault, Reply, Xml, markup, tag, task_reply
from ..tasks import result
from .devices import VirtualDisk, disks_of
from .inner import carry_out
from .machines import Frozen, Machine, Machines, machine

if TYPE_CHECKING:
    from ..images import Images
    from ..simulator import Simulator

mode("stun", 0.0)  # seconds that the guest stands still at a snapshot
mode(
    "quiesce_fault", ""
)  # the fault of quiesced snapshots: ApplicationQuiesceFault, FilesystemQuiesceFault
mode("strict_quiesce", False)  # who cannot be quiesced gets no snapshot, as some builds have it
mode("redo_format", "seSparse")  # or vmfsSparse, as on VMFS 5 and NFS
mode("stale_ctk", False)  # a -ctk.vmdk of a dead snapshot is in the way (open-vm-tools#27)


@handles("CreateSnapshot_Task", "CreateSnapshotEx_Task")
def create(simulator: Simulator, call: Call) -> Reply:
    target = machine(simulator, call.id)

    def work() -> Xml:
        with target.lock:
            _refuse(simulator, target, call)
            return result(_create(simulator, target, call), type="VirtualMachineSnapshot")

    entity = ("VirtualMachine", call.id)
    return task_reply(call, simulator.tasks.run(entity, call.method, work))


def _refuse(simulator: Simulator, target: Machine, call: Call) -> None:
    if target.text("config.template") == "true":
        raise Fault("InvalidState", "The operation is not supported on a template.")
    if simulator.mode["stale_ctk"]:
        raise Fault("FileAlreadyExists", "A change tracking file is there already.")
    wanted = call.text("quiesce") == "true" or call.body.find("quiesceSpec") is not None
    fault = simulator.mode["quiesce_fault"] if _listens(target) else ""
    if target.is_on and not _listens(target) and simulator.mode["strict_quiesce"]:
        fault = "ApplicationQuiesceFault"
    if wanted and fault:
        raise Fault(fault, "An error occurred while quiescing the virtual machine.")


def _listens(target: Machine) -> bool:
    """Without, the flag is ignored (API reference, CreateSnapshot_Task)."""
    return target.is_on and target.text("guest.toolsRunningStatus") == "guestToolsRunning"


def _create(simulator: Simulator, target: Machine, call: Call) -> str:
    devices = target.devices()
    disks = [disk for disk in disks_of(devices) if disk.in_snapshots]
    frozen = {}
    for disk in disks:
        frozen[disk.key] = _about(target, disk)
        disk.change_id = _stamp(frozen[disk.key])
    target.save(devices)  # vcsim copies the stamps into the snapshot's configuration
    time.sleep(simulator.mode["stun"])
    arguments = [markup(each) for each in call.body if each.tag != "_this"]
    snapshot = carry_out(simulator, call.method, "VirtualMachine", target.id, *arguments)
    with simulator.images.lock:
        for disk in disks:
            child = free_path(simulator.images, disk.path)
            frozen[disk.key].disk.freeze(child, simulator.mode["redo_format"])
            disk.rechain([child, *disk.chain()])
    target.state_files[snapshot] = _state_file(simulator, target)
    target.snapshots[snapshot] = frozen
    target.stunned(disks)
    target.save(devices)
    return snapshot


def _state_file(simulator: Simulator, target: Machine) -> str:
    """The newest: vcsim numbers files anew whenever it likes, so this has to be asked at once."""
    found = simulator.upstream.properties(
        "VirtualMachine", target.id, "layoutEx.snapshot", "layoutEx.file"
    )
    key = list(found["layoutEx.snapshot"])[-1].findtext("dataKey")
    files = {each.findtext("key"): each.findtext("name", "") for each in found["layoutEx.file"]}
    name = files.get(key, "")
    return name if name.endswith(".vmsn") else "[none] none"


def _about(target: Machine, disk: VirtualDisk) -> Frozen:
    image = target.image(disk)
    about = Frozen(image.top, image, image.epoch, image.size)
    tracking = target.tracking.get(disk.key)
    if tracking is not None and tracking.disk is image:
        about.uuid, about.blind = tracking.uuid, tracking.blind
    return about


def _stamp(frozen: Frozen) -> str:
    return f"{frozen.uuid}/{frozen.epoch}" if frozen.uuid else ""


def free_path(images: Images, path: str) -> str:
    """`[ds] vm/vm-000002.vmdk` where 000001 is taken, whatever the number in `path` is."""
    stem = re.sub(r"-\d{6}$", "", path.removesuffix(".vmdk"))
    number = 1
    while os.path.exists(images.file(f"{stem}-{number:06}.vmdk")):
        number += 1
    return f"{stem}-{number:06}.vmdk"


@reports("snapshots")
def count(simulator: Simulator) -> dict[str, list[str]]:
    """Ids of the snapshots by the id of their machine."""
    known = simulator.part(Machines).known()
    return {each.id: list(each.snapshots) for each in known if each.snapshots}


def flag(value: bool) -> Xml:
    return tag("val", value, xsi="xsd:boolean")
