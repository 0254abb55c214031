# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""In which state a machine must be to be restored in place."""

from __future__ import annotations

import typing as t

from ...._device.errors import DiskInUse, UnsupportedDisk, VSphereFault
from ...._vsphere.connection.collect import properties
from ...._vsphere.machine.tree import all_snapshots
from ...._vsphere.snapshots.journal import is_alive
from ...._vsphere.snapshots.unfinished import OPTION, is_known, mark_of

if t.TYPE_CHECKING:
    from ...._vsphere.machine.machine import Machine
    from .scene import Scene


def require_alone(machine: Machine) -> None:
    """Raises DiskInUse while another restore works on it, or may do so."""
    mark = mark_of(machine.facts.get("config.extraConfig"))
    if mark is None or (is_known(mark) and not is_alive(mark.run)):
        return
    where, why = "on this host", ""
    if not is_known(mark):
        where, why = f"on {mark.host}", "; its journal is not in this host's VDISK_STATE_DIR"
    raise DiskInUse(
        f"a restore {where} works on it, or was killed while it did",
        path=machine.name,
        found=f"run {mark.run}, of restore point {mark.point}{why}",
        hint="Let it end, or complete it there by running it again. If that cannot be, delete the"
        f" machine's advanced setting {OPTION}, and restore it here.",
    )


def require_off(machine: Machine) -> None:
    state = machine.facts.get("runtime.powerState")
    if state != "poweredOff":
        raise DiskInUse(
            "a machine is restored in place while it is powered off",
            path=machine.name,
            found=str(state),
            hint="Shut it down first (community.vmware.vmware_guest_powerstate), or restore it as a"
            " new machine (new_name).",
        )


def require_still(scene: Scene, machine: Machine) -> None:
    """Raises DiskInUse, VSphereFault, UnsupportedDisk."""
    require_off(machine)
    facts = properties(scene.session, machine.ref, ("config.template",))
    if facts.get("config.template") and not scene.request.disks_from:
        raise UnsupportedDisk(
            "is a template",
            path=machine.name,
            hint="Convert it to a virtual machine first, or restore it as a new one (new_name).",
        )
    names = [str(node.name) for node in all_snapshots(machine.facts)]
    if names:
        raise DiskInUse(
            "a machine with snapshots cannot be restored in place: they stand on its disks",
            path=machine.name,
            found=", ".join(names),
            hint="Delete its snapshots first, or restore it as a new machine (new_name).",
        )
    if machine.facts.get("runtime.consolidationNeeded"):
        raise VSphereFault(
            "its disks need consolidation",
            path=machine.name,
            hint="Consolidate them first (Snapshots, Consolidate).",
        )
