# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Waiting for what vCenter does in the background."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ..._device.errors import DiskError
from .collect import properties
from .errors import from_fault

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .session import Session

# `task.info` as a whole does not do: of a virtual disk's task it names an entity that pyVmomi
# refuses, as it is no ManagedEntity.
PATHS = ("info.state", "info.error", "info.result", "info.progress")
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds
AFTER_CANCEL = 60.0  # seconds


def wait(
    session: Session,
    task: t.Any,
    what: str = "finish a task",
    target: str | None = None,
    *,
    progress: Callable[[int], None] | None = None,
) -> t.Any:
    """The result of a task. `progress` hears percentages; an interrupt cancels the task.

    Raises DiskError.
    """
    try:
        return _wait(session, task, what, target, progress)
    except DiskError:
        raise
    except BaseException:
        with contextlib.suppress(DiskError):
            _cancel(session, task)
        raise


def _wait(
    session: Session,
    task: t.Any,
    what: str,
    target: str | None,
    progress: Callable[[int], None] | None,
) -> t.Any:
    told, pause = None, FIRST_PAUSE
    while True:
        info = properties(session, task, PATHS)
        done = info.get("info.progress")
        if progress is not None and done is not None and done != told:
            told = done
            progress(done)
        state = info["info.state"]
        if state == "success":
            return info.get("info.result")
        if state == "error":
            fault = info["info.error"]
            raise from_fault(fault, session.vcenter, what, target) from fault
        time.sleep(pause)
        pause = min(pause * 1.5, LONGEST_PAUSE)


def _cancel(session: Session, task: t.Any) -> None:
    """Until it has ended, so that whoever cleans up now finds things at rest."""
    session.call(task.CancelTask, "cancel a task")
    deadline = time.monotonic() + AFTER_CANCEL
    while time.monotonic() < deadline:
        if properties(session, task, ("info.state",))["info.state"] in ("success", "error"):
            return
        time.sleep(LONGEST_PAUSE)
