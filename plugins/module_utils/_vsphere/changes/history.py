# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What happened to a VM since an earlier snapshot, from what vCenter remembers."""

from __future__ import annotations

import contextlib
import datetime
import typing as t

from ..._device.errors import DiskError
from ..connection import libraries
from ..connection.errors import fault_name

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from ..connection.session import Session
    from ..machine.marks import DiskMark

_AT_ONCE = 500  # tasks or events
_MARGIN = datetime.timedelta(minutes=30)  # a snapshot is dated later than its task was queued


def broken(session: Session, vm: t.Any, before: DiskMark) -> str | None:
    """Why the disk may not be one that the earlier one grew into. Raises DiskError.

    The task that made the earlier snapshot is the landmark: if it is remembered, so are all
    that came after it.
    """
    since = datetime.datetime.fromisoformat(before.taken_at) - _MARGIN
    try:
        tasks = list(_tasks(session, vm, since))
        landmark = next((task for task in tasks if task.key == before.task), None)
        if landmark is None:
            return "vCenter does not remember what happened to the VM since the last restore point"
        start = landmark.queueTime
        return _reverted(tasks, start) or _taken_out(_changes(session, vm, start), before.key)
    except DiskError as error:
        if fault_name(error) is None:
            raise
        return f"what happened to the VM since cannot be seen: {error}"


def _reverted(tasks: Iterable[t.Any], start: datetime.datetime) -> str | None:
    later = (task for task in tasks if task.queueTime >= start)
    revert = next((task for task in later if "revert" in task.descriptionId.lower()), None)
    if revert is None:
        return None
    return f"the VM was reverted to a snapshot at {revert.queueTime:%Y-%m-%d %H:%M:%S}"


def _taken_out(events: Iterable[t.Any], key: int) -> str | None:
    """A disk that comes back to its place looks as before, whoever wrote to it elsewhere."""
    for event in events:
        for change in event.configSpec.deviceChange or ():
            if change.operation == "remove" and change.device.key == key:
                return f"it was detached at {event.createdTime:%Y-%m-%d %H:%M:%S}"
    return None


def _tasks(session: Session, vm: t.Any, since: datetime.datetime) -> Iterator[t.Any]:
    spec = libraries.vim().TaskFilterSpec
    wanted = spec(
        entity=spec.ByEntity(entity=vm, recursion="self"),
        time=spec.ByTime(timeType="queuedTime", beginTime=since),
    )
    manager = session.content.taskManager
    collector = session.call(lambda: manager.CreateCollectorForTasks(wanted), "read its tasks")
    return _all(session, collector, collector.ReadNextTasks)


def _changes(session: Session, vm: t.Any, since: datetime.datetime) -> Iterator[t.Any]:
    spec = libraries.vim().event.EventFilterSpec
    wanted = spec(
        entity=spec.ByEntity(entity=vm, recursion="self"),
        time=spec.ByTime(beginTime=since),
        eventTypeId=["VmReconfiguredEvent"],
    )
    manager = session.content.eventManager
    collector = session.call(lambda: manager.CreateCollectorForEvents(wanted), "read its events")
    return _all(session, collector, collector.ReadNextEvents)


def _all(session: Session, collector: t.Any, more: Callable[[int], t.Any]) -> Iterator[t.Any]:
    try:
        while found := session.call(lambda: more(_AT_ONCE), "read what happened to it"):
            yield from found
    finally:
        with contextlib.suppress(DiskError):
            session.call(collector.DestroyCollector)
