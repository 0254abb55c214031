# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed block tracking on and off: the machine's flag, and each disk's own (vsphere.md 1)."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from ..handlers import mode
from ..soap import Xml, markup, tag
from .devices import VirtualDisk
from .machines import Machine

if TYPE_CHECKING:
    from ..simulator import Simulator

# Since 6.5 enabling under a snapshot raises nothing and under-reports (Backup Exec 100033481).
mode("silent_loss", True)
# Off and on again while the machine is off: the old tracking goes on. Nobody has shown that it does
# not, where nothing stuns the machine.
mode("keeps_tracker", False)

_BUS = {"SATA": "sata", "AHCI": "sata", "NVME": "nvme", "IDE": "ide"}


def applied(
    simulator: Simulator, target: Machine, spec: Element, devices: list[Element]
) -> Xml | None:
    """After a ReconfigVM: what the specification says about tracking, on `devices` as they are now.

    Returns the machine's new extraConfig, where that changed.
    """
    flag = spec.findtext("changeTrackingEnabled")
    disks = [VirtualDisk(each) for each in devices if each.findtext("capacityInKB")]
    said = {
        each.findtext("key", ""): each.findtext("value", "").lower() == "true"
        for each in spec.findall("extraConfig")
        if each.findtext("key", "").endswith(".ctkEnabled")
    }
    names = {disk.key: f"{bus_name(devices, disk)}.ctkEnabled" for disk in disks}
    wanted = {disk.key: said[names[disk.key]] for disk in disks if names[disk.key] in said}
    if flag is not None:
        for disk in disks:
            wanted.setdefault(disk.key, flag == "true" and disk.in_snapshots)
    if target.text("config.changeTrackingEnabled") != "true":
        wanted = {disk.key: False for disk in disks}
    for disk in disks:
        if disk.key in wanted:
            _switch(simulator, target, disk, wanted[disk.key])
    if not target.is_on:
        target.stunned(disks)  # XO#10384: effective at once
    if flag is None:
        return None
    return _extra_config(simulator, target, {names[key]: on for key, on in wanted.items()})


def _switch(simulator: Simulator, target: Machine, disk: VirtualDisk, on: bool) -> None:
    loses = bool(simulator.mode["silent_loss"])
    if not on and simulator.mode["keeps_tracker"] and not target.is_on:
        return
    if not on:
        target.pending.pop(disk.key, None)
        target.tracking.pop(disk.key, None)
        disk.change_id = ""
        for frozen in target.frozen(disk.key):
            frozen.blind = frozen.blind or loses  # what counted for it goes, too
    elif disk.key not in target.tracking and disk.in_snapshots:
        # On deltas whose snapshot is gone, too: they need consolidation.
        under = target.snapshots or target.orphans.get(disk.key)
        target.pending[disk.key] = bool(loses and under)


def bus_name(devices: list[Element], disk: VirtualDisk) -> str:
    """`scsi0:1`, as the .vmx says it."""
    for each in devices:
        if each.findtext("key") == str(disk.controller):
            kind = next((v for k, v in each.attrib.items() if k.endswith("type")), "").upper()
            bus = next((bus for part, bus in _BUS.items() if part in kind), "scsi")
            return f"{bus}{each.findtext('busNumber', '0')}:{disk.unit}"
    return f"scsi0:{disk.unit}"


def _extra_config(simulator: Simulator, target: Machine, flags: dict[str, bool]) -> Xml:
    found = simulator.upstream.properties("VirtualMachine", target.id, "config.extraConfig")
    old = [
        each for each in found.get("config.extraConfig", []) if each.findtext("key") not in flags
    ]
    for each in old:
        each.tag = "OptionValue"
    new = [
        tag(
            "OptionValue",
            tag("key", name),
            tag("value", "TRUE" if on else "FALSE", xsi="xsd:string"),
            xsi="OptionValue",
        )
        for name, on in flags.items()
    ]
    return tag("val", *(markup(each) for each in old), *new, xsi="ArrayOfOptionValue")
