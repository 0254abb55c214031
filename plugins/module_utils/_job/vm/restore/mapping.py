# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which disk of a machine is which of a restore point."""

from __future__ import annotations

import dataclasses
import typing as t

from ...._device.errors import DiskNotFound, InvalidRequest
from ...._vsphere.machine.frozen import slot_names
from ...._vsphere.machine.uuids import plain_uuid

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...._repository.format.manifest import PointDisk
    from ...._vsphere.machine.machine import Machine

_OTHERWISE = (
    "Restore the machine as a new one (new_name), or this disk alone to a new managed disk"
    ' (restore_point with #{name}, dest: "[datastore] …") and attach that.'
)


@dataclasses.dataclass(frozen=True)
class Pair:
    """A disk of the point, and the machine's own that it belongs to, now at `slot`."""

    point: PointDisk
    device: t.Any  # vim.vm.device.VirtualDisk
    slot: str
    vm: t.Any  # whose it is

    @property
    def owner(self) -> str:
        """The id of that machine."""
        return str(self.vm._moId)

    @property
    def path(self) -> str:
        return str(self.device.backing.fileName)

    @property
    def uuid(self) -> str | None:
        return getattr(self.device.backing, "uuid", None) or None

    @property
    def size(self) -> int:
        return int(self.device.capacityInBytes or self.device.capacityInKB << 10)


def pair_disks(
    disks: Sequence[PointDisk],
    machine: Machine,
    *,
    same: bool,
    among: Sequence[PointDisk] | None = None,
) -> list[Pair]:
    """Of the very machine (`same`) by their uuids, wherever they are now; else by their places.

    among: all disks of the point, where `disks` are only some. Raises DiskNotFound, InvalidRequest
    where one is missing, another one, or of another size, and where it cannot be told from a copy.
    """
    slots = slot_names(machine.devices)
    by_slot = {slots[device.key]: device for device in machine.disks}
    found: dict[str, Pair] = {}
    for disk in disks:
        own = _same_uuid(disk, by_slot, among or disks, machine) if same and disk.uuid else None
        device = own or by_slot.get(disk.name)
        if device is None:
            raise _missing(disk, machine, by_slot)
        pair = Pair(disk, device, slots[device.key], machine.ref)
        if own is None and same and disk.uuid and pair.uuid:
            raise _another(pair, machine)
        if pair.size != disk.size:
            raise _resized(pair, machine)
        if pair.slot in found:
            raise _copies(disk, machine, [pair.slot])
        found[pair.slot] = pair
    return [*found.values()]


def _same_uuid(
    disk: PointDisk, by_slot: dict[str, t.Any], among: Sequence[PointDisk], machine: Machine
) -> t.Any:
    """None where there is none. A disk that was restored beside the original has its uuid: which
    of them is meant, its place must say. Raises InvalidRequest."""
    uuid = plain_uuid(disk.uuid)
    found = {slot: each for slot, each in by_slot.items() if _has(each, uuid)}
    recorded = [each.uuid for each in among if each.uuid and plain_uuid(each.uuid) == uuid]
    is_twin = len(found) > 1 or len(recorded) > 1
    if found and is_twin and disk.name not in found:
        raise _copies(disk, machine, sorted(found))
    return found.get(disk.name) if is_twin else next(iter(found.values()), None)


def _has(device: t.Any, uuid: str) -> bool:
    found = getattr(device.backing, "uuid", None)
    return found is not None and found != "" and plain_uuid(found) == uuid


def _copies(disk: PointDisk, machine: Machine, slots: list[str]) -> InvalidRequest:
    return InvalidRequest(
        f"nobody can tell which disk of {machine.name} is {disk.name} of the restore point: there"
        " are copies with the same uuid, or two would be one disk",
        found=", ".join(slots),
        expected=disk.name,
        hint=f"Detach the copies, or attach the disk that is meant at {disk.name}.",
    )


def _missing(disk: PointDisk, machine: Machine, by_slot: dict[str, t.Any]) -> DiskNotFound:
    return DiskNotFound(
        f"{machine.name} does not have the disk {disk.name} of the restore point",
        found=", ".join(sorted(by_slot)) or "no disk",
        expected=f"uuid {disk.uuid}" if disk.uuid else disk.name,
        hint=_OTHERWISE.format(name=disk.name),
    )


def _another(pair: Pair, machine: Machine) -> InvalidRequest:
    return InvalidRequest(
        f"{machine.name} has another disk at {pair.slot} than was backed up",
        path=pair.path,
        found=f"uuid {pair.uuid}",
        expected=pair.point.uuid,
        hint=_OTHERWISE.format(name=pair.point.name),
    )


def _resized(pair: Pair, machine: Machine) -> InvalidRequest:
    return InvalidRequest(
        f"the disk {pair.slot} of {machine.name} has another size than when it was backed up",
        path=pair.path,
        found=f"{pair.size} bytes",
        expected=f"{pair.point.size} bytes",
        hint=_OTHERWISE.format(name=pair.point.name),
    )
