# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What runs that were killed left in a vCenter: disks are detached, then snapshots removed."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import DiskError, ObjectNotFound
from ..connection import libraries
from ..connection.collect import collect
from ..disks.attach import detach
from ..machine.machine import NONPERSISTENT, ManagedFile, find_attached, look_at
from ..machine.tree import all_snapshots
from .journal import Journal, abandoned, host_name, known_runs
from .naming import maker, snapshot_name
from .removal import Patience, consolidate, remove_snapshot

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..connection.session import Session
    from .journal import Entry


# A run has work of its own to do, and what it cannot remove now, the next one will try again.
_SHORT = Patience(removal=180.0, consolidation=900.0, settling=60.0)


@dataclasses.dataclass(frozen=True)
class Swept:
    """One leftover. `done`: it is gone; `message` says what it was, or why it is still there."""

    vm: str
    run: str
    done: bool
    message: str


def sweep(
    session: Session, vms: Iterable[t.Any] = (), patience: Patience | None = None
) -> list[Swept]:
    """What dead runs of this host left in this vCenter; and of `vms`, what runs elsewhere left.

    An entry that fails is told of, and tried again by the next run. Raises DiskError if the
    journals cannot be read.
    """
    found: list[Swept] = []
    for journal in abandoned():
        found.extend(_Sweep(session, journal, patience or _SHORT).all())
    return [*found, *_strangers(session, vms)]


class _Sweep:
    def __init__(self, session: Session, journal: Journal, patience: Patience) -> None:
        self._session, self._journal, self._patience = session, journal, patience
        self._vcenter = session.identity

    def all(self) -> Iterator[Swept]:
        # A snapshot cannot go while its disks are attached somewhere.
        attached = False
        for entry in sorted(self._journal.open_entries(), key=_turn):
            if entry.facts.get("vcenter") != self._vcenter:
                yield from self._elsewhere(entry)
            elif not attached or entry.kind == "attach":
                for swept in self._one(entry):
                    attached |= entry.kind == "attach" and not swept.done
                    yield swept

    def _elsewhere(self, entry: Entry) -> Iterator[Swept]:
        """Of another vCenter, which will be swept when a run goes there; if it still exists."""
        hostname = self._session.vcenter.hostname
        if entry.facts.get("hostname") != hostname:
            return
        yield Swept(
            str(entry.facts.get("vm_name", entry.facts["vm"])),
            self._journal.run,
            False,
            f"{self._what(entry)} was left alone: {hostname} is not the vCenter that it was then"
            f" (its instance uuid was {entry.facts.get('vcenter')} and is {self._vcenter}), and may"
            f" call other VMs by the same ids; look for it, and then delete {self._journal.path}",
        )

    def _one(self, entry: Entry) -> Iterator[Swept]:
        name = str(entry.facts.get("vm_name", entry.facts["vm"]))
        run = self._journal.run
        try:
            message = self._undo(entry)
            self._journal.done(entry.number)
        except DiskError as error:
            yield Swept(name, run, False, f"{self._what(entry)} is still there: {error}")
            return
        if message is not None:
            yield Swept(name, run, True, message)

    def _undo(self, entry: Entry) -> str | None:
        """What was done; None if there was nothing left to do. Raises DiskError."""
        vm = _reference(self._session, "VirtualMachine", entry.facts["vm"])
        try:
            if entry.kind == "attach":
                return self._detach(vm, entry)
            if entry.kind == "consolidation":
                needed = consolidate(self._session, vm, self._journal, self._patience)
                return f"{self._what(entry)} was consolidated" if needed else None
            removed = remove_snapshot(self._session, vm, self._journal, self._patience)
            return f"{self._what(entry)} was removed" if removed else None
        except ObjectNotFound:  # the VM is gone, and all that was on it
            return None

    def _detach(self, vm: t.Any, entry: Entry) -> str | None:
        facts = entry.facts
        datastore = _reference(self._session, "Datastore", facts["datastore"])
        disk = ManagedFile(facts["path"], datastore, facts.get("uuid"))
        attached = find_attached(look_at(self._session, vm), disk, ())
        # In any other mode it is a disk of that machine's own.
        if attached is None or attached.mode != NONPERSISTENT:
            return None
        detach(self._session, vm, attached, disk.path)
        return f"{self._what(entry)} was detached"

    def _what(self, entry: Entry) -> str:
        head = self._journal.head()
        of = f"of a run that died ({head.get('purpose')}, {head.get('time')})"
        if entry.kind == "attach":
            return f"{entry.facts['path']} {of}"
        if entry.kind == "consolidation":
            return f"what is left of a snapshot {of}"
        return f'the snapshot "{snapshot_name(self._journal.run)}" {of}'


def _turn(entry: Entry) -> tuple[bool, bool]:
    return entry.kind != "attach", entry.kind == "consolidation"


def _strangers(session: Session, vms: Iterable[t.Any]) -> Iterator[Swept]:
    """Snapshots of ours that no journal on this host knows: whether their runs live, who knows."""
    known = known_runs()
    kind = libraries.vim().VirtualMachine
    for _vm, row in collect(session, kind, ("name", "snapshot"), objects=list(vms)):
        for node in all_snapshots(row):
            head = maker(node)
            if head is not None and head["run"] not in known:
                yield Swept(str(row["name"]), str(head["run"]), False, _whose(node.name, head))


def _whose(name: str, head: dict[str, t.Any]) -> str:
    if head.get("host") == host_name():
        why = "its journal is not in this host's VDISK_STATE_DIR"
        todo = "if no job is running there, delete it in vCenter"
    else:
        why = f"a run on {head.get('host')} made it, at {head.get('time')}"
        todo = "the next run there removes it, if that one died"
    return f'the snapshot "{name}" was left alone: {why}; {todo}'


def _reference(session: Session, kind: str, moref: str) -> t.Any:
    """A managed object by its id."""
    stub = session.content.rootFolder._stub
    return getattr(libraries.vim(), kind)(moref, stub)
