# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""When the restore points of machines were made: those that are there, and those that earlier
reports saw before retention dropped them."""

from __future__ import annotations

import collections
import typing as t

from ...._device.errors import InvalidRequest
from ..histories import Histories
from ..times import parse_time

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Row

DAYS = 30  # that the report looks back
DAY = 86400


class MadePoints:
    """`points` as vmdk_backup_info lists them, `earlier` as report.json."""

    def __init__(self, points: Iterable[Row], earlier: Iterable[Row]) -> None:
        self._histories = Histories(points)
        self._seen: dict[str, set[float]] = collections.defaultdict(set)
        for report in earlier:
            self._add_seen(report)

    def _add_seen(self, report: Row) -> None:
        for machine in report["machines"]:
            if machine.get("newest"):
                self._seen[machine["moref"]].add(parse_time(machine["newest"], "newest"))

    def of(self, moref: str, instance_uuid: str | None) -> set[float]:
        """When they were made."""
        points = self._histories.of(moref, instance_uuid)
        made = {parse_time(point["created"], "created") for point in points}
        return made | self._seen.get(moref, set())


def require_rows(rows: Iterable[Row], option: str, *keys: str) -> None:
    """Raises InvalidRequest where an entry lacks one of the keys."""
    for row in rows:
        for key in keys:
            if key not in row:
                raise InvalidRequest(f"{option}: an entry has no {key}", found=str(row)[:100])
