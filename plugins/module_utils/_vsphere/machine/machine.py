# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A virtual machine and its disks as they are now."""

from __future__ import annotations

import dataclasses
import typing as t

from ..connection import libraries
from ..connection.collect import collect
from .free_slot import Slot, slot_of
from .frozen import chain_of, disks_of
from .readable import readable_properties
from .tree import all_snapshots
from .uuids import plain_uuid

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..connection.session import Session

NONPERSISTENT = "independent_nonpersistent"
_MACHINE = (
    "name", "config.instanceUuid", "config.hardware.device", "config.extraConfig",
    "config.changeVersion", "config.keyId", "config.files.vmPathName", "snapshot",
    "runtime.powerState", "runtime.host", "runtime.consolidationNeeded",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class ManagedFile:
    """A disk on a datastore. `first_class` is its id where it is a first-class disk."""

    path: str
    datastore: t.Any
    uuid: str | None = None
    first_class: str | None = None

    def is_behind(self, backing: t.Any) -> bool:
        """Whether a backing means this file. Its folder may have two names on vSAN: then the uuid
        tells."""
        name = str(getattr(backing, "fileName", None) or "")
        if name == self.path:
            return True
        place, uuid = getattr(backing, "datastore", None), getattr(backing, "uuid", None)
        same_name = name.rpartition("/")[2] == self.path.rpartition("/")[2]
        same_place = place is not None and place._moId == self.datastore._moId
        return bool(same_name and same_place and uuid and self._has(uuid))

    def _has(self, uuid: str) -> bool:
        return self.uuid is not None and plain_uuid(self.uuid) == plain_uuid(uuid)


@dataclasses.dataclass(frozen=True)
class Machine:
    """A virtual machine as it is now."""

    ref: t.Any
    name: str
    facts: dict[str, t.Any]

    @property
    def devices(self) -> Sequence[t.Any]:
        devices: Sequence[t.Any] = self.facts.get("config.hardware.device", ())
        return devices

    @property
    def disks(self) -> list[t.Any]:
        return disks_of(self.devices)

    def disks_with(self, uuid: str) -> list[t.Any]:
        """Those of that uuid: a copy of a disk keeps it."""
        wanted = plain_uuid(uuid)
        known = ((disk, getattr(disk.backing, "uuid", None)) for disk in self.disks)
        return [disk for disk, its in known if its and plain_uuid(its) == wanted]

    @property
    def is_on(self) -> bool:
        return bool(self.facts.get("runtime.powerState") == "poweredOn")

    @property
    def enable_uuid(self) -> bool:
        """Whether the guest gets to know the uuids of its disks."""
        options = self.facts.get("config.extraConfig") or ()
        found = {str(each.key).lower(): str(each.value) for each in options}
        return found.get("disk.enableuuid", "").lower() == "true"


@dataclasses.dataclass(frozen=True)
class Attached:
    """A disk at its place. `snapshots` are the names of those that hold it."""

    device: t.Any
    slot: Slot | None
    snapshots: tuple[str, ...] = ()

    @property
    def mode(self) -> str | None:
        mode: str | None = getattr(self.device.backing, "diskMode", None)
        return mode

    @property
    def is_independent(self) -> bool:
        return str(self.mode).startswith("independent")

    @property
    def is_shared(self) -> bool:
        """Whether several virtual machines may write to it."""
        return getattr(self.device.backing, "sharing", None) == "sharingMultiWriter"

    @property
    def uuid(self) -> str | None:
        return getattr(self.device.backing, "uuid", None) or None


def look_at(session: Session, vm: t.Any) -> Machine:
    """Raises ObjectNotFound; AccessDenied and VSphereFault where it cannot be read just now."""
    facts = readable_properties(session, vm, _MACHINE)
    return Machine(vm, str(facts.get("name", vm._moId)), facts)


def frozen_disks_of(session: Session, machine: Machine) -> list[tuple[str, t.Any]]:
    """(name of a snapshot, disk) of all that the machine's snapshots hold. Raises DiskError."""
    names = {node.snapshot._moId: node for node in all_snapshots(machine.facts)}
    refs = [node.snapshot for node in names.values()]
    if not refs:
        return []
    rows = collect(session, libraries.vim().vm.Snapshot, ("config.hardware.device",), objects=refs)
    return [
        (str(names[ref._moId].name), device)
        for ref, facts in rows
        for device in disks_of(facts.get("config.hardware.device", ()))
    ]


def find_attached(
    machine: Machine, disk: ManagedFile, frozen: Sequence[tuple[str, t.Any]]
) -> Attached | None:
    """The device that is this disk, also where it now stands on redo logs of the snapshots."""
    for device in machine.disks:
        held = [(name, old) for name, old in frozen if _grew_out_of(device, old)]
        backings = [device.backing, *(old.backing for _name, old in held)]
        if any(map(disk.is_behind, backings)) or _is_it(device, disk):
            slot = slot_of(machine.devices, device)
            return Attached(device, slot, tuple(name for name, _old in held))
    return None


def _grew_out_of(device: t.Any, old: t.Any) -> bool:
    """Keys are given again: another disk may be in the place of one that a snapshot holds."""
    if old.key != device.key:
        return False
    now, then = (getattr(each.backing, "uuid", None) for each in (device, old))
    return old.backing.fileName in chain_of(device.backing) or bool(
        now and then and plain_uuid(now) == plain_uuid(then)
    )


def _is_it(device: t.Any, disk: ManagedFile) -> bool:
    if disk.first_class is not None and device.vDiskId is not None:
        return bool(device.vDiskId.id == disk.first_class)
    # What is written in this mode goes into a redo log.
    mode = getattr(device.backing, "diskMode", None)
    return mode == NONPERSISTENT and disk.path in chain_of(device.backing)
