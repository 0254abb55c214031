# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How long the next backup of a machine will take, by what its earlier ones took."""

from __future__ import annotations

import statistics
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Sequence

_NIGHTS = 5  # that count: what was long ago says little
_LEAST = 30  # seconds: a snapshot comes and goes, however little is read


class Forecast(t.NamedTuple):
    seconds: float
    basis: str  # in words


def forecast(points: Sequence[dict[str, t.Any]], size: int, rate: int, margin: float) -> Forecast:
    """`points` of the machine as vmdk_backup_info lists them, oldest first; `size` of its disks and
    `rate` (bytes a second) are for those that nothing is known of."""
    timed = [point for point in points if point.get("seconds") is not None]
    increments = [point for point in timed if not _is_full(point)]
    kind = "increments" if increments else "full backups"
    # One that reads all to compare it says nothing of those that read what has changed.
    nights = (increments or timed)[-_NIGHTS:]
    known = [
        float(each["seconds"]) for each in nights if _reads_all(each) == _reads_all(nights[-1])
    ]
    if known:
        # The night that took longest weighs as much as the usual one: too long costs a place in the
        # window, too short a deadline.
        usual = (statistics.median(known) + max(known)) / 2
        return Forecast(max(_LEAST, usual * margin), f"its last {len(known)} {kind}")
    return Forecast(max(_LEAST, size / rate * margin), "the size of its disks")


def _reads_all(point: dict[str, t.Any]) -> bool:
    return any(disk["method"] != "changed" for disk in point["disks"])


def _is_full(point: dict[str, t.Any]) -> bool:
    return any(disk["method"] == "full" for disk in point["disks"])
