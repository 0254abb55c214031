# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Getting rid of a snapshot of ours, and of all that it leaves behind."""

from __future__ import annotations

import contextlib
import dataclasses
import time
import typing as t

from ..._device.errors import AccessDenied, DiskError, VSphereFault
from ..connection import libraries, tasks
from ..connection.collect import collect, properties
from ..connection.errors import fault_name
from ..machine.readable import readable_properties
from ..machine.tree import all_snapshots
from .attached import require_detached
from .naming import maker

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..connection.session import Session
    from .journal import Journal

T = t.TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Patience:
    """Seconds to go on trying. A vCenter that restarts is back in ten minutes; a merge that goes on
    behind the task that began it may take hours. `settling`: how long what others do is waited for
    before the removal is tried at all."""

    removal: float = 900.0
    consolidation: float = 6 * 3600.0
    settling: float = 300.0
    pause: float = 2.0
    longest_pause: float = 30.0


def remove_snapshot(session: Session, vm: t.Any, journal: Journal, patience: Patience) -> bool:
    """Until no snapshot of that run is left, and its disks are consolidated. Whether there was one.

    Raises ObjectNotFound where the VM is gone, DiskError when patience ends, also where there was
    none and one may still come; DiskInUse at once while that run has disks attached.
    """
    require_detached(session, journal)
    removal = _Removal(session, vm, journal, patience)
    at_rest = removal.insist(removal.settle, patience.removal)
    removal.insist(removal.remove, patience.removal)
    if removal.begun:
        removal.insist(removal.consolidate, patience.consolidation)
        if removal.owed is not None:
            journal.done(removal.owed)
    elif not at_rest:
        raise VSphereFault(
            "vCenter is at work on a snapshot of it, and whether that is ours cannot be seen yet",
            path=vm._moId,
            hint="Look at its tasks in vCenter.",
        )
    return removal.begun


def consolidate(session: Session, vm: t.Any, journal: Journal, patience: Patience) -> bool:
    """What a run still owed to a VM when it died. Whether there was anything to do.

    Raises as remove_snapshot().
    """
    removal = _Removal(session, vm, journal, patience)
    needed = removal.needs_consolidation()
    removal.insist(removal.consolidate, patience.consolidation)
    return needed


def whereabouts(
    session: Session, vm: t.Any, name: str | None, instance_uuid: str | None = None
) -> dict[str, str]:
    """Of a VM, for the journal. It keeps its uuid where it is registered anew."""
    return {
        "vcenter": session.identity,
        "hostname": session.vcenter.hostname,
        "vm": str(vm._moId),
        "vm_name": str(name),
        "instance_uuid": instance_uuid or "",
    }


def snapshot_of(session: Session, vm: t.Any, run: str) -> t.Any | None:
    """The node of the snapshot that a run made. Raises DiskError."""
    of_vm = readable_properties(session, vm, ("snapshot",))
    for node in all_snapshots(of_vm):
        head = maker(node)
        if head is not None and head["run"] == run:
            return node
    return None


class _Removal:
    def __init__(self, session: Session, vm: t.Any, journal: Journal, patience: Patience) -> None:
        self._session, self._vm, self._patience = session, vm, patience
        self._journal = journal
        self.begun = False  # to remove one
        self.owed: int | None = None  # entry of the consolidation that follows a removal

    def settle(self) -> bool:
        """A request whose answer was lost may still be at work, and make a snapshot later. False
        where that was so for as long as we wait."""
        end = time.monotonic() + self._patience.settling
        while self._is_at_work():
            if time.monotonic() >= end:
                return False
            time.sleep(self._patience.pause)
        return True

    def remove(self) -> None:
        run = self._journal.run
        while (node := snapshot_of(self._session, self._vm, run)) is not None:
            what = f"remove the snapshot {node.name}"
            tasks.wait(self._session, self._begin(node.snapshot, what), what)

    def _begin(self, snapshot: t.Any, what: str) -> t.Any:
        """Who dies after it leaves disks that nobody would consolidate. A refusal owes nothing."""
        noted = None
        self.owed = self.owed or self._debt()
        if self.owed is None:
            self.owed = noted = self._note_debt()
        self.begun = True
        try:
            return self._session.call(_removing(snapshot), what)
        except DiskError as error:
            if fault_name(error) is not None and noted is not None:
                with contextlib.suppress(DiskError):  # it costs a look later
                    self._journal.done(noted)
                self.owed, self.begun = None, False
            raise

    def _debt(self) -> int | None:
        """Of this run, from a removal before."""
        for entry in self._journal.open_entries():
            if entry.kind == "consolidation" and entry.facts["vm"] == self._vm._moId:
                return entry.number
        return None

    def _note_debt(self) -> int | None:
        """None where nothing can be written: a full disk must not keep the snapshot, which is in
        the journal itself."""
        found = properties(self._session, self._vm, ("name", "config.instanceUuid"))
        facts = whereabouts(
            self._session, self._vm, found.get("name"), found.get("config.instanceUuid")
        )
        with contextlib.suppress(DiskError):
            return self._journal.note("consolidation", **facts)
        return None

    def consolidate(self) -> None:
        if not self.needs_consolidation():
            return
        what = "consolidate its disks"
        task = self._session.call(self._vm.ConsolidateVMDisks_Task, what)
        tasks.wait(self._session, task, what)
        if self.needs_consolidation():
            raise VSphereFault("its disks still need consolidation", path=self._vm._moId)

    def insist(self, action: Callable[[], T], seconds: float) -> T:
        """Again and again while it fails, as long as there is hope."""
        end, pause = time.monotonic() + seconds, self._patience.pause
        while True:
            try:
                return action()
            except DiskError as error:
                if self._is_hopeless(error) or time.monotonic() + pause > end:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, self._patience.longest_pause)

    def _is_hopeless(self, error: DiskError) -> bool:
        """Whether the VM itself is gone, or we may not do that, or are not let in any more: too
        many wrong passwords lock an account."""
        gone = getattr(getattr(error.__cause__, "obj", None), "_moId", None)
        denied = isinstance(error, AccessDenied) and fault_name(error) != "NotAuthenticated"
        return bool(gone == self._vm._moId) or denied

    def needs_consolidation(self) -> bool:
        needed = "runtime.consolidationNeeded"
        return bool(readable_properties(self._session, self._vm, (needed,)).get(needed))

    def _is_at_work(self) -> bool:
        """The rest of what others do with the VM is no concern of ours."""
        return is_at_work(self._session, self._vm, "snapshot")


def is_at_work(session: Session, vm: t.Any, what: str) -> bool:
    """Whether vCenter has a task of that kind under way on a VM. Raises DiskError."""
    recent = properties(session, vm, ("recentTask",)).get("recentTask", ())
    kind, paths = libraries.vim().Task, ("info.state", "info.descriptionId")
    return any(
        row.get("info.state") not in tasks.ENDED
        and what in str(row.get("info.descriptionId", what)).lower()
        for _task, row in collect(session, kind, paths, objects=recent)
    )


def _removing(snapshot: t.Any) -> Callable[[], t.Any]:
    """Of this one only: what others put on top of it stays."""
    return lambda: snapshot.RemoveSnapshot_Task(removeChildren=False, consolidate=True)
