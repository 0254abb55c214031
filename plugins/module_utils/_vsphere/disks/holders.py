# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which virtual machines have a disk attached, or need its file for a disk of theirs."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import DiskInUse
from ..connection import libraries
from ..connection.collect import collect, properties
from ..machine.free_slot import slot_of
from ..machine.machine import NONPERSISTENT, Attached, Machine
from ..machine.tree import all_snapshots

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..connection.session import Session
    from ..machine.machine import ManagedFile

_DEVICES = "config.hardware.device"
_PATHS = ("name", _DEVICES, "snapshot")


@dataclasses.dataclass(frozen=True)
class Holder:
    """A machine that needs the file. `how` completes "web01 …".

    `writes`: it has the disk itself attached, and else only needs it to stay as it is. `shares`:
    others may write to it as well.
    """

    name: str
    moref: str
    how: str
    writes: bool = False
    shares: bool = False


def holders(session: Session, disk: ManagedFile) -> list[Holder]:
    """Of all machines on the disk's datastore, templates too. Raises DiskError.

    vSphere itself looks no further than the locks of running machines.
    """
    vms = properties(session, disk.datastore, ("vm",)).get("vm", ())
    rows = collect(session, libraries.vim().VirtualMachine, _PATHS, objects=vms)
    machines = [Machine(ref, str(facts.get("name", ref._moId)), facts) for ref, facts in rows]
    _refuse_blind([each.name for each in machines if _DEVICES not in each.facts], disk)
    found = [holder for machine in machines for holder in _current(machine, disk)]
    known = {holder.moref for holder in found}
    others = [machine for machine in machines if machine.ref._moId not in known]
    return [*found, *_frozen(session, others, disk)]


def _current(machine: Machine, disk: ManagedFile) -> Iterator[Holder]:
    for device in machine.disks:
        if disk.is_behind(device.backing):
            attached = Attached(device, slot_of(machine.devices, device))
            where = f" at {attached.slot.name}" if attached.slot else ""
            how = f"has it attached{where}"
            writes = attached.mode != NONPERSISTENT
            yield Holder(machine.name, machine.ref._moId, how, writes, attached.is_shared)
        elif _is_below(device.backing, disk):
            yield Holder(machine.name, machine.ref._moId, "has a disk that stands on it")


def _frozen(session: Session, machines: list[Machine], disk: ManagedFile) -> Iterator[Holder]:
    """Snapshots need files that the machine itself does not have attached any more."""
    nodes = {
        node.snapshot._moId: (machine, node)
        for machine in machines
        for node in all_snapshots(machine.facts)
    }
    rows = collect(
        session,
        libraries.vim().vm.Snapshot,
        (_DEVICES,),
        objects=[node.snapshot for _machine, node in nodes.values()],
    )
    for ref, facts in rows:
        machine, node = nodes[ref._moId]
        if _DEVICES not in facts:
            _refuse_blind([f'{machine.name}, snapshot "{node.name}"'], disk)
        backings = [device.backing for device in Machine(ref, "", facts).disks]
        if any(disk.is_behind(each) or _is_below(each, disk) for each in backings):
            how = f'has a snapshot "{node.name}" that holds it'
            yield Holder(machine.name, machine.ref._moId, how)


def _refuse_blind(names: list[str], disk: ManagedFile) -> None:
    """Who cannot be looked at may need the disk."""
    if names:
        raise DiskInUse(
            "nobody can tell whether these need the disk: their configuration cannot be read",
            path=disk.path,
            found=", ".join(names),
            hint="Give the user System.Read on them, or remove them from the inventory.",
        )


def _is_below(backing: t.Any, disk: ManagedFile) -> bool:
    parent = getattr(backing, "parent", None)
    return parent is not None and (disk.is_behind(parent) or _is_below(parent, disk))
