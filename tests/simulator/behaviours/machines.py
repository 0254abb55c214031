# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the interposer remembers of each virtual machine, beside what vcsim knows."""

from __future__ import annotations

import dataclasses
import secrets
import threading
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element

from ..images import Disk, Layer
from ..soap import Xml, tag
from .devices import VirtualDisk, as_value, disks_of

if TYPE_CHECKING:
    from ..simulator import Simulator


@dataclasses.dataclass
class Tracking:
    """Changed block tracking of one live disk. Epochs of its image are the sequence numbers."""

    uuid: str
    disk: Disk
    blind: bool = False  # enabled under a snapshot: counts on, and sees nothing (vsphere.md 1)

    @property
    def change_id(self) -> str:
        """Of the last stun: all that was written since then is reported against it."""
        return f"{self.uuid}/{self.disk.epoch - 1}"


@dataclasses.dataclass
class Frozen:
    """One disk as a snapshot holds it."""

    layer: Layer
    disk: Disk
    epoch: int  # the last one whose writes are in it
    capacity: int
    uuid: str = ""  # of the tracking at that moment; none without
    blind: bool = False


class Machine:
    def __init__(self, simulator: Simulator, id: str) -> None:
        self._simulator = simulator
        self.id = id
        self.lock = threading.RLock()  # a stun: who writes as the guest waits for it
        self.tracking: dict[int, Tracking] = {}  # by device key
        self.pending: dict[int, bool] = {}  # enabled, waiting for a stun; True: blind from birth
        self.detached: dict[str, Tracking] = {}  # by path; in one mode only
        self.snapshots: dict[str, dict[int, Frozen]] = {}
        self.state_files: dict[str, str] = {}  # the .vmsn of each snapshot
        self.orphans: dict[int, list[Layer]] = {}  # layers whose snapshot is gone
        self.inherited: list[Layer] = []  # another machine's, on which a linked clone stands
        self.redo: dict[int, str] = {}  # path of the redo log of each nonpersistent disk

    def text(self, path: str) -> str:
        return self._simulator.upstream.text("VirtualMachine", self.id, path)

    @property
    def is_on(self) -> bool:
        return self.text("runtime.powerState") == "poweredOn"

    def devices(self) -> list[Element]:
        return devices_of(self._simulator, "VirtualMachine", self.id)

    def disks(self) -> list[VirtualDisk]:
        return disks_of(self.devices())

    def frozen(self, key: int) -> list[Frozen]:
        """A disk as each of the snapshots holds it."""
        return [disks[key] for disks in self.snapshots.values() if key in disks]

    def save(self, devices: Iterable[Element], **more: Xml) -> None:
        """The devices, and properties by name with `__` for the point."""
        changes = {"config.hardware.device": as_value(devices)}
        changes |= {name.replace("__", "."): value for name, value in more.items()}
        self.set(changes)

    def set(self, changes: dict[str, Xml]) -> None:
        now = datetime.now(timezone.utc).isoformat()
        changes = changes | {"config.changeVersion": tag("val", now, xsi="xsd:string")}
        self._simulator.upstream.set("VirtualMachine", self.id, changes)
        self._simulator.part(Machines).version += 1

    def image(self, disk: VirtualDisk) -> Disk:
        """Where the guest's writes to this disk go."""
        return self._simulator.images.open(self.redo.get(disk.key, disk.path))

    def stunned(self, disks: Iterable[VirtualDisk]) -> None:
        """Tracking that was asked for begins (vsphere.md 1); the caller saves the disks."""
        for disk in disks:
            if disk.key in self.pending:
                self.begin_tracking(disk, self.pending.pop(disk.key))

    def begin_tracking(self, disk: VirtualDisk, blind: bool = False) -> None:
        """Under a new uuid: nothing from before can be asked for."""
        image = self.image(disk)
        image.mark()
        self.tracking[disk.key] = Tracking(new_uuid(), image, blind)
        disk.change_id = self.tracking[disk.key].change_id


class Machines:
    """All of them, by id."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.attaching = threading.RLock()  # taken before a machine's own: who may have which file
        self.version = 0  # counts what may have changed who has which file
        self._machines: dict[str, Machine] = {}

    def __getitem__(self, id: str) -> Machine:
        with self._simulator.lock:
            if id not in self._machines:
                self._machines[id] = Machine(self._simulator, id)
            return self._machines[id]

    def forget(self, id: str) -> None:
        self.version += 1
        self._machines.pop(id, None)

    def known(self) -> list[Machine]:
        return list(self._machines.values())


def machine(simulator: Simulator, id: str) -> Machine:
    return simulator.part(Machines)[id]


def machine_of_snapshot(simulator: Simulator, id: str) -> Machine:
    return machine(simulator, simulator.upstream.text("VirtualMachineSnapshot", id, "vm"))


def devices_of(simulator: Simulator, type: str, id: str) -> list[Element]:
    """Of a virtual machine, or of a snapshot's configuration."""
    found = simulator.upstream.properties(type, id, "config.hardware.device")
    return list(found["config.hardware.device"])


def new_uuid() -> str:
    """As vCenter prints it: `52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63`."""
    pairs = [f"{byte:02x}" for byte in secrets.token_bytes(16)]
    return " ".join(pairs[:8]) + "-" + " ".join(pairs[8:])
