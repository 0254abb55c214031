# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Full or incremental, and why in words."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest

if t.TYPE_CHECKING:
    from ..format.manifest import PointDisk, RestorePoint
    from .source import DiskSource

MODES = ("auto", "full", "incremental")


class DiskPlan(t.NamedTuple):
    base: PointDisk | None  # whose maps are taken over where nothing changed
    reason: str


def plan_disk(disk: DiskSource, earlier: list[RestorePoint], mode: str) -> DiskPlan:
    """Full or incremental, and why in words. `earlier` has the newest last."""
    if mode == "full":
        return DiskPlan(None, "asked for")
    known = [
        (point, entry) for point in earlier for entry in point.disks if entry.name == disk.name
    ]
    for point, entry in reversed(known):
        if entry.size == disk.device.size:
            return DiskPlan(entry, f"compared with {point.id}")
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
