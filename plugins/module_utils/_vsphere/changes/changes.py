# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What changed on the disks of a VM since an earlier snapshot, or why all must be read.

A backup asks in this order:

1. tracking.prepare_tracking(), with the marks of the last restore point, while no snapshot of ours
   is there. A reason that it returns is worth a warning: then all is read.
2. snapshots.snapshot(), and in its block Tracker(). `unprotected` is to be told.
3. For each of `marks`: changes(), with the mark of the same disk in the restore point that the rest
   of its content is taken from, or None.
4. Where `extents` is None all is read, and proof.judged() gives the mark to record; it is told what
   differs from that restore point. Else the extents are read, and `mark` is recorded.

A mark is recorded only beside content that is complete.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import DiskError
from ..connection.errors import fault_name
from ..machine.frozen import frozen_disks, running_tracker
from ..machine.marks import ALLOCATED
from .areas import ChangesUnknown, all_areas
from .doubt import UNPROVED, doubt
from .history import broken

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..._device.extent import Extent
    from ..connection.session import Session
    from ..machine.marks import DiskMark
    from .areas import Page

    Past: t.TypeAlias = "Callable[[DiskMark], str | None]"
    Query = Callable[[int, str], Page]  # start offset, change id
    Running: t.TypeAlias = "Callable[[], str | None]"

_TELLS_ALLOCATED = ("VMFS",)  # others fail, or call the whole disk allocated


@dataclasses.dataclass(frozen=True)
class Changes:
    """Runs that cover all that differs from the earlier state; None, with the reason: read all.

    `claimed` are the runs that vCenter names, believed or not; None if it was not asked. After all
    was read, proof.judged() compares them with what differs, and gives the mark to record; in any
    other case the new restore point is to record `mark`.
    """

    mark: DiskMark
    extents: tuple[Extent, ...] | None
    reason: str | None = None
    claimed: tuple[Extent, ...] | None = None


class Tracker:
    """Knows the changes of one VM up to one snapshot. Nothing is asked before it is needed."""

    def __init__(self, session: Session, vm: t.Any, snapshot: t.Any, task: str) -> None:
        """`task` is the key of the task that made the snapshot. Raises DiskError."""
        self._session, self._vm, self._snapshot = session, vm, snapshot
        frozen = frozen_disks(session, vm, snapshot, task)
        self.marks, self.unprotected = frozen.marks, frozen.unprotected

    def changes(self, before: DiskMark | None, now: DiskMark) -> Changes:
        """Since `before`, which a restore point recorded. Raises DiskError if vCenter is gone."""
        return changes_since(before, now, self._past, self._query(now), self._running(now))

    def allocated(
        self, before: DiskMark | None, now: DiskMark, *, tracked_from_start: bool
    ) -> Changes:
        """Outside of the runs the disk is all zeros, and need not be read; never the least runs.

        Told only by a tracker whose changes since `before` would be believed.
        `tracked_from_start`: the disk was empty when that began. Raises as changes().
        """
        if not tracked_from_start:
            return Changes(now, None, "the disk may be older than its tracking")
        if now.storage.upper() not in _TELLS_ALLOCATED:
            return Changes(now, None, f"{now.storage} does not tell what is allocated")
        reason = _doubt(before, now, self._past)
        if reason is not None:
            return Changes(now.following(before), None, reason)
        found = _asked(now.following(before), ALLOCATED, self._query(now), self._running(now))
        if found.extents is None:
            return found
        mark = dataclasses.replace(found.mark, proved=True)
        return Changes(mark, found.extents)  # nothing is said of changes

    def _past(self, before: DiskMark) -> str | None:
        return broken(self._session, self._vm, before)

    def _query(self, now: DiskMark) -> Query:
        ask = self._vm.QueryChangedDiskAreas
        return lambda start, change_id: self._session.read(
            lambda: ask(self._snapshot, now.key, start, change_id),
            "read the changed areas",
            now.path,
        )

    def _running(self, now: DiskMark) -> Running:
        return lambda: running_tracker(self._session, self._vm, now.key)


def changes_since(
    before: DiskMark | None, now: DiskMark, past: Past, query: Query, running: Running
) -> Changes:
    """past() tells why an earlier state may not be one that this one grew out of; running() who
    tracks the running disk."""
    reason = _doubt(before, now, past)
    mark = now.following(before)
    if before is None or reason not in (None, UNPROVED):
        return Changes(mark, None, reason)
    found = _asked(mark, str(before.change_id), query, running)
    if found.claimed is None:
        return found
    if reason == UNPROVED:
        return dataclasses.replace(found, extents=None, reason=reason)
    return dataclasses.replace(found, mark=dataclasses.replace(mark, proved=True))


def _doubt(before: DiskMark | None, now: DiskMark, past: Past) -> str | None:
    reason = doubt(before, now)
    if before is None or reason not in (None, UNPROVED):
        return reason
    return past(before) or reason


def _asked(now: DiskMark, change_id: str, query: Query, running: Running) -> Changes:
    try:
        runs = tuple(all_areas(lambda start: query(start, change_id), now.capacity))
    except ChangesUnknown as error:
        return Changes(now, None, str(error))
    except DiskError as error:
        if fault_name(error) is None:  # not an answer: the road to vCenter is broken
            raise
        return Changes(now, None, str(error))
    # Whoever began anew before the answer may have forgotten some; none ever comes back.
    if running() != now.tracker:
        return Changes(now, None, "changed block tracking was restarted while it was asked")
    return Changes(now, runs, None, runs)
