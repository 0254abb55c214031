# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The disks of a VM as a snapshot holds them."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import AccessDenied
from ..connection import libraries
from ..connection.collect import collect, properties
from .free_slot import slot_of
from .marks import DiskMark, tracker_of
from .tree import ancestors, find_snapshot

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ..connection.session import Session

_VM = ("snapshot", "config.changeTrackingEnabled", "config.extraConfig", "runtime.host")
_SNAPSHOT = ("config.hardware.device", "config.changeVersion")


@dataclasses.dataclass(frozen=True)
class Frozen:
    """The disks that a snapshot holds, and for the others, by slot, why it does not hold them."""

    marks: tuple[DiskMark, ...]
    unprotected: dict[str, str]


def frozen_disks(session: Session, vm: t.Any, snapshot: t.Any, task: str) -> Frozen:
    """All of it read afresh. `task` is the key of the task that made the snapshot.

    Raises DiskError.
    """
    of_vm = properties(session, vm, _VM)
    of_snapshot = properties(session, snapshot, _SNAPSHOT)
    devices = of_snapshot.get("config.hardware.device")
    if devices is None:  # that must not look like a VM without disks
        raise AccessDenied(
            "what the snapshot holds cannot be read",
            path=str(vm._moId),
            hint="Give the user System.Read on the VM.",
        )
    slots = slot_names(devices)
    unprotected = {slots[disk.key]: why for disk in disks_of(devices) if (why := unheld(disk))}
    held = [disk for disk in disks_of(devices) if unheld(disk) is None]
    reader = _Reader(session, vm, of_vm, of_snapshot, find_snapshot(of_vm, snapshot), task)
    marks = tuple(reader.mark(disk, slots[disk.key]) for disk in held)
    return Frozen(marks, unprotected)


def running_tracker(session: Session, vm: t.Any, key: int) -> str | None:
    """Who tracks the changes of a disk now; None if nobody does. Raises DiskError."""
    return running_trackers(session, vm).get(key)


def running_trackers(session: Session, vm: t.Any) -> dict[int, str | None]:
    """The same for all disks of a VM, by their keys. Raises DiskError."""
    path = "config.hardware.device"
    found = _ids(properties(session, vm, (path,)).get(path, ())) or {}
    return {key: tracker_of(change_id) for key, change_id in found.items()}


def unheld(disk: t.Any) -> str | None:
    """Why no snapshot holds a disk; None if one does."""
    backing = disk.backing
    if str(getattr(backing, "diskMode", None) or "").startswith("independent"):
        return "it is independent: snapshots leave it out"
    if getattr(backing, "compatibilityMode", None) == "physicalMode":
        return "it is a physical raw device mapping: snapshots leave it out"
    if getattr(backing, "sharing", None) == "sharingMultiWriter":
        return "other VMs may write to it: snapshots leave it out"
    return None


class _Reader:
    def __init__(
        self,
        session: Session,
        vm: t.Any,
        of_vm: dict[str, t.Any],
        of_snapshot: dict[str, t.Any],
        node: t.Any,
        task: str,
    ) -> None:
        self._of_vm, self._of_snapshot, self._node, self._task = of_vm, of_snapshot, node, task
        self._vcenter, self._vm = session.identity, str(vm._moId)
        below = ancestors(of_vm, node)
        self._snapshots = tuple(each.id for each in below)
        self._older = _change_ids(session, below)
        self._build = build_of_host(session, of_vm.get("runtime.host"))
        devices = of_snapshot.get("config.hardware.device", [])
        self._storage = kinds_of_datastores(session, devices)

    def mark(self, disk: t.Any, slot: str) -> DiskMark:
        backing = disk.backing
        change_id = getattr(backing, "changeId", None) or None
        unfit = self._untracked(slot, change_id)
        blind = None if unfit else self._blind(disk.key, change_id)
        return DiskMark(
            vcenter=self._vcenter,
            vm=self._vm,
            key=disk.key,
            label=slot,
            uuid=str(getattr(backing, "uuid", None) or ""),
            capacity=disk.capacityInBytes or disk.capacityInKB * 1024,
            change_id=change_id,
            untracked=unfit or blind or self._unseen(),
            blind=blind is not None,
            chain=chain_of(backing),
            snapshots=self._snapshots,
            change_version=str(self._of_snapshot.get("config.changeVersion", "")),
            host_build=self._build,
            storage=self._storage.get(disk.key, ""),
            task=self._task,
            taken_at=self._node.createTime.isoformat(),
        )

    def _untracked(self, slot: str, change_id: str | None) -> str | None:
        """The flag of the VM and those of its disks can differ; none may be off. Where a disk has
        none, or it may not be read, the change id decides: vSphere gives one only if it tracks."""
        if not self._of_vm.get("config.changeTrackingEnabled"):
            return "changed block tracking is off for the VM"
        setting = f"{slot}.ctkEnabled"
        options = self._of_vm.get("config.extraConfig") or ()
        flags = {each.key.lower(): str(each.value).lower() for each in options}
        if flags.get(setting.lower(), "true") != "true":
            return f"changed block tracking is off for the disk ({setting})"
        return None if change_id else "vSphere gives it no change id"

    def _unseen(self) -> str | None:
        for name, ids in self._older:
            if ids is None:
                return f'whether it was tracked in the snapshot "{name}" cannot be read'
        return None

    def _blind(self, key: int, change_id: str | None) -> str | None:
        """Tracking that begins under a snapshot reports too little: since 6.5 without an error."""
        for name, ids in self._older:
            if ids and key in ids and tracker_of(ids[key]) != tracker_of(change_id):
                return (
                    "changed block tracking was switched on or restarted while the VM had the"
                    f' snapshot "{name}": delete that, and switch it off and on again'
                )
        return None


def disks_of(devices: Iterable[t.Any]) -> list[t.Any]:
    """Those of the devices that are disks."""
    disk = libraries.vim().vm.device.VirtualDisk
    return [device for device in devices if isinstance(device, disk)]


def slot_names(devices: Sequence[t.Any]) -> dict[int, str]:
    """Where each disk sits (`scsi0:0`), by its device key."""
    slots = {disk.key: slot_of(devices, disk) for disk in disks_of(devices)}
    return {key: slot.name if slot else f"disk{key}" for key, slot in slots.items()}


def chain_of(backing: t.Any) -> tuple[str, ...]:
    """The file of a disk, and those below it."""
    files = []
    while backing is not None:
        files.append(str(getattr(backing, "fileName", None) or backing.descriptorFileName))
        backing = getattr(backing, "parent", None)
    return tuple(files)


def build_of_host(session: Session, host: t.Any) -> str:
    """Empty where it may not be read."""
    path = "config.product.build"
    return "" if host is None else str(properties(session, host, (path,)).get(path, ""))


def _change_ids(
    session: Session, nodes: list[t.Any]
) -> list[tuple[str, dict[int, str | None] | None]]:
    """Of each snapshot, the change ids of its disks by their keys; None if they cannot be read."""
    kind, path = libraries.vim().vm.Snapshot, "config.hardware.device"
    rows = collect(session, kind, (path,), objects=[node.snapshot for node in nodes])
    devices = {ref._moId: row.get(path) for ref, row in rows}
    return [(str(node.name), _ids(devices.get(node.snapshot._moId))) for node in nodes]


def _ids(devices: Sequence[t.Any] | None) -> dict[int, str | None] | None:
    if devices is None:
        return None
    return {disk.key: getattr(disk.backing, "changeId", None) or None for disk in disks_of(devices)}


def kinds_of_datastores(session: Session, devices: Sequence[t.Any]) -> dict[int, str]:
    """Of the datastore of each disk, by its key."""
    places = {
        disk.key: datastore
        for disk in disks_of(devices)
        if (datastore := getattr(disk.backing, "datastore", None)) is not None
    }
    unique = list({datastore._moId: datastore for datastore in places.values()}.values())
    rows = collect(session, libraries.vim().Datastore, ("summary.type",), objects=unique)
    kinds = {moref._moId: str(row.get("summary.type", "")) for moref, row in rows}
    return {key: kinds.get(datastore._moId, "") for key, datastore in places.items()}
