# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What stands in the way of backing up a virtual machine: first the fact, then what to do."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

CBT_SINCE = 7  # hardware version
MANY_SNAPSHOTS = 4
_DEPENDENT = "set its mode to Dependent (persistent) while the virtual machine is off"


@dataclasses.dataclass(frozen=True)
class Concern:
    """What an operator should know. One that `blocks` leaves disks without protection."""

    text: str
    blocks: bool = False


def of_disk(disk: t.Any, controller: t.Any, *, tracking: bool) -> Iterator[Concern]:
    """Of one disk. `tracking`: changed block tracking is on for the virtual machine."""
    backing = disk.backing
    mode = str(getattr(backing, "diskMode", None) or "")
    compatibility = getattr(backing, "compatibilityMode", None)
    if compatibility == "physicalMode":
        yield _PHYSICAL_RDM
    elif mode == "independent_nonpersistent":
        yield _NONPERSISTENT
    elif mode.startswith("independent"):
        yield _INDEPENDENT
    if getattr(backing, "sharing", None) == "sharingMultiWriter":
        yield _MULTI_WRITER
    elif shares_bus(controller):
        yield _SHARED_BUS
    if compatibility == "virtualMode":
        yield _VIRTUAL_RDM
    if getattr(backing, "keyId", None) is not None:
        yield _ENCRYPTED
    if tracking and not getattr(backing, "changeId", None):
        yield _NOT_YET_TRACKED


def shares_bus(controller: t.Any) -> bool:
    """Whether other virtual machines may have the disks of a controller, too."""
    return getattr(controller, "sharedBus", None) in ("physicalSharing", "virtualSharing")


def of_machine(values: Mapping[str, t.Any], snapshots: int) -> Iterator[Concern]:
    """Of a virtual machine as a whole. `values` are those of protect.PATHS."""
    on = values.get("runtime.powerState") == "poweredOn"
    template = bool(values.get("config.template"))
    if values.get("runtime.connectionState", "connected") != "connected":
        yield _out_of_reach(values["runtime.connectionState"])
    elif "config.hardware.device" not in values:
        yield _UNREADABLE
    if values.get("runtime.consolidationNeeded"):
        yield _CONSOLIDATE
    if values.get("runtime.faultToleranceState") not in (None, "notConfigured"):
        yield _FAULT_TOLERANT
    yield from _of_devices(values.get("config.hardware.device") or (), on=on)
    if template:
        yield _TEMPLATE
    else:
        yield from _of_tracking(values, snapshots)
    if snapshots >= MANY_SNAPSHOTS:
        yield _many(snapshots)
    if on and values.get("guest.toolsRunningStatus") != "guestToolsRunning":
        yield _NO_TOOLS


def hw_version(values: Mapping[str, t.Any]) -> int | None:
    """Of `vmx-21`, 21."""
    digits = str(values.get("config.version") or "").rpartition("-")[2]
    return int(digits) if digits.isdigit() else None


def _of_devices(devices: Sequence[t.Any], *, on: bool) -> Iterator[Concern]:
    names = {type(device).__name__.rpartition(".")[2] for device in devices}
    if any(shares_bus(device) for device in devices):
        yield _BUS_IS_SHARED
    if on and "VirtualPCIPassthrough" in names:
        yield _PASSTHROUGH
    if "VirtualTPM" in names:
        yield _TPM


def _of_tracking(values: Mapping[str, t.Any], snapshots: int) -> Iterator[Concern]:
    version = hw_version(values)
    if version is not None and version < CBT_SINCE:
        yield _too_old(version)
    elif not values.get("config.changeTrackingEnabled"):
        yield _UNTRACKED_WITH_SNAPSHOTS if snapshots else _UNTRACKED


_PHYSICAL_RDM = Concern(
    "A raw device mapping in physical mode: snapshots leave it out. Map it in virtual mode, or back"
    " it up inside the guest or in the storage array.",
    blocks=True,
)
_INDEPENDENT = Concern(
    f"Independent: snapshots leave it out. To protect it, {_DEPENDENT}; or back it up inside the"
    " guest.",
    blocks=True,
)
_NONPERSISTENT = Concern(
    "Independent and nonpersistent: snapshots leave it out, and what the guest writes is gone when"
    f" it powers off. If it holds something to keep, {_DEPENDENT}.",
    blocks=True,
)
_MULTI_WRITER = Concern(
    "Several virtual machines may write to it (multi-writer): no snapshot can hold it. Back it up"
    " inside the guest, with the tools of the cluster that uses it.",
    blocks=True,
)
_SHARED_BUS = Concern(
    "On a controller that shares its bus: no snapshot can hold it. Back it up inside the guest,"
    " with the tools of the cluster that uses it.",
    blocks=True,
)
_BUS_IS_SHARED = Concern(
    "A controller shares its bus with other virtual machines: vSphere takes no snapshots of this"
    " one. Back it up inside the guest; or set SCSI bus sharing to None if the cluster is gone.",
    blocks=True,
)
_VIRTUAL_RDM = Concern(
    "A raw device mapping in virtual mode: it is backed up, and comes back as an ordinary disk."
)
_ENCRYPTED = Concern(
    "Encrypted: backups hold its content in the clear, so encrypt the repository; and note the"
    " storage policy and key provider, which a restore to another vCenter needs."
)
_NOT_YET_TRACKED = Concern(
    "Changed block tracking is on for the virtual machine but not yet in effect for this disk: it"
    " is read as a whole until a snapshot, a power cycle or a migration has come after."
)
_UNREADABLE = Concern(
    "Its configuration cannot be read, so nothing is known of its disks. Does the user have the"
    " privilege System.Read on it, and is its datastore within reach?",
    blocks=True,
)
_CONSOLIDATE = Concern(
    "Its disks need consolidation: a removed snapshot left files behind, which grow. Consolidate"
    " (Snapshots, Consolidate) before the next backup.",
    blocks=True,
)
_FAULT_TOLERANT = Concern(
    "Fault Tolerance is on: vSphere takes no snapshots that a backup could read. Turn it off for"
    " the time of the backup, or back up inside the guest.",
    blocks=True,
)
_PASSTHROUGH = Concern(
    "A PCI device is passed through: vSphere takes no snapshots while it is powered on. Back it up"
    " when it is off, or inside the guest.",
    blocks=True,
)
_TPM = Concern(
    "It has a virtual TPM, whose secrets no backup holds: keep the recovery keys of BitLocker or"
    " LUKS elsewhere."
)
_TEMPLATE = Concern(
    "A template: it has no snapshots and needs none, as nobody writes to it; backups read its files"
    " and leave out those that have not changed."
)
_UNTRACKED = Concern(
    "Changed block tracking is off: every backup reads whole disks. It can be turned on while"
    " there is no snapshot, and works from the next snapshot or power cycle on."
)
_UNTRACKED_WITH_SNAPSHOTS = Concern(
    "Changed block tracking is off: every backup reads whole disks. It must not be turned on while"
    " there are snapshots, as vSphere would then report too little; delete them first."
)
_NO_TOOLS = Concern(
    "VMware Tools are not running: nothing brings the guest to rest, and a backup is as after a"
    " power failure. Install or start them."
)


def _out_of_reach(state: object) -> Concern:
    return Concern(
        f"vCenter says {state}: its host, or the datastore of its files, is out of reach. Look at"
        " both in vCenter.",
        blocks=True,
    )


def _too_old(version: int) -> Concern:
    return Concern(
        f"Hardware version {version} has no changed block tracking: every backup reads whole disks."
        f" Upgrade its compatibility to version {CBT_SINCE} or later while it is off."
    )


def _many(snapshots: int) -> Concern:
    return Concern(
        f"It has {snapshots} snapshots: each slows it down and takes space, and vSphere ends at 32"
        " in a row. Delete those that nobody needs."
    )
