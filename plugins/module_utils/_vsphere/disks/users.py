# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which virtual machines use a disk, and which of them run."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import DiskInUse
from ..connection import libraries
from ..connection.collect import collect
from ..machine.machine import ManagedFile
from .holders import holders

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..connection.session import Session
    from .paths import Place


@dataclasses.dataclass(frozen=True)
class User:
    """A machine that needs the file. `how` completes "web01 …"."""

    name: str
    moref: str
    how: str
    runs: bool

    def facts(self) -> dict[str, t.Any]:
        """For a result."""
        return dataclasses.asdict(self)


def users_of(session: Session, place: Place, uuid: str | None) -> list[User]:
    """Raises DiskError."""
    file = ManagedFile(str(place), place.datastore, uuid)
    found = holders(session, file)
    kind = libraries.vim().VirtualMachine
    refs = [kind(holder.moref, place.datastore._stub) for holder in found]
    states = {
        ref._moId: facts.get("runtime.powerState")
        for ref, facts in collect(session, kind, ("runtime.powerState",), objects=refs)
    }
    return [
        User(each.name, each.moref, each.how, states.get(each.moref) != "poweredOff")
        for each in found
    ]


def running(users: Sequence[User]) -> list[User]:
    """Those that may write to the disk this moment; a suspended machine counts as one."""
    return [user for user in users if user.runs]


def refuse_users(users: Sequence[User], place: Place, what: str) -> None:
    """Raises DiskInUse."""
    if users:
        first = users[0]
        raise DiskInUse(
            f"cannot {what}: the virtual machine {first.name} {first.how}",
            path=str(place),
            found=", ".join(user.name for user in users) if len(users) > 1 else None,
            hint="Detach it with vdisk.lifecycle.vmdk_attach (state: absent), or do it through the"
            " virtual machine.",
        )
