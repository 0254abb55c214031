# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What changed on the disks of a VM since an earlier snapshot, or why all must be read."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import DiskError
from ..connection.errors import fault_name
from ..machine.frozen import frozen_disks
from ..machine.marks import ALLOCATED
from .areas import ChangesUnknown, all_areas
from .doubt import doubt
from .history import reverted

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..._device.extent import Extent
    from ..connection.session import Session
    from ..machine.marks import DiskMark
    from .areas import Page

    Query = Callable[[int, str], Page]  # start offset, change id

_TELLS_ALLOCATED = ("VMFS",)  # others fail, or call the whole disk allocated


@dataclasses.dataclass(frozen=True)
class Changes:
    """Runs that cover all that differs from the earlier state; None, with the reason: read all.

    `mark` is what the new restore point is to record of the disk.
    """

    mark: DiskMark
    extents: tuple[Extent, ...] | None
    reason: str | None = None


class Tracker:
    """Knows the changes of one VM up to one snapshot. Nothing is asked before it is needed."""

    def __init__(self, session: Session, vm: t.Any, snapshot: t.Any, task: str) -> None:
        """`task` is the key of the task that made the snapshot. Raises DiskError."""
        self._session, self._vm, self._snapshot = session, vm, snapshot
        self._pasts: dict[str, str | None] = {}
        frozen = frozen_disks(session, vm, snapshot, task)
        self.marks, self.unprotected = frozen.marks, frozen.unprotected

    def changes(self, before: DiskMark | None, now: DiskMark) -> Changes:
        """Since `before`, which a restore point recorded. Raises DiskError if vCenter is gone."""
        return changes_since(before, now, self._past, self._query(now))

    def allocated(self, now: DiskMark, *, tracked_from_start: bool) -> Changes:
        """Outside of the runs the disk is all zeros, and need not be read; never the least runs.

        `tracked_from_start`: the disk was empty when its changes began to be tracked. Raises as
        changes().
        """
        if not tracked_from_start:
            return Changes(now, None, "the disk may be older than its tracking")
        if now.storage.upper() not in _TELLS_ALLOCATED:
            return Changes(now, None, f"{now.storage} does not tell what is allocated")
        if now.untracked is not None:
            return Changes(now, None, now.untracked)
        return _asked(now, ALLOCATED, self._query(now))

    def _past(self, before: DiskMark) -> str | None:
        if before.task not in self._pasts:
            self._pasts[before.task] = reverted(self._session, self._vm, before)
        return self._pasts[before.task]

    def _query(self, now: DiskMark) -> Query:
        ask = self._vm.QueryChangedDiskAreas
        return lambda start, change_id: self._session.read(
            lambda: ask(self._snapshot, now.key, start, change_id),
            "read the changed areas",
            now.path,
        )


def changes_since(
    before: DiskMark | None, now: DiskMark, past: Callable[[DiskMark], str | None], query: Query
) -> Changes:
    """past() tells why an earlier state may not be one that this one grew out of."""
    reason = doubt(before, now)
    if before is not None and reason is None:
        reason = past(before)
    mark = now.following(before)
    if before is None or reason is not None:
        return Changes(mark, None, reason)
    return _asked(mark, str(before.change_id), query)


def _asked(now: DiskMark, change_id: str, query: Query) -> Changes:
    try:
        runs = all_areas(lambda start: query(start, change_id), now.capacity)
    except ChangesUnknown as error:
        return Changes(now, None, str(error))
    except DiskError as error:
        if fault_name(error) is None:  # not an answer: the road to vCenter is broken
            raise
        return Changes(now, None, str(error))
    return Changes(now, tuple(runs))
