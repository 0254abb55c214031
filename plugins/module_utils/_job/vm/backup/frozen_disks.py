# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The disks of a machine that hold still: as its snapshot holds them, or those of a template."""

from __future__ import annotations

import typing as t

from ...._transport.frozen import FrozenDisk
from ...._vsphere.connection.collect import properties
from ...._vsphere.machine.free_slot import slot_of
from ...._vsphere.machine.frozen import (
    build_of_host,
    chain_of,
    disks_of,
    kinds_of_datastores,
    slot_names,
)

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ...._vsphere.machine.marks import DiskMark
    from ...._vsphere.snapshots.journal import Journal
    from .subject import Subject

_DEVICES = "config.hardware.device"


def frozen_disks(
    subject: Subject, journal: Journal, snapshot: t.Any, marks: Sequence[DiskMark]
) -> list[FrozenDisk]:
    """Those that the snapshot holds. Raises DiskError."""
    session = subject.session
    devices = properties(session, snapshot, (_DEVICES,)).get(_DEVICES, ())
    by_key = {disk.key: disk for disk in disks_of(devices)}
    return [
        FrozenDisk(
            session=session,
            journal=journal,
            vm=subject.vm,
            vm_name=subject.name,
            snapshot=snapshot,
            device=by_key[mark.key],
            name=mark.label,
            path=mark.path,
            size=mark.capacity,
            uuid=mark.uuid,
            storage=mark.storage,
            host_build=mark.host_build,
            is_encrypted=_is_encrypted(by_key[mark.key]),
        )
        for mark in marks
    ]


def still_disks(subject: Subject, journal: Journal) -> list[FrozenDisk]:
    """Of a template, as it is; or of any machine, to foresee what would be done with its disks.
    Raises DiskError."""
    devices = subject.values.get(_DEVICES, ())
    slots = slot_names(devices)
    kinds = kinds_of_datastores(subject.session, devices)
    build = build_of_host(subject.session, subject.values.get("runtime.host"))
    return [
        FrozenDisk(
            session=subject.session,
            journal=journal,
            vm=subject.vm,
            vm_name=subject.name,
            snapshot=None,
            device=disk,
            name=slots[disk.key],
            path=chain_of(disk.backing)[0],
            size=disk.capacityInBytes or disk.capacityInKB * 1024,
            uuid=str(getattr(disk.backing, "uuid", None) or ""),
            storage=kinds.get(disk.key, ""),
            host_build=build,
            is_encrypted=_is_encrypted(disk),
        )
        for disk in disks_of(devices)
    ]


def facts_of(disk: FrozenDisk, devices: Sequence[t.Any]) -> dict[str, t.Any]:
    """What is kept of a disk in the restore point; `devices` are all of its machine."""
    slot = slot_of(devices, disk.device)
    backing = disk.device.backing
    facts = {
        "disk_type": _disk_type(backing),
        "adapter_type": _adapter_type(slot.kind if slot else ""),
        "controller": slot.kind if slot else None,
        "mode": str(getattr(backing, "diskMode", None) or "persistent"),
        "storage": disk.storage,
        "encrypted": disk.is_encrypted or None,
        "first_class": getattr(getattr(disk.device, "vDiskId", None), "id", None),
    }
    return {name: value for name, value in facts.items() if value is not None}


def label_of(disk: FrozenDisk) -> str:
    info = disk.device.deviceInfo
    return str(info.label) if info else disk.name


def _disk_type(backing: t.Any) -> str:
    """Of the disk at the bottom: what lies above it are redo logs."""
    while getattr(backing, "parent", None) is not None:
        backing = backing.parent
    if getattr(backing, "eagerlyScrub", None):
        return "eagerZeroedThick"
    return "thin" if getattr(backing, "thinProvisioned", None) else "thick"


def _adapter_type(kind: str) -> str:
    """As the descriptors of disks in files name it."""
    if kind == "buslogic":
        return "buslogic"
    return "ide" if kind == "ide" else "lsilogic"


def _is_encrypted(disk: t.Any) -> bool:
    return getattr(disk.backing, "keyId", None) is not None
