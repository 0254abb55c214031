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
    """`points` as vmdk_backup_info lists them, None where it cannot; `earlier` as report.json."""

    def __init__(self, points: Iterable[Row] | None, earlier: Iterable[Row]) -> None:
        rows = None if points is None else list(points)
        self._ids = None if rows is None else {row.get("id") for row in rows}
        self._histories = None if rows is None else Histories(rows)
        self._seen: dict[tuple[str, str], set[float]] = collections.defaultdict(set)
        for report in earlier:
            self._add_seen(report)

    def _add_seen(self, report: Row) -> None:
        """By its name, too: another vCenter has the same ids."""
        for machine in report["machines"]:
            if machine.get("newest"):
                made = parse_time(machine["newest"], "newest")
                self._seen[machine["moref"], machine["name"]].add(made)

    def lack(self, point: str) -> bool:
        """Whether that one is not among those that are there."""
        return bool(self._ids is not None and point and point not in self._ids)

    def of(self, moref: str, name: str, uuid: str | None, known: float | None = None) -> set[float]:
        """When they were made. Earlier reports saw more of them, but none that is newer than those
        that are there protects anybody. `known`: the newest by the plan, where nobody could list
        them."""
        seen = self._seen.get((moref, name), set())
        if self._histories is None:
            return seen | {each for each in (known,) if each is not None}
        points = self._histories.of(moref, uuid)
        made = {parse_time(point["created"], "created") for point in points}
        return made | {each for each in seen if made and each < max(made)}


def require_rows(rows: Iterable[Row], option: str, *keys: str) -> None:
    """Raises InvalidRequest where an entry lacks one of the keys."""
    for row in rows:
        for key in keys:
            if key not in row:
                raise InvalidRequest(f"{option}: an entry has no {key}", found=str(row)[:100])
