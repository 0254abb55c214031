# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine's disks as its Linux guest sees them: files that look like /sys and /dev.

`POST guest/tree?vm=proxy01&root=DIRECTORY` makes DIRECTORY/sys and DIRECTORY/dev, and keeps them
as the machine's disks come and go, until `DELETE guest/tree?vm=proxy01`. Nonpersistent disks are
copies of what is frozen; persistent ones are links to the managed disk's own file.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import string
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from ..handlers import control, mode, reports
from ..images import Disk
from .devices import VirtualDisk
from .guest import named
from .machines import Machine

if TYPE_CHECKING:
    from ..simulator import Simulator

# Seconds until the guest notices a new disk; negative: it does so only when it is asked to look.
mode("guest_notices", 0.0)
# What the guest activates on a new disk by itself: LVM, multipath.
mode("guest_holds", [])
# The guest has the size wrong.
mode("guest_sees_wrong_size", False)

SECTOR = 512


class Trees:
    """By the id of their machine."""

    def __init__(self, _simulator: Simulator) -> None:
        self.of: dict[str, Tree] = {}
        # Disks that went while the guest had not let go of them: real ones then print I/O errors.
        self.torn: list[str] = []


class Tree:
    def __init__(self, simulator: Simulator, target: Machine, root: Path) -> None:
        self._simulator, self._target, self._root = simulator, target, root
        self._names: dict[int, str] = {}  # by device key
        self._waiting: set[int] = set()

    def begin(self) -> None:
        for place in ("sys/block", "sys/class/dmi/id", "sys/class/scsi_host/host0", "dev"):
            (self._root / place).mkdir(parents=True, exist_ok=True)
        uuid = self._target.text("config.uuid")
        self._write("sys/class/dmi/id/product_uuid", uuid)
        self._write("sys/class/scsi_host/host0/scan", "")
        for number, device in enumerate(self._target.devices()):
            if address := device.findtext("macAddress"):
                self._write(f"sys/class/net/eth{number}/address", address)
        for disk in self._target.disks():
            self._show(disk)

    def end(self) -> None:
        for place in ("sys", "dev"):
            shutil.rmtree(self._root / place, ignore_errors=True)

    def appeared(self, disk: VirtualDisk) -> None:
        pause = self._simulator.mode["guest_notices"]
        if not pause:
            self._show(disk)
            return
        self._waiting.add(disk.key)
        self._write("sys/class/scsi_host/host0/scan", "")
        threading.Thread(target=self._notice, args=(disk, pause), daemon=True).start()

    def vanished(self, disk: VirtualDisk) -> None:
        self._waiting.discard(disk.key)
        name = self._names.pop(disk.key, None)
        if name is None:
            return
        block = self._root / "sys/block" / name
        if (block / "device/delete").read_text() != "1":
            self._simulator.part(Trees).torn.append(disk.path)
        shutil.rmtree(block)
        (self._root / "dev" / name).unlink()
        if not disk.mode.endswith("nonpersistent"):
            self._written(disk)

    def _notice(self, disk: VirtualDisk, pause: float) -> None:
        asked = self._root / "sys/class/scsi_host/host0/scan"
        ended = threading.Event()
        while not ended.wait(max(pause, 0.05)) and disk.key in self._waiting:
            if pause > 0 or asked.read_text():
                with contextlib.suppress(FileNotFoundError), self._target.lock:
                    self._show(disk)
                return

    def _show(self, disk: VirtualDisk) -> None:
        name = next(f"sd{c}" for c in string.ascii_lowercase if f"sd{c}" not in self._taken())
        self._names[disk.key] = name
        image = self._target.image(disk)
        if disk.mode.endswith("nonpersistent"):
            _copy(image, self._root / "dev" / name)
        else:
            (self._root / "dev" / name).symlink_to(image.top.data)
        size = image.size + (SECTOR if self._simulator.mode["guest_sees_wrong_size"] else 0)
        self._write(f"sys/block/{name}/size", f"{size // SECTOR}")
        self._write(f"sys/block/{name}/device/delete", "")
        for holder in self._simulator.mode["guest_holds"]:
            self._write(f"sys/block/{name}/holders/{holder}", "")
        # Last: it is by this that the disk is found.
        if self._tells_uuids() and (uuid := disk.backing.findtext("uuid")):
            digits = "".join(each for each in uuid if each.isalnum()).lower()
            self._write(f"sys/block/{name}/device/wwid", f"naa.{digits}")

    def _taken(self) -> set[str]:
        return set(self._names.values())

    def _tells_uuids(self) -> bool:
        found = self._simulator.upstream.properties(
            "VirtualMachine", self._target.id, "config.extraConfig"
        )
        options = {
            each.findtext("key", "").lower(): each.findtext("value", "")
            for each in found["config.extraConfig"]
        }
        return options.get("disk.enableuuid", "").upper() == "TRUE"

    def _written(self, disk: VirtualDisk) -> None:
        """What the guest wrote is in the file already. Changed block tracking has not seen it."""
        with self._simulator.images.lock:
            self._simulator.images.open(disk.path).top.load()

    def _write(self, name: str, text: str) -> None:
        file = self._root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n" if text else "")


def appeared(simulator: Simulator, target: Machine, disk: VirtualDisk) -> None:
    if target.id in simulator.part(Trees).of:
        simulator.part(Trees).of[target.id].appeared(disk)


def vanished(simulator: Simulator, target: Machine, disk: VirtualDisk) -> None:
    if target.id in simulator.part(Trees).of:
        simulator.part(Trees).of[target.id].vanished(disk)


@control("POST", "guest/tree")
def begin(simulator: Simulator, query: dict[str, str], body: bytes) -> dict[str, str]:
    target = named(simulator, query["vm"])
    with target.lock:
        tree = Tree(simulator, target, Path(query["root"]))
        tree.begin()
        simulator.part(Trees).of[target.id] = tree
    return {"vm": target.id}


@control("DELETE", "guest/tree")
def end(simulator: Simulator, query: dict[str, str], body: bytes) -> dict[str, str]:
    target = named(simulator, query["vm"])
    with target.lock:
        simulator.part(Trees).of.pop(target.id).end()
    return {}


@reports("torn")
def torn(simulator: Simulator) -> list[str]:
    """Paths of disks that were taken from under a guest."""
    return simulator.part(Trees).torn


def _copy(image: Disk, file: Path) -> None:
    """Only what the layers hold."""
    with open(file, "wb") as stream:
        os.truncate(stream.fileno(), image.size)
        for offset, length in image.allocated().areas(image.size):
            os.pwrite(stream.fileno(), image.read(offset, length), offset)
