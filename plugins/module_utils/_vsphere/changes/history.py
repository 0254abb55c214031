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
from ..machine.power_off import reverts

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..connection.session import Session
    from ..machine.marks import DiskMark

_AT_ONCE = 500  # tasks or events
_MARGIN = datetime.timedelta(minutes=30)  # a snapshot is dated later than its task was queued
_EVENTS = ["TaskEvent", "VmReconfiguredEvent", "VmRelocatedEvent", "VmMigratedEvent"]
_EVENTS += ["DrsVmMigratedEvent"]  # a kind of VmMigratedEvent; types are taken by their names
_FORGOTTEN = "vCenter does not remember what happened to the VM since the last restore point"


def broken(session: Session, vm: t.Any, before: DiskMark) -> str | None:
    """Why the disk may not be one that the earlier one grew into. Raises DiskError.

    The task that made the earlier snapshot is the landmark: if it is remembered, so are all
    that came after it. Events are forgotten by themselves; there is one of that task, too.
    """
    since = datetime.datetime.fromisoformat(before.taken_at) - _MARGIN
    try:
        tasks = list(_tasks(session, vm, since))
        landmark = next((task for task in tasks if task.key == before.task), None)
        if landmark is None:
            return _FORGOTTEN
        start = landmark.queueTime
        return _reverted(tasks, start) or _altered(list(_events(session, vm, since)), before, start)
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


def _altered(events: Sequence[t.Any], before: DiskMark, start: datetime.datetime) -> str | None:
    kinds = libraries.vim().event
    begun = [event for event in events if isinstance(event, kinds.TaskEvent)]
    if not any(event.info.key == before.task for event in begun):
        return _FORGOTTEN
    for event in events:
        what = _alteration(event, before.key)
        if what is not None and event.createdTime >= start:
            return f"{what} at {event.createdTime:%Y-%m-%d %H:%M:%S}"
    return None


def _alteration(event: t.Any, key: int) -> str | None:
    kinds = libraries.vim().event
    if isinstance(event, kinds.VmReconfiguredEvent):
        return _reconfiguration(event.configSpec, key)
    if isinstance(event, kinds.VmRelocatedEvent):
        return "the VM was moved to another place"
    if isinstance(event, kinds.VmMigratedEvent) and _source(event) not in (None, _place(event)):
        return "the VM was moved to another datastore"
    return None


def _reconfiguration(spec: t.Any, key: int) -> str | None:
    """A disk that comes back to its place looks as before, whoever wrote to it elsewhere."""
    done = {change.operation for change in spec.deviceChange or () if change.device.key == key}
    if "remove" in done:
        return "it was detached"
    if "edit" in done:
        return "its settings were changed"
    if reverts(spec.flags, spec.extraConfig):
        return "the VM was made to revert to its snapshot when it is powered off,"
    return None


def _source(event: t.Any) -> str | None:
    return event.sourceDatastore.datastore._moId if event.sourceDatastore else None


def _place(event: t.Any) -> str | None:
    return event.ds.datastore._moId if event.ds else None


def _tasks(session: Session, vm: t.Any, since: datetime.datetime) -> Iterator[t.Any]:
    spec = libraries.vim().TaskFilterSpec
    wanted = spec(
        entity=spec.ByEntity(entity=vm, recursion="self"),
        time=spec.ByTime(timeType="queuedTime", beginTime=since),
    )
    manager = session.content.taskManager
    collector = session.call(lambda: manager.CreateCollectorForTasks(wanted), "read its tasks")
    return _all(session, collector, collector.ReadNextTasks)


def _events(session: Session, vm: t.Any, since: datetime.datetime) -> Iterator[t.Any]:
    spec = libraries.vim().event.EventFilterSpec
    wanted = spec(
        entity=spec.ByEntity(entity=vm, recursion="self"),
        time=spec.ByTime(beginTime=since),
        eventTypeId=_EVENTS,
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
