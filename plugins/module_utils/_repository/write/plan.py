# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Full or incremental, and why in words."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest

if t.TYPE_CHECKING:
    from ..format.manifest import PointDisk, RestorePoint
    from .changes import Changes
    from .source import DiskSource

MODES = ("auto", "full", "incremental")


class DiskPlan(t.NamedTuple):
    base: PointDisk | None  # whose maps are taken over where nothing changed
    reason: str
    changes: Changes | None = None  # since the base; None: nobody knows, so all is read

    @property
    def method(self) -> str:
        if self.base is None:
            return "full"
        return "incremental" if self.changes is None else "changed"


def plan_disk(
    disk: DiskSource, earlier: list[RestorePoint], mode: str, others: list[RestorePoint]
) -> DiskPlan:
    """Full or incremental, and why in words. `earlier` are the points of its source, with the
    newest last; the state that changes begin with may be known from `others`, too."""
    if mode == "full":
        return DiskPlan(None, "asked for")
    if disk.facts.get("role") == "configuration":  # of another size each time, and small
        mode = "auto"
    for changes in disk.changes:
        for point in (*reversed(earlier), *reversed(others)):
            for entry in point.disks:
                if entry.change_id == changes.since and entry.size == disk.device.size:
                    return DiskPlan(entry, f"what changed since {point.id}", changes)
    return _compared(disk, earlier, mode)


def _compared(disk: DiskSource, earlier: list[RestorePoint], mode: str) -> DiskPlan:
    known = [
        (point, entry) for point in earlier for entry in point.disks if entry.name == disk.name
    ]
    for point, entry in reversed(known):
        if entry.size == disk.device.size:
            unknown = "no point knows what changed since" if disk.changes else disk.doubt
            return DiskPlan(entry, "; ".join(filter(None, (f"compared with {point.id}", unknown))))
    if known:
        reason = f"its size changed from {known[-1][1].size} to {disk.device.size} bytes"
    else:
        reason = "no earlier restore point of this disk"
    if mode == "incremental":
        raise InvalidRequest(
            f"an incremental backup of {disk.label} is not possible: {reason}",
            hint="Use mode auto or full.",
        )
    return DiskPlan(None, reason)
