# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Switching changed block tracking on, or off and on again, for the next backup."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError
from ..connection import libraries, tasks
from ..connection.collect import properties
from ..connection.errors import fault_name
from ..machine.frozen import running_trackers
from ..machine.tree import all_snapshots
from ..snapshots.quiesce import CRASH_CONSISTENT
from ..snapshots.snapshots import snapshot

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ..connection.session import Session
    from ..machine.marks import DiskMark
    from ..snapshots.journal import Journal
    from ..snapshots.preflight import Limits
    from ..snapshots.removal import Patience

_ENABLED = "config.changeTrackingEnabled"
_VM = (
    "snapshot",
    _ENABLED,
    "capability.changeTrackingSupported",
    "config.changeVersion",
    "runtime.consolidationNeeded",
    "runtime.powerState",
)


def prepare_tracking(
    session: Session,
    vm: t.Any,
    journal: Journal,
    earlier: Iterable[DiskMark],
    *,
    limits: Limits | None = None,
    patience: Patience | None = None,
) -> str | None:
    """Before the snapshot of a backup: on, and begun anew where the last restore point, of which
    `earlier` are the marks, found it blind. None, or the reason why all has to be read.

    Raises DiskError where vCenter is gone, or a snapshot of ours stays.
    """
    running = running_trackers(session, vm)
    # A disk that is tracked by nobody, or of which that is not told, counts as still blind.
    blind = {mark.key: (None, mark.tracker) for mark in earlier if mark.blind}
    still = any(key in running and running[key] in ids for key, ids in blind.items())
    turn = reset_tracking if still else enable_tracking
    try:
        return turn(session, vm, journal, limits=limits, patience=patience)
    except DiskError as error:
        if fault_name(error) is None or _has_left(journal, vm):
            raise
        return f"changed block tracking cannot be switched on: {error}"


def _has_left(journal: Journal, vm: t.Any) -> bool:
    """Whether a snapshot of ours may still be there."""
    return any(entry.facts.get("vm") == vm._moId for entry in journal.open_entries())


def why_not_now(of_vm: dict[str, t.Any]) -> str | None:
    """Why tracking cannot be switched on; None if it can, or is on already."""
    if of_vm.get(_ENABLED):
        return None
    if not of_vm.get("capability.changeTrackingSupported"):
        return "the VM cannot track changes: its virtual hardware is older than version 7"
    if of_vm.get("runtime.consolidationNeeded"):
        return "its disks need consolidation first: they stand on files of a snapshot that is gone"
    if any(all_snapshots(of_vm)):  # accepted since 6.5, and then changes are lost silently
        return "changed block tracking must not be switched on while a VM has snapshots"
    return None


def enable_tracking(
    session: Session,
    vm: t.Any,
    journal: Journal,
    *,
    limits: Limits | None = None,
    patience: Patience | None = None,
) -> str | None:
    """None once it is on; else the reason why it stays off. Raises DiskError."""
    of_vm = properties(session, vm, _VM)
    reason = why_not_now(of_vm)
    if reason is not None or of_vm.get(_ENABLED):
        return reason
    _turn(session, vm, journal, of_vm, on=True, limits=limits, patience=patience)
    if not properties(session, vm, (_ENABLED,)).get(_ENABLED):
        return "vSphere accepted the setting, and it is still off"
    return None


def enable_anew(
    session: Session, vm: t.Any, journal: Journal, before: Mapping[int, str | None]
) -> str | None:
    """As enable_tracking(), for a VM that was written to behind the back of its tracking, which is
    off since; `before` are the trackers of that time. One that goes on saw nothing of it."""
    reason = enable_tracking(session, vm, journal)
    if reason is not None or not _go_on(before, running_trackers(session, vm)):
        return reason
    of_vm = properties(session, vm, _VM)
    _turn(session, vm, journal, of_vm, on=False, limits=None, patience=None)
    return (
        "vSphere goes on with the old one, which has missed what was written; let the next backup"
        " be a full one (mode: full)"
    )


def reset_tracking(
    session: Session,
    vm: t.Any,
    journal: Journal,
    *,
    limits: Limits | None = None,
    patience: Patience | None = None,
) -> str | None:
    """Begin anew, for all disks of a VM, after a change was missed: else as enable_tracking().

    Where that must not be done now it is left as it is: its changes are not believed.
    """
    of_vm = properties(session, vm, _VM)
    reason = why_not_now({**of_vm, _ENABLED: False})
    if reason is not None:
        return reason
    before = running_trackers(session, vm)
    if of_vm.get(_ENABLED):
        _turn(session, vm, journal, of_vm, on=False, limits=limits, patience=patience)
    reason = enable_tracking(session, vm, journal, limits=limits, patience=patience)
    if reason is None and _go_on(before, running_trackers(session, vm)):
        return "vSphere accepted that tracking begins anew, and the old one goes on"
    return reason


def _go_on(before: Mapping[int, str | None], after: Mapping[int, str | None]) -> bool:
    """Whether any tracker is still the same."""
    return any(old and after.get(key) == old for key, old in before.items())


def _turn(
    session: Session,
    vm: t.Any,
    journal: Journal,
    of_vm: dict[str, t.Any],
    *,
    on: bool,
    limits: Limits | None,
    patience: Patience | None,
) -> None:
    """A running VM heeds it when it is stunned next: so it gets a snapshot for a moment."""
    what = f"switch changed block tracking {'on' if on else 'off'}"
    # Refused by vSphere if somebody, such as who makes a snapshot, was faster.
    spec = libraries.vim().vm.ConfigSpec(
        changeTrackingEnabled=on, changeVersion=of_vm.get("config.changeVersion")
    )
    tasks.wait(session, session.call(lambda: vm.ReconfigVM_Task(spec), what), what)
    if of_vm.get("runtime.powerState") != "poweredOff":
        with snapshot(session, vm, journal, CRASH_CONSISTENT, limits=limits, patience=patience):
            pass
