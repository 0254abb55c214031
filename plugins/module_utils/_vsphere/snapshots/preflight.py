# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What must be true of a VM before it gets a snapshot."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import AccessDenied, DiskInUse, NoSpace, UnsupportedDisk, VSphereFault
from ..connection import libraries
from ..connection.collect import collect, properties
from ..machine.frozen import disks_of, unheld
from ..machine.power_off import reverts
from ..machine.tree import all_snapshots
from .quiesce import GUEST

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..connection.session import Session

_VM = (
    *GUEST,
    "name",
    "config.instanceUuid",
    "snapshot",
    "config.extraConfig",
    "config.flags",
    "config.template",
    "config.hardware.device",
    "runtime.connectionState",
    "runtime.consolidationNeeded",
    "disabledMethod",
)
_NEEDED = ("CreateSnapshot_Task", "RemoveSnapshot_Task")


@dataclasses.dataclass(frozen=True)
class Limits:
    """When a snapshot would do harm.

    snapshots: how many a VM may have already; vSphere's end is a chain of 32, and each costs speed.
    free_share: of the disks on a datastore, what must be free there for what the guest writes
    while the snapshot exists; `free_least` bytes of it in any case.
    """

    snapshots: int = 16
    free_share: float = 0.1
    free_least: int = 1 << 30


def check_ready(session: Session, vm: t.Any, limits: Limits) -> dict[str, t.Any]:
    """What was read of the VM. Raises DiskInUse, NoSpace, UnsupportedDisk, VSphereFault."""
    of_vm = properties(session, vm, _VM)
    name = str(of_vm.get("name", vm._moId))
    _check_kind(of_vm, name)
    _check_state(of_vm, name)
    _check_chain(of_vm, name, limits)
    _check_space(session, of_vm, name, limits)
    return of_vm


def _check_kind(of_vm: Mapping[str, t.Any], name: str) -> None:
    if of_vm.get("config.template"):
        raise UnsupportedDisk("templates have no snapshots", path=name, hint="Read its files.")
    if of_vm.get("runtime.connectionState", "connected") != "connected":
        raise VSphereFault(
            "the VM is out of vCenter's reach",
            path=name,
            found=of_vm["runtime.connectionState"],
            hint="Look at its host in vCenter.",
        )
    _check_power_off(of_vm, name)


def _check_power_off(of_vm: Mapping[str, t.Any], name: str) -> None:
    if reverts(of_vm.get("config.flags"), of_vm.get("config.extraConfig")):
        raise UnsupportedDisk(
            "it reverts to its snapshot when it is powered off: what the guest writes while a"
            " snapshot of ours is there would be lost",
            path=name,
            hint="Set what its snapshots do at power-off to 'powerOff' first.",
        )


def _check_state(of_vm: Mapping[str, t.Any], name: str) -> None:
    disabled = [each for each in of_vm.get("disabledMethod", ()) if each in _NEEDED]
    # vCenter disables the removal where there is nothing to remove.
    if not of_vm.get("snapshot"):
        disabled = [each for each in disabled if each != "RemoveSnapshot_Task"]
    if disabled:
        raise DiskInUse(
            "vCenter does not allow snapshots of it at the moment",
            path=name,
            found=f"{', '.join(disabled)} disabled",
            hint=(
                "Another backup or migration may be running. If none is, its leftover can be"
                " cleared as VMware's KB 2008957 says."
            ),
        )
    if of_vm.get("runtime.consolidationNeeded"):
        raise VSphereFault(
            "its disks need consolidation",
            path=name,
            hint="Consolidate them first (Snapshots, Consolidate); a snapshot would make it worse.",
        )


def _check_chain(of_vm: Mapping[str, t.Any], name: str, limits: Limits) -> None:
    count = sum(1 for _node in all_snapshots(of_vm))
    if count >= limits.snapshots:
        raise VSphereFault(
            "it has too many snapshots already",
            path=name,
            found=count,
            expected=f"fewer than {limits.snapshots}",
            hint="Delete those that nobody needs.",
        )


def _check_space(session: Session, of_vm: Mapping[str, t.Any], name: str, limits: Limits) -> None:
    growth: dict[str, int] = {}
    places = {}
    for disk in disks_of(of_vm.get("config.hardware.device", ())):
        datastore = getattr(disk.backing, "datastore", None)
        if datastore is not None and unheld(disk) is None:
            places[datastore._moId] = datastore
            growth[datastore._moId] = growth.get(datastore._moId, 0) + disk.capacityInKB * 1024
    paths = ("name", "summary.freeSpace")
    rows = collect(session, libraries.vim().Datastore, paths, objects=places.values())
    for datastore, row in rows:
        needed = max(limits.free_least, int(growth[datastore._moId] * limits.free_share))
        if "summary.freeSpace" not in row:
            raise AccessDenied(
                "the free space of a datastore cannot be read",
                path=str(row.get("name", datastore._moId)),
                hint="Give the user System.Read on the datastores of the VM.",
            )
        if row["summary.freeSpace"] < needed:
            raise NoSpace(
                f"the datastore {row['name']} is too full for a snapshot",
                path=name,
                found=f"{row['summary.freeSpace']} bytes free",
                expected=f"{needed}",
                hint="While a snapshot exists, all that the guest writes needs new space.",
            )
