# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What runs that were killed left in a vCenter: disks are detached, then snapshots removed."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ..._device.errors import DiskError, DiskInUse, ObjectNotFound
from ..connection import libraries
from ..connection.collect import collect
from ..disks.attach import detach
from ..machine.tree import all_snapshots
from .attached import ATTACH, attached_at, reference
from .journal import Journal, abandoned, host_name, is_noted_by_the_living, known_runs
from .leases import LEASE, abort_lease
from .naming import maker, snapshot_name
from .removal import Patience, consolidate, is_at_work, remove_snapshot
from .unfinished import MADE, WRITTEN, remove_made, unfinished_since

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ..connection.session import Session
    from .journal import Entry


# A run has work of its own to do, and what it cannot remove now, the next one will try again. But a
# lease that nobody keeps alive holds a snapshot for 300 seconds.
_SHORT = Patience(removal=330.0, consolidation=900.0, settling=60.0)


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
            if entry.facts.get("vcenter") != self._vcenter or not self._is_due(entry):
                continue
            if not attached or entry.kind == ATTACH:
                for swept in self._one(entry):
                    attached |= entry.kind == ATTACH and not swept.done
                    yield swept
        yield from self._elsewhere()

    def _is_due(self, entry: Entry) -> bool:
        """Disks are consolidated once the snapshot is gone; whoever removes it does both."""
        if entry.kind != "consolidation":
            return True
        left = self._journal.open_entries()
        snapshots = {each.facts["vm"] for each in left if each.kind == "snapshot"}
        return entry in left and entry.facts["vm"] not in snapshots

    def _elsewhere(self) -> Iterator[Swept]:
        """Of another vCenter, which will be swept when a run goes there; if it still exists."""
        left = self._journal.open_entries()
        lost = [entry for entry in left if self._is_lost(entry)]
        path = self._journal.path
        todo = f"then delete {path}"
        if len(lost) < len(left):
            todo = f"keep {path}, which tells of other things too"
        for entry in lost:
            yield self._told_of_lost(entry, todo)

    def _is_lost(self, entry: Entry) -> bool:
        here = self._session.vcenter.hostname, self._vcenter
        return entry.facts.get("hostname") == here[0] and entry.facts.get("vcenter") != here[1]

    def _told_of_lost(self, entry: Entry, todo: str) -> Swept:
        hostname = self._session.vcenter.hostname
        return Swept(
            str(entry.facts.get("vm_name", entry.facts["vm"])),
            self._journal.run,
            False,
            f"{self._what(entry)} was left alone: {hostname} is not the vCenter that it was then"
            f" (its instance uuid was {entry.facts.get('vcenter')} and is {self._vcenter}), and may"
            f" call other VMs by the same ids; look for it, and {todo}",
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
        if entry.kind == MADE:
            done = remove_made(self._session, entry, self._journal.run)
            return f"{self._what(entry)} {done}" if done else None
        if entry.kind == LEASE:
            there = abort_lease(self._session, entry)
            return f"{self._what(entry)} was ended" if there else None
        vm = reference(self._session, "VirtualMachine", entry.facts["vm"])
        try:
            return self._undo_at(vm, entry)
        except ObjectNotFound:
            again = self._registered_again(entry)
            if again is None:  # the VM is gone, and all that was on it
                return None
            if again._moId == vm._moId:
                raise
        return self._undo_at(again, entry)

    def _undo_at(self, vm: t.Any, entry: Entry) -> str | None:
        if entry.kind == WRITTEN:
            self._remind(vm)
            return None
        if entry.kind == ATTACH:
            return self._detach(vm, entry)
        if entry.kind == "consolidation":
            needed = consolidate(self._session, vm, self._journal, self._patience)
            return f"{self._what(entry)} was consolidated" if needed else None
        removed = remove_snapshot(self._session, vm, self._journal, self._patience)
        return f"{self._what(entry)} was removed" if removed else None

    def _registered_again(self, entry: Entry) -> t.Any:
        """The VM, if it is known by another id now."""
        uuid, index = entry.facts.get("instance_uuid"), self._session.content.searchIndex
        if not uuid:
            return None
        return self._session.read(
            lambda: index.FindByUuid(None, uuid, True, True), "look for a VM by its uuid"
        )

    def _remind(self, vm: t.Any) -> str | None:
        """Nobody but the next restore can make the machine whole again."""
        if unfinished_since(self._session, vm, self._journal.run):
            raise DiskInUse(
                "some of its disks are as they were, others as in the restore point, or a mixture",
                hint="Restore it again (vmdk_restore), from the same restore point or another one.",
            )
        return None

    def _detach(self, vm: t.Any, entry: Entry) -> str | None:
        path = entry.facts["path"]
        self._let_changes_end(vm, path)
        attached = attached_at(self._session, vm, entry)
        if attached is None:
            return None
        if is_noted_by_the_living(self._journal.run, entry):
            raise DiskInUse("a run that is at work has it attached", path=path)
        detach(self._session, vm, attached, path)
        return f"{self._what(entry)} was detached"

    def _let_changes_end(self, vm: t.Any, path: str) -> None:
        """A request of the dead run may still be at work, and attach the disk later."""
        end = time.monotonic() + self._patience.settling
        while is_at_work(self._session, vm, "reconfig"):
            if time.monotonic() >= end:
                raise DiskInUse("vCenter is still changing the machine", path=path)
            time.sleep(self._patience.pause)

    def _what(self, entry: Entry) -> str:
        head = self._journal.head()
        of = f"of a run that died ({head.get('purpose')}, {head.get('time')})"
        if entry.kind == ATTACH:
            return f"{entry.facts['path']} {of}"
        if entry.kind == MADE:
            return f"the unfinished machine {entry.facts['vm_name']} {of}"
        if entry.kind == WRITTEN:
            return f"the unfinished restore {of}"
        if entry.kind == "consolidation":
            return f"what is left of a snapshot {of}"
        if entry.kind == LEASE:
            return f"the lease of a transfer {of}"
        return f'the snapshot "{snapshot_name(self._journal.run)}" {of}'


def _turn(entry: Entry) -> tuple[bool, bool]:
    """Leases, too, hold what a snapshot needs."""
    return entry.kind not in (ATTACH, LEASE), entry.kind == "consolidation"


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
