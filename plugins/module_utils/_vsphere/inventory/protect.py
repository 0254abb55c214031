# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Whether backups can protect a virtual machine's disks, and what to do where they cannot."""

from __future__ import annotations

import dataclasses
import typing as t

from ..machine.frozen import disks_of, slot_names
from ..machine.tree import all_snapshots
from . import concerns

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .concerns import Concern

# What must be read of a VM.
PATHS = (
    "config.hardware.device",
    "config.version",
    "config.template",
    "config.changeTrackingEnabled",
    "snapshot",
    "runtime.powerState",
    "runtime.connectionState",
    "runtime.consolidationNeeded",
    "runtime.faultToleranceState",
    "guest.toolsRunningStatus",
)


@dataclasses.dataclass(frozen=True)
class DiskReport:
    """A disk, and whether a backup can hold it."""

    key: int
    name: str
    label: str
    path: str
    size: int
    mode: str
    uuid: str | None
    change_tracking: bool
    protectable: bool
    concern: str | None


@dataclasses.dataclass(frozen=True)
class Report:
    """A VM's disks, and what is to be said about it as a whole."""

    disks: list[DiskReport]
    concerns: list[str]
    hw_version: int | None
    change_tracking: bool
    snapshots: int


def examine(values: Mapping[str, t.Any]) -> Report:
    """`values` are those of PATHS."""
    devices = values.get("config.hardware.device") or ()
    snapshots = sum(1 for _node in all_snapshots(values))
    tracking = bool(values.get("config.changeTrackingEnabled"))
    found = list(concerns.of_machine(values, snapshots))
    blocking = next((concern for concern in found if concern.blocks), None)
    by_key = {device.key: device for device in devices}
    slots = slot_names(devices)
    disks = []
    for disk in disks_of(devices):
        own = list(concerns.of_disk(disk, by_key.get(disk.controllerKey), tracking=tracking))
        disks.append(_report(disk, slots[disk.key], own, blocking))
    return Report(
        disks=disks,
        concerns=[concern.text for concern in found],
        hw_version=concerns.hw_version(values),
        change_tracking=tracking,
        snapshots=snapshots,
    )


def _report(disk: t.Any, slot: str, own: list[Concern], blocking: Concern | None) -> DiskReport:
    """What leaves the disk unprotected hides what else there is to say: that comes first."""
    backing = disk.backing
    stops = [concern for concern in own if concern.blocks] or ([blocking] if blocking else [])
    told = " ".join(concern.text for concern in stops or own)
    return DiskReport(
        key=disk.key,
        name=slot,
        label=str(disk.deviceInfo.label) if disk.deviceInfo else slot,
        path=str(getattr(backing, "fileName", None) or ""),
        size=int(disk.capacityInBytes or disk.capacityInKB * 1024),
        mode=str(getattr(backing, "diskMode", None) or "persistent"),
        uuid=getattr(backing, "uuid", None),
        change_tracking=bool(getattr(backing, "changeId", None)),
        protectable=not stops,
        concern=told or None,
    )
