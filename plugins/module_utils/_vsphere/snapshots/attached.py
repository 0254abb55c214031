# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Disks that runs have attached to a proxy, as their journals tell of them."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskInUse, ObjectNotFound
from ..connection import libraries
from ..machine.machine import NONPERSISTENT, ManagedFile, find_attached, look_at

if t.TYPE_CHECKING:
    from ..connection.session import Session
    from ..machine.machine import Attached, Machine
    from .journal import Entry, Journal

ATTACH = "attach"  # kind of entries in a journal


def reference(session: Session, kind: str, moref: str) -> t.Any:
    """A managed object by its id."""
    stub = session.content.rootFolder._stub
    return getattr(libraries.vim(), kind)(moref, stub)


def attached_at(session: Session, vm: t.Any, entry: Entry) -> Attached | None:
    """The device that an entry means. Raises DiskInUse where it may be there under another name,
    DiskError where it cannot be seen."""
    facts, machine = entry.facts, look_at(session, vm)
    datastore = reference(session, "Datastore", facts["datastore"])
    disk = ManagedFile(facts["path"], datastore, facts.get("uuid"))
    attached = find_attached(machine, disk, ())
    # In any other mode it is a disk of that machine's own.
    mode = facts.get("mode", NONPERSISTENT)
    if attached is None and disk.uuid:
        _refuse_alike(machine, disk, mode)
    return attached if attached is not None and attached.mode == mode else None


def _refuse_alike(machine: Machine, disk: ManagedFile, mode: str) -> None:
    """A host may show the redo log alone; and a copy, that others have attached, has its uuid."""
    for device in machine.disks_with(str(disk.uuid)):
        if getattr(device.backing, "diskMode", None) == mode:
            raise DiskInUse(
                f"{machine.name} has a disk with its uuid, under another name",
                path=disk.path,
                found=getattr(device.backing, "fileName", None),
                hint="If no job is reading that, detach it by hand, and keep its files.",
            )


def require_detached(session: Session, journal: Journal) -> None:
    """All that a run has attached: vSphere may remove a snapshot under a proxy that reads it.

    Raises DiskInUse; DiskError where that cannot be seen.
    """
    for entry in journal.open_entries():
        if entry.kind != ATTACH or entry.facts.get("vcenter") != session.identity:
            continue
        proxy = reference(session, "VirtualMachine", entry.facts["vm"])
        try:
            attached = attached_at(session, proxy, entry)
        except ObjectNotFound:
            continue
        if attached is not None:
            raise DiskInUse(
                "is still attached to the proxy, so the snapshot must stay",
                path=entry.facts["path"],
                found=entry.facts.get("vm_name"),
            )
