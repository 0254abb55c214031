# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""When attaching or detaching a managed disk would break something, and what to know about it."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskInUse, InvalidRequest, TransportUnavailable
from ..._vsphere.disks.holders import holders
from ..._vsphere.disks.reach import NFS, VSAN, host_without, kind_of_datastore, lives_on
from ..._vsphere.machine.machine import NONPERSISTENT

if t.TYPE_CHECKING:
    from ..._vsphere.connection.session import Session
    from ..._vsphere.machine.machine import Attached, Machine, ManagedFile


def refuse_if_needed_elsewhere(
    session: Session,
    disk: ManagedFile,
    mode: str,
    *,
    multi_writer: bool,
    besides: Machine | None = None,
) -> None:
    """Raises DiskInUse, and says where. What only looks at a frozen disk does not harm it."""
    known = None if besides is None else besides.ref._moId
    found = [holder for holder in holders(session, disk) if holder.moref != known]
    if mode == NONPERSISTENT:
        found = [holder for holder in found if holder.writes]
    if multi_writer:
        found = [holder for holder in found if not holder.shares]
    if found:
        raise DiskInUse(
            "the disk is in use",
            path=disk.path,
            found="; ".join(f"{holder.name} ({holder.moref}) {holder.how}" for holder in found),
            hint="Detach it there first (state: absent). Two machines that write to one disk"
            " destroy it, unless both have it attached with sharing: multiwriter and run a cluster"
            " file system."
            if any(holder.writes for holder in found)
            else "What stands on the disk would be destroyed by a write to it. Delete the"
            " snapshots, or attach it with mode: independent_nonpersistent, which only reads it.",
        )


def refuse_out_of_reach(session: Session, machine: Machine, disk: ManagedFile) -> None:
    """Raises TransportUnavailable where the machine's host does not have the datastore."""
    name = host_without(session, machine, disk.datastore)
    if name is None:
        return
    raise TransportUnavailable(
        f"the host of {machine.name}, {name}, cannot reach the datastore",
        path=disk.path,
        hint="Move the virtual machine to a host that has this datastore, or copy the disk to a"
        " datastore that the host has.",
    )


def refuse_sharing(machine: Machine) -> None:
    """vSphere makes no snapshots of disks that are shared. Raises InvalidRequest."""
    if machine.facts.get("snapshot") is not None:
        raise InvalidRequest(
            f"{machine.name} has snapshots: it cannot have a disk with sharing: multiwriter",
            hint="Delete the snapshots first.",
        )


def refuse_mode_change(machine: Machine, attached: Attached, mode: str, path: str) -> None:
    """Raises DiskInUse."""
    if machine.is_on:
        why = f"{machine.name} is running"
        hint = "Power it off first, or detach the disk and attach it again."
    elif attached.snapshots:
        why = f"snapshots of {machine.name} hold it: {', '.join(attached.snapshots)}"
        hint = "Delete them first."
    else:
        return
    raise DiskInUse(
        f"its mode cannot change now, because {why}",
        path=path,
        found=attached.mode,
        expected=mode,
        hint=hint,
    )


def refuse_torn_chain(machine: Machine, attached: Attached, path: str) -> None:
    """A disk that snapshots hold is a chain of files; it would be torn. Raises DiskInUse."""
    if attached.snapshots and not attached.is_independent:
        raise DiskInUse(
            f"snapshots of {machine.name} hold it",
            path=path,
            found=", ".join(attached.snapshots),
            hint="Delete them first: the disk is on redo logs above the file that they need, and"
            " vSphere would delete that file with the last of them.",
        )
    stands_on_another = getattr(attached.device.backing, "parent", None) is not None
    if stands_on_another and machine.facts.get("runtime.consolidationNeeded"):
        raise DiskInUse(
            f"{machine.name} still has redo logs of snapshots that are gone",
            path=path,
            hint="Consolidate its disks first (Snapshots > Consolidate).",
        )


def warnings_of_attaching(
    session: Session, machine: Machine, disk: ManagedFile, mode: str, *, encrypted: bool
) -> list[str]:
    """What to know before it is too late."""
    told = []
    if mode == NONPERSISTENT:
        told += _of_looking_at_a_frozen_disk(session, machine, disk)
    elif machine.facts.get("snapshot") is not None:
        told.append(
            f"{machine.name} has snapshots: going back to one of them detaches {disk.path}."
        )
    if encrypted and machine.facts.get("config.keyId") is None:
        told.append(
            f"{disk.path} is encrypted and {machine.name} is not: vCenter attaches it to encrypted"
            " virtual machines only, and wants the privileges Cryptographer.AddDisk and"
            " Cryptographer.Access."
        )
    return told


def warnings_of_detaching(machine: Machine, attached: Attached) -> list[str]:
    """The same for the other way."""
    if not attached.snapshots:
        return []
    names = ", ".join(attached.snapshots)
    return [f"Going back to one of the snapshots of {machine.name} attaches it again: {names}."]


def _of_looking_at_a_frozen_disk(
    session: Session, machine: Machine, disk: ManagedFile
) -> list[str]:
    kind = kind_of_datastore(session, disk.datastore)
    told = []
    if kind in NFS:
        told.append(
            f"{disk.path} is on NFS: with version 3 and hosts before ESXi 8.0 U2b, the machine that"
            " it belongs to can stand still for half a minute when its snapshot goes. Keep"
            f" {machine.name} on the same host as that one."
        )
    if kind == VSAN and not lives_on(session, machine, VSAN):
        told.append(
            f"{disk.path} is on vSAN and {machine.name} is not: this fails or corrupts what is read"
            " (VMware's KB 306343). Move the virtual machine to the vSAN datastore."
        )
    return told
