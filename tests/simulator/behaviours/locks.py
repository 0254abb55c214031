# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has a file open: a running machine locks its disks' chains, readers lock frozen files."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from ..handlers import guards_files, mode
from ..soap import Fault, tag
from .devices import VirtualDisk, disks_of
from .machines import Machines
from .readers import readers_of

if TYPE_CHECKING:
    from ..simulator import Simulator

# Reading the flat file of a running machine: some hosts refuse, some do not (PegaProx#553).
mode("lock_live_flat", True)


@dataclasses.dataclass
class Holder:
    """One disk of one machine."""

    id: str
    name: str
    is_on: bool
    disk: VirtualDisk

    @property
    def shares(self) -> bool:
        """A nonpersistent disk only reads the file: its writes go to a redo log."""
        multi_writer = self.disk.backing.findtext("sharing") == "sharingMultiWriter"
        return self.disk.mode.endswith("nonpersistent") or multi_writer


class Holders:
    """Of all disks there are; asked anew when a machine has changed."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._version = -1
        self._all: list[Holder] = []

    def all(self) -> list[Holder]:
        version = self._simulator.part(Machines).version
        if version != self._version:
            self._all, self._version = _ask(self._simulator), version
        return self._all


def _ask(simulator: Simulator) -> list[Holder]:
    wanted = ("name", "runtime.powerState", "config.hardware.device")
    found = simulator.upstream.all("VirtualMachine", *wanted)
    return [
        Holder(id, of["name"].text or "", of["runtime.powerState"].text == "poweredOn", disk)
        for id, of in found.items()
        if "config.hardware.device" in of
        for disk in disks_of(of["config.hardware.device"])
    ]


def holders_of(simulator: Simulator, path: str) -> list[Holder]:
    """Those whose chain has this file in it."""
    return [holder for holder in simulator.part(Holders).all() if path in holder.disk.chain()]


def locked(path: str) -> Fault:
    """What the managers of files and disks say."""
    return Fault(
        "FileLocked", f"Unable to access file {path} since it is locked", tag("file", path)
    )


def cannot_open(path: str) -> Fault:
    """What a machine says that wants to use the disk."""
    reason = (
        f"Cannot open the disk '{path}' or one of the snapshot disks it depends on."
        " Failed to lock the file"
    )
    return Fault("GenericVmConfigFault", reason, tag("reason", reason))


def refuse_change(simulator: Simulator, path: str) -> None:
    """Before a disk is deleted, moved, grown, or written through the manager of disks."""
    for holder in holders_of(simulator, path):
        if holder.is_on or len(holder.disk.chain()) > 1 or holder.id in _readers(simulator, path):
            raise locked(path)
    if _readers(simulator, path):
        raise locked(path)


def refuse_reading(simulator: Simulator, path: str) -> None:
    """Copying a disk reads it: only the file that a running machine writes to is out of reach."""
    for holder in holders_of(simulator, path):
        if holder.is_on and holder.disk.path == path and not holder.shares:
            raise locked(path)


def _readers(simulator: Simulator, path: str) -> list[str]:
    try:
        layer = simulator.images.open(path).top
    except (OSError, ValueError, KeyError):
        return []
    return readers_of(simulator, layer)


@guards_files
def guard(simulator: Simulator, verb: str, path: str) -> str | None:
    """`/folder`: data files of running machines cannot be read, nor those in use replaced."""
    if not path.endswith(("-flat.vmdk", "-sesparse.vmdk", "-delta.vmdk")):
        return None
    if verb != "PUT" and not simulator.mode["lock_live_flat"]:
        return None
    disk = _descriptor_of(path)
    for holder in holders_of(simulator, disk):
        # In place only without snapshots (VDDK 7.0.3.1 release notes): deltas need what is below.
        if holder.is_on or (verb == "PUT" and len(holder.disk.chain()) > 1):
            return f"{path} is locked by {holder.name}"
    if verb == "PUT" and _readers(simulator, disk):
        return f"{path} is being read"
    return None


def _descriptor_of(path: str) -> str:
    for suffix in ("-flat.vmdk", "-sesparse.vmdk", "-delta.vmdk"):
        if path.endswith(suffix):
            return path.removesuffix(suffix) + ".vmdk"
    return path
