# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""When a managed disk may be written to by the proxy: while nobody else has a use for it."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskInUse
from ..._vsphere.connection import libraries
from ..._vsphere.connection.collect import collect
from ..._vsphere.disks.holders import holders

if t.TYPE_CHECKING:
    from ..._vsphere.connection.session import Session
    from ..._vsphere.disks.holders import Holder
    from ..._vsphere.disks.paths import Place
    from ..._vsphere.machine.machine import ManagedFile

_PATHS = ("runtime.powerState", "snapshot")


def uuid_of(session: Session, place: Place) -> str:
    """Raises DiskNotFound."""
    manager = session.content.virtualDiskManager
    return str(
        session.read(
            lambda: manager.QueryVirtualDiskUuid(str(place), place.datacenter),
            "read the uuid of the disk",
            str(place),
        )
    )


def require_free(session: Session, file: ManagedFile, owner: str | None) -> None:
    """The machine with the id `owner` may have it attached, while it is off. Raises DiskInUse."""
    found = holders(session, file)
    kind = libraries.vim().VirtualMachine
    refs = [kind(holder.moref, file.datastore._stub) for holder in found]
    facts = {ref._moId: row for ref, row in collect(session, kind, _PATHS, objects=refs)}
    for holder in found:
        why = _objection(holder, facts.get(holder.moref, {}), owner)
        if why is not None:
            raise DiskInUse(
                f"must not be written to: {holder.name} {why}",
                path=file.path,
                hint="Power the machine off, and delete its snapshots, before its disks are"
                " written to. Detach them from other machines.",
            )


def _objection(holder: Holder, facts: dict[str, t.Any], owner: str | None) -> str | None:
    if not holder.writes:
        return holder.how
    if facts.get("runtime.powerState") != "poweredOff":
        return f"{holder.how} and is not off"
    if facts.get("snapshot") is not None:
        return "has snapshots"
    if holder.moref != owner:
        return f"{holder.how}, and is not the machine that is restored"
    return None
