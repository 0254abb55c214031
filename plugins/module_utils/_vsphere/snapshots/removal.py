# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Getting rid of a snapshot of ours, and of all that it leaves behind."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ..._device.errors import DiskError, VSphereFault
from ..connection import libraries, tasks
from ..connection.collect import collect, properties
from ..connection.errors import fault_name
from ..machine.tree import all_snapshots
from .naming import maker

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..connection.session import Session
    from .journal import Journal


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

    Raises ObjectNotFound where the VM is gone, DiskError when patience ends.
    """
    removal = _Removal(session, vm, journal, patience)
    removal.insist(removal.settle, patience.removal)
    removal.insist(removal.remove, patience.removal)
    if removal.owed is not None:
        removal.insist(removal.consolidate, patience.consolidation)
        journal.done(removal.owed)
    return removal.owed is not None


def consolidate(session: Session, vm: t.Any, journal: Journal, patience: Patience) -> bool:
    """What a run still owed to a VM when it died. Whether there was anything to do.

    Raises as remove_snapshot().
    """
    removal = _Removal(session, vm, journal, patience)
    needed = removal.needs_consolidation()
    removal.insist(removal.consolidate, patience.consolidation)
    return needed


def whereabouts(session: Session, vm: t.Any, name: str | None) -> dict[str, str]:
    """Of a VM, for the journal."""
    return {
        "vcenter": session.identity,
        "hostname": session.vcenter.hostname,
        "vm": str(vm._moId),
        "vm_name": str(name),
    }


def snapshot_of(session: Session, vm: t.Any, run: str) -> t.Any | None:
    """The node of the snapshot that a run made. Raises DiskError."""
    of_vm = properties(session, vm, ("snapshot",))
    for node in all_snapshots(of_vm):
        head = maker(node)
        if head is not None and head["run"] == run:
            return node
    return None


class _Removal:
    def __init__(self, session: Session, vm: t.Any, journal: Journal, patience: Patience) -> None:
        self._session, self._vm, self._patience = session, vm, patience
        self._journal = journal
        self.owed: int | None = None  # entry of the consolidation that follows a removal

    def settle(self) -> None:
        """A request whose answer was lost may still be at work, and make a snapshot later."""
        end = time.monotonic() + self._patience.settling
        while self._is_at_work() and time.monotonic() < end:
            time.sleep(self._patience.pause)

    def remove(self) -> None:
        run = self._journal.run
        while (node := snapshot_of(self._session, self._vm, run)) is not None:
            if self.owed is None:
                # Who dies between the two leaves disks that nobody would consolidate.
                name = properties(self._session, self._vm, ("name",)).get("name")
                facts = whereabouts(self._session, self._vm, name)
                self.owed = self._journal.note("consolidation", **facts)
            what = f"remove the snapshot {node.name}"
            task = self._session.call(_removing(node.snapshot), what)
            tasks.wait(self._session, task, what)

    def consolidate(self) -> None:
        if not self.needs_consolidation():
            return
        what = "consolidate its disks"
        task = self._session.call(self._vm.ConsolidateVMDisks_Task, what)
        tasks.wait(self._session, task, what)
        if self.needs_consolidation():
            raise VSphereFault("its disks still need consolidation", path=self._vm._moId)

    def insist(self, action: Callable[[], None], seconds: float) -> None:
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
        return bool(gone == self._vm._moId) or fault_name(error) in ("NoPermission", "InvalidLogin")

    def needs_consolidation(self) -> bool:
        needed = "runtime.consolidationNeeded"
        return bool(properties(self._session, self._vm, (needed,)).get(needed))

    def _is_at_work(self) -> bool:
        """On a snapshot; the rest of what others do with the VM is no concern of ours."""
        recent = properties(self._session, self._vm, ("recentTask",)).get("recentTask", ())
        kind, paths = libraries.vim().Task, ("info.state", "info.descriptionId")
        return any(
            row.get("info.state") not in ("success", "error")
            and "snapshot" in str(row.get("info.descriptionId", "snapshot")).lower()
            for _task, row in collect(self._session, kind, paths, objects=recent)
        )


def _removing(snapshot: t.Any) -> Callable[[], t.Any]:
    """Of this one only: what others put on top of it stays."""
    return lambda: snapshot.RemoveSnapshot_Task(removeChildren=False, consolidate=True)
