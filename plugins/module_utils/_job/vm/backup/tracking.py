# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What must be read of a disk, from what restore points and vCenter know of its changes."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
import json
import typing as t

from ...._device.extent import Extent, Kind
from ...._repository.format import times
from ...._repository.write.changes import Changes
from ...._vsphere.changes.changes import Changes as Claimed
from ...._vsphere.changes.proof import judged
from ...._vsphere.machine.marks import DiskMark

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ...._repository.format.manifest import PointDisk, RestorePoint
    from ...._repository.write.source import Reading
    from ...._vsphere.changes.changes import Tracker

_UNLISTED = "changed block tracking missed a change that a self check found"
UNREAD = "none"  # as the transport of a disk of which nothing had to be read
LOOK_AGAIN = datetime.timedelta(days=7)


class Known(t.NamedTuple):
    """The disk in the newest restore point that has a mark of it."""

    entry: PointDisk
    mark: DiskMark


@dataclasses.dataclass(frozen=True)
class DiskHistory:
    """What is known of one disk since an earlier restore point. `state` is a text that no other
    state has; None if it cannot be told. `doubt`: why all has to be read. `wrong`: a change was
    found that was not listed."""

    state: str | None
    since: str | None = None
    runs: tuple[tuple[int, int], ...] | None = None
    doubt: str = ""
    claimed: Claimed | None = None
    wrong: bool = False

    @property
    def is_tracked(self) -> bool:
        """Whether it is a tracker that tells what changed."""
        return self.claimed is not None

    @property
    def changes(self) -> tuple[Changes, ...]:
        """For the repository: empty where all has to be read."""
        runs = self.runs
        if self.since is None or runs is None:
            return ()
        return (Changes(self.since, lambda: runs),)

    def found_wrong(self, why: str) -> DiskHistory:
        """It is not believed any more, whatever becomes of the attempt that found it out."""
        return dataclasses.replace(self, runs=None, doubt=why, wrong=True)

    def mark_after(self, reading: Reading) -> DiskMark | None:
        """To be recorded once the disk was read; None for what has no mark."""
        if self.claimed is None:
            return None
        mark = self.claimed.mark
        compared = reading.base is not None and reading.base == self.since
        if compared and reading.differing is not None:
            mark = judged(self.claimed, _extents(reading.differing))
        if (reading.distrusted or self.wrong) and not mark.blind:
            mark = dataclasses.replace(mark, proved=False, untracked=_UNLISTED, blind=True)
        return mark


def marks_of(point: RestorePoint) -> list[DiskMark]:
    """Of the disks of a restore point, as far as this version understands them."""
    return [mark for disk in point.disks if (mark := _mark(disk)) is not None]


def history(
    tracker: Tracker, now: DiskMark, points: Sequence[RestorePoint], *, rely: bool
) -> DiskHistory:
    """By changed block tracking; with `rely` off nobody is asked. `points`: the newest last.

    Raises DiskError if vCenter is gone.
    """
    known = last_mark(points, now.uuid, now.label)
    before = known.mark if known else None
    if not rely:
        claimed = Claimed(now.following(before), None)
        return DiskHistory(state_of(now), claimed=claimed, doubt="changes are not looked at")
    claimed = tracker.changes(before, now)
    runs = claimed.extents
    return DiskHistory(
        state=state_of(now),
        since=known.entry.change_id if known else None,
        runs=None if runs is None else tuple((run.offset, run.length) for run in runs),
        doubt=claimed.reason or "",
        claimed=claimed,
    )


def still_history(state: str, *, rely: bool) -> DiskHistory:
    """Of a disk that nobody writes to, such as a template's: as long as its state is the same,
    nothing has changed."""
    return DiskHistory(state, since=state, runs=() if rely else None)


def state_of(mark: DiskMark) -> str | None:
    """None where changes since cannot be told."""
    if mark.change_id is None or not mark.uuid:
        return None
    return _digest("vsphere", [mark.vcenter, mark.vm, mark.key, mark.uuid, mark.change_id])


def still_state(facts: Iterable[object]) -> str:
    """Of all that changes with the content of a template's disk."""
    return _digest("vsphere-still", [str(fact) for fact in facts])


def _digest(kind: str, facts: list[t.Any]) -> str:
    return f"{kind}:{hashlib.sha256(json.dumps(facts).encode()).hexdigest()}"


def is_long_unread(points: Sequence[RestorePoint], uuid: str) -> bool:
    """Whether no restore point of late has read anything of a disk. A tracker that says nothing of
    changes for ever is found out only by reading."""
    now = times.now()
    read = [
        times.parse(point.clock)
        for point in points
        if point.problem is None
        for disk in point.disks
        if disk.uuid == uuid and disk.facts.get("transport") != UNREAD
    ]
    return not any(datetime.timedelta(0) <= now - time < LOOK_AGAIN for time in read)


def last_mark(points: Sequence[RestorePoint], uuid: str, slot: str) -> Known | None:
    """The same disk by its uuid; else what was in its place, of which the rules tell more."""
    known = [
        Known(disk, mark)
        for point in reversed(points)
        if point.problem is None
        for disk in point.disks
        if (mark := _mark(disk)) is not None
    ]
    same = (each for each in known if uuid and each.mark.uuid == uuid)
    there = (each for each in known if each.mark.label == slot)
    return next(same, None) or next(there, None)


def _mark(disk: PointDisk) -> DiskMark | None:
    facts = disk.facts.get("mark")
    return DiskMark.parse(facts) if isinstance(facts, dict) else None


def _extents(chunks: Iterable[tuple[int, int]]) -> Iterable[Extent]:
    return (Extent(offset, length, Kind.DATA) for offset, length in chunks)
