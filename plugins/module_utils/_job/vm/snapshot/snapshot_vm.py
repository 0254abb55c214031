# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A snapshot of a virtual machine: taken and kept, removed, gone back to."""

from __future__ import annotations

import typing as t

from ...._device.errors import DiskError, DiskInUse, DiskNotFound, UnsupportedDisk
from ...._vsphere.connection import tasks
from ...._vsphere.connection.collect import properties
from ...._vsphere.connection.shared import shared_session
from ...._vsphere.machine.power_on import ON, look, power_on
from ...._vsphere.machine.tree import all_snapshots
from ...._vsphere.snapshots.journal import Journal
from ...._vsphere.snapshots.naming import description, snapshot_name
from ...._vsphere.snapshots.preflight import Limits, check_ready
from ...._vsphere.snapshots.removal import Patience, remove_snapshot, whereabouts
from ...._vsphere.snapshots.snapshots import snapshot
from ...._vsphere.snapshots.sweep import sweep
from ...plan import Plan, nothing_to_do
from ..backup.preflight import refuse_second_run, refuse_unfinished
from ..backup.subject import look_at, look_at_vm
from .kept import Kept, find_kept, new_note, refuse_name

if t.TYPE_CHECKING:
    from ...plan import Result
    from ..backup.subject import Subject
    from .request import VmSnapshotRequest

_POWER = "runtime.powerState"


def plan_vm_snapshot(request: VmSnapshotRequest, state: str) -> Plan:
    """present, absent or reverted. Raises DiskError."""
    refuse_name(request.name)
    subject = look_at_vm(shared_session(request.access.vcenter), request.vm)
    work = _Work(request, subject)
    plans = {"present": work.present, "absent": work.absent, "reverted": work.reverted}
    return plans[state]()


class _Work:
    def __init__(self, request: VmSnapshotRequest, subject: Subject) -> None:
        self._request, self._subject = request, subject
        self._session, self._vm = subject.session, subject.vm
        self._patience = request.patience or Patience()

    def present(self) -> Plan:
        """Taken, unless it is there."""
        kept = self._kept()
        if kept is not None:
            return self._as_it_is(kept)
        _refuse_partial(self._subject)
        self._refuse_unfinished()
        check_ready(self._session, self._vm, Limits())
        after = {"vm": self._subject.name, "name": self._request.name}
        return Plan({"snapshot": None}, {"snapshot": after}, {"snapshot": after}, self._take)

    def absent(self) -> Plan:
        """Removed, and its disks consolidated. What the guest wrote since stays."""
        kept = self._kept()
        if kept is None:
            return nothing_to_do({"snapshot": None}, {"snapshot": None})
        self._refuse_unfinished()
        before = kept.facts(self._subject.name)
        return Plan({"snapshot": before}, {"snapshot": None}, {"snapshot": None}, self._remove)

    def reverted(self) -> Plan:
        """The disks are as in the snapshot, which stays. Raises as _require_last()."""
        kept = self._require_last()
        self._refuse_unfinished()
        facts: Result = {"snapshot": kept.facts(self._subject.name)}
        result = {**facts, "powered_on": kept.note.was_on}
        before = {"disks": "as they are", "power_state": self._subject.values.get(_POWER)}
        after = {"disks": f"as in {self._request.name}", "power_state": kept.note.power_state}
        return Plan(before, after, result, self._revert)

    def _as_it_is(self, kept: Kept) -> Plan:
        facts: Result = {"snapshot": kept.facts(self._subject.name)}
        return nothing_to_do(facts, facts)

    def _take(self) -> Result:
        with self._run("snapshot") as (journal, warnings):
            request = self._request
            with snapshot(
                self._session, self._vm, journal, request.quiesce, patience=request.patience
            ) as taken:
                power = str(self._subject.values.get(_POWER))
                note = new_note(journal.head(), taken.level, power)
                # From now on no sweep takes it for a leftover.
                self._rename(taken.snapshot, request.name, note.text())
            kept = self._require(self._snapshots())
        return {"snapshot": kept.facts(self._subject.name), **_warned(warnings)}

    def _remove(self) -> Result:
        with self._run("removal of a snapshot") as (journal, warnings):
            kept = self._kept()
            if kept is None:  # somebody was faster
                return {"changed": False, "snapshot": None, **_warned(warnings)}
            uuid = self._subject.values.get("config.instanceUuid")
            where = whereabouts(self._session, self._vm, self._subject.name, uuid)
            number = journal.note("snapshot", **where)
            # It goes back to a run, so that a sweep completes what is interrupted now.
            self._rename(
                kept.node.snapshot, snapshot_name(journal.run), description(journal.head())
            )
            remove_snapshot(self._session, self._vm, journal, self._patience)
            journal.done(number)
        return {"snapshot": None, **_warned(warnings)}

    def _revert(self) -> Result:
        with self._run("revert") as (_journal, warnings):
            kept = self._require_last()
            what = f"go back to the snapshot {self._request.name}"
            task = self._session.call(
                lambda: kept.node.snapshot.RevertToSnapshot_Task(suppressPowerOn=True), what
            )
            tasks.wait(self._session, task, what, self._subject.name)
            powered = kept.note.was_on and self._power_on()
        facts = {"snapshot": kept.facts(self._subject.name), "powered_on": powered}
        return {**facts, **_warned(warnings)}

    def _power_on(self) -> bool:
        """Without memory, a machine is off after a revert. Raises DiskError."""
        name = self._subject.name
        if look(self._session, self._vm).power_state == ON:
            return True
        try:
            power_on(self._session, self._vm, name)
        except DiskError as error:
            told = f"{name} is off. Its disks are as in the snapshot: it can be powered on by hand."
            error.hint = " ".join(filter(None, (error.hint, told)))
            raise
        return True

    def _run(self, purpose: str) -> _Run:
        return _Run(self._subject, f"{purpose} of {self._subject.name}", self._request.patience)

    def _rename(self, node: t.Any, name: str, text: str) -> None:
        what = f"rename the snapshot to {name}"
        self._session.call(lambda: node.RenameSnapshot(name, text), what, self._subject.name)

    def _snapshots(self) -> dict[str, t.Any]:
        return properties(self._session, self._vm, ("snapshot",))

    def _kept(self) -> Kept | None:
        return find_kept(self._snapshots(), self._subject.name, self._request.name)

    def _require(self, of_vm: dict[str, t.Any]) -> Kept:
        """Raises DiskNotFound."""
        kept = find_kept(of_vm, self._subject.name, self._request.name)
        if kept is None:
            raise DiskNotFound(
                f"there is no snapshot {self._request.name}",
                path=self._subject.name,
                found=", ".join(str(node.name) for node in all_snapshots(of_vm)) or "no snapshot",
            )
        return kept

    def _require_last(self) -> Kept:
        """Who took another one since, or went back to another one, wants what was written from
        there on. Raises DiskInUse, DiskNotFound."""
        of_vm = self._snapshots()
        kept = self._require(of_vm)
        newer = [str(node.name) for node in kept.node.childSnapshotList or ()]
        if newer:
            raise DiskInUse(
                f"there are newer snapshots than {self._request.name}",
                path=self._subject.name,
                found=", ".join(newer),
                hint="Remove those first, or go back by hand.",
            )
        current = of_vm["snapshot"].currentSnapshot
        if not current or current._moId != kept.node.snapshot._moId:
            raise DiskInUse(
                f"the machine does not stand on the snapshot {self._request.name} any more,"
                " so somebody went back to another one since",
                path=self._subject.name,
                hint="What was written since would be lost. If that is meant, go back by hand.",
            )
        return kept

    def _refuse_unfinished(self) -> None:
        """A restore that is at work needs the disks. Raises DiskInUse."""
        refuse_unfinished(self._subject.name, self._subject.values.get("config.extraConfig"))


class _Run:
    """with _Run(…) as (journal, warnings): what dead runs have left was swept."""

    def __init__(self, subject: Subject, purpose: str, patience: Patience | None) -> None:
        self._subject, self._patience = subject, patience
        self._journal = Journal.begin(purpose, subject.source_id)

    def __enter__(self) -> tuple[Journal, list[str]]:
        try:
            return self._journal, self._begin()
        except BaseException:
            self._journal.close()
            raise

    def __exit__(self, *_exc: object) -> None:
        self._journal.close()

    def _begin(self) -> list[str]:
        session, vm, journal = self._subject.session, self._subject.vm, self._journal
        swept = sweep(session, [vm], self._patience)
        subject = look_at(session, vm)  # as it is without our leftovers
        refuse_second_run(subject, journal.run, [each.run for each in swept if not each.done])
        refuse_unfinished(subject.name, subject.values.get("config.extraConfig"))
        return [f"{each.vm}: {each.message}" for each in swept]


def _refuse_partial(subject: Subject) -> None:
    """Going back would leave such disks as they are. Raises UnsupportedDisk."""
    found = {disk.name: str(disk.concern) for disk in subject.report.disks if not disk.protectable}
    if found:
        raise UnsupportedDisk(
            "a snapshot would not hold all of its disks, so there would be no way back",
            path=subject.name,
            found=" ".join(f"{name}: {why}" for name, why in found.items()),
        )


def _warned(warnings: list[str]) -> Result:
    return {"warnings": warnings} if warnings else {}
