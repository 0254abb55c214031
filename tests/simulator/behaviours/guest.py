# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the guest does with its disks: reads and writes on demand.

`vm` is a name or an id; `disk` a device key (2000), a place on a bus (scsi0:0), or a label
(Hard disk 1).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..handlers import control
from ..images import Disk
from .devices import disks_of
from .enabling import bus_name
from .machines import Machine, machine

if TYPE_CHECKING:
    from ..simulator import Simulator


@control("POST", "guest/write")
def write(simulator: Simulator, query: dict[str, str], body: bytes) -> dict[str, int]:
    target = named(simulator, query["vm"])
    with target.lock:
        image_of(target, query["disk"]).write(int(query["offset"]), body)
    return {"written": len(body)}


@control("GET", "guest/read")
def read(simulator: Simulator, query: dict[str, str], body: bytes) -> bytes:
    target = named(simulator, query["vm"])
    with target.lock:
        image = image_of(target, query["disk"])
        offset = int(query.get("offset", 0))
        return image.read(offset, int(query.get("length", image.size - offset)))


def named(simulator: Simulator, name: str) -> Machine:
    """LookupError where there is none, or more than one."""
    found = [
        id
        for id, properties in simulator.upstream.all("VirtualMachine", "name").items()
        if name in (id, properties["name"].text)
    ]
    if len(found) != 1:
        raise LookupError(f"{len(found)} machines are called {name}")
    return machine(simulator, found[0])


def image_of(target: Machine, name: str) -> Disk:
    devices = target.devices()
    for disk in disks_of(devices):
        label = disk.element.findtext("deviceInfo/label")
        if name in (str(disk.key), label, bus_name(devices, disk)):
            return target.image(disk)
    raise LookupError(f"{target.id} has no disk {name}")
