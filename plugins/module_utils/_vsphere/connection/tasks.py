# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Waiting for what vCenter does in the background."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ..._device.errors import DiskError, VSphereFault
from .collect import properties
from .errors import from_fault

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .session import Session

# `task.info` as a whole does not do: of a virtual disk's task it names an entity that pyVmomi
# refuses, as it is no ManagedEntity.
PATHS = ("info.state", "info.error", "info.result", "info.progress")
ENDED = ("success", "error")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds
AFTER_CANCEL = 60.0  # seconds
# Seconds in which a task stays in the queue, or at the same percentage. One percent of the largest
# disk takes some hours on slow storage, and the merging of a snapshot may stay at 99 % for as long.
PATIENCE = 12 * 3600.0


def wait(
    session: Session,
    task: t.Any,
    what: str = "finish a task",
    target: str | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> t.Any:
    """The result of a task. `progress` hears percentages; an interrupt cancels the task, and so
    does the end of PATIENCE. One that runs and never tells percentages is waited for.

    Raises DiskError.
    """
    try:
        return _wait(session, task, what, target, progress)
    except DiskError:
        raise
    except BaseException:
        _cancel(session, task)
        raise


def _wait(
    session: Session,
    task: t.Any,
    what: str,
    target: str | None,
    progress: Callable[[int], None] | None,
) -> t.Any:
    watch, pause = _Watch(progress), FIRST_PAUSE
    while True:
        info = properties(session, task, PATHS)
        state = info.get("info.state")
        watch.look(state, info.get("info.progress"))
        if state == "success":
            return info.get("info.result")
        if state == "error":
            fault = info["info.error"]
            raise from_fault(fault, session.vcenter, what, target) from fault
        if state is None:
            raise _untold(session, task, what, target)
        if watch.is_stuck:
            error = _stuck(session, task, watch, what, target)
            _cancel(session, task)
            raise error
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


class _Watch:
    """Tells progress, and notices when there is none."""

    def __init__(self, progress: Callable[[int], None] | None) -> None:
        self._progress = progress
        self._moved = time.monotonic()
        self.state: str | None = None
        self.done: int | None = None

    def look(self, state: str | None, done: int | None) -> None:
        if done is None:  # not told this time: no news
            done = self.done
        if (state, done) != (self.state, self.done):
            self._moved = time.monotonic()
        if self._progress is not None and done is not None and done != self.done:
            self._progress(done)
        self.state, self.done = state, done

    @property
    def is_stuck(self) -> bool:
        tells = self.done is not None or self.state == "queued"
        return tells and time.monotonic() - self._moved > PATIENCE


def _stuck(
    session: Session, task: t.Any, watch: _Watch, what: str, target: str | None
) -> VSphereFault:
    entity = None
    with contextlib.suppress(DiskError):
        entity = properties(session, task, ("info.entityName",)).get("info.entityName")
    done = "" if watch.done is None else f" at {watch.done} %"
    return VSphereFault(
        f"cannot {what} at {session.vcenter.hostname}: the task {task._moId}"
        f"{f' of {entity}' if entity else ''} has shown no progress for {PATIENCE / 3600:g} hours",
        path=target or entity,
        found=f"{watch.state}{done}",
        hint="vCenter was asked to cancel it. Look at it among the tasks in vCenter: as long as it"
        " is there, nothing else can be done with the same object. Often its host has lost its"
        " storage, or vCenter its host.",
    )


def has_ended(session: Session, task: t.Any) -> bool:
    """Whether it is certain that a task does nothing any more."""
    with contextlib.suppress(DiskError):
        return properties(session, task, ("info.state",)).get("info.state") in ENDED
    return False


def _untold(session: Session, task: t.Any, what: str, target: str | None) -> VSphereFault:
    return VSphereFault(
        f"cannot {what} at {session.vcenter.hostname}: vCenter does not tell how the task"
        f" {task._moId} stands, so it may still be running",
        path=target,
        hint="Look at it among the tasks in vCenter. May the user see the object that it works on"
        " (System.View and System.Read)?",
    )


def _cancel(session: Session, task: t.Any) -> None:
    """Until it has ended, so that whoever cleans up now finds things at rest. Some cannot be."""
    with contextlib.suppress(DiskError):
        session.call(task.CancelTask, "cancel a task")
        deadline = time.monotonic() + AFTER_CANCEL
        while time.monotonic() < deadline:
            if has_ended(session, task):
                return
            time.sleep(LONGEST_PAUSE)
