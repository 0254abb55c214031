# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What happened to a VM since an earlier snapshot, from the tasks that vCenter remembers."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

from ..._device.errors import DiskError
from ..connection import libraries
from ..connection.errors import fault_name

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..connection.session import Session
    from ..machine.marks import DiskMark

_AT_ONCE = 500  # tasks
_MARGIN = datetime.timedelta(minutes=30)  # a snapshot is dated later than its task was queued


def reverted(session: Session, vm: t.Any, before: DiskMark) -> str | None:
    """Why it cannot be ruled out that the VM was reverted since. Raises DiskError.

    The task that made the earlier snapshot is the landmark: if it is remembered, so are all
    that came after it.
    """
    since = datetime.datetime.fromisoformat(before.taken_at) - _MARGIN
    try:
        tasks = list(_tasks(session, vm, since))
    except DiskError as error:
        if fault_name(error) is None:
            raise
        return f"whether the VM was reverted since cannot be seen: {error}"
    landmark = next((task for task in tasks if task.key == before.task), None)
    if landmark is None:
        return "vCenter does not remember what happened to the VM since the last restore point"
    later = (task for task in tasks if task.queueTime >= landmark.queueTime)
    revert = next((task for task in later if "revert" in task.descriptionId.lower()), None)
    if revert is not None:
        return f"the VM was reverted to a snapshot at {revert.queueTime:%Y-%m-%d %H:%M:%S}"
    return None


def _tasks(session: Session, vm: t.Any, since: datetime.datetime) -> Iterator[t.Any]:
    spec = libraries.vim().TaskFilterSpec
    wanted = spec(
        entity=spec.ByEntity(entity=vm, recursion="self"),
        time=spec.ByTime(timeType="queuedTime", beginTime=since),
    )
    manager = session.content.taskManager
    collector = session.call(lambda: manager.CreateCollectorForTasks(wanted), "read its tasks")
    try:
        while tasks := session.call(lambda: collector.ReadNextTasks(_AT_ONCE), "read its tasks"):
            yield from tasks
    finally:
        with contextlib.suppress(DiskError):
            session.call(collector.DestroyCollector)
