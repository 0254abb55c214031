# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""When the restore points of machines were made: those that are there, and those that earlier
reports saw before retention dropped them."""

from __future__ import annotations

import collections
import typing as t

from ...._device.errors import InvalidRequest
from ..times import parse_time

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Row

DAYS = 30  # that the report looks back
DAY = 86400


class MadePoints:
    """`points` as vmdk_backup_info lists them, `earlier` as report.json."""

    def __init__(self, points: Iterable[Row], earlier: Iterable[Row]) -> None:
        self._by_uuid: dict[str, set[float]] = collections.defaultdict(set)
        self._by_moref: dict[str, set[float]] = collections.defaultdict(set)
        self._with_uuid: dict[str, set[float]] = collections.defaultdict(set)
        self._seen: dict[str, set[float]] = collections.defaultdict(set)
        for point in points:
            self._add(point)
        for report in earlier:
            self._add_seen(report)

    def _add(self, point: Row) -> None:
        source = point["source"]
        if point.get("problem") or source.get("kind") != "vm":
            return
        made, moref = parse_time(point["created"], "created"), source.get("moref", "")
        if source.get("instance_uuid"):
            self._by_uuid[source["instance_uuid"]].add(made)
            self._with_uuid[moref].add(made)
        else:
            self._by_moref[moref].add(made)

    def _add_seen(self, report: Row) -> None:
        for machine in report["machines"]:
            if machine.get("newest"):
                self._seen[machine["moref"]].add(parse_time(machine["newest"], "newest"))

    def of(self, moref: str, instance_uuid: str | None) -> set[float]:
        """Its uuid stays, also where it is registered anew; without one, its id decides."""
        own = self._by_uuid if instance_uuid else self._with_uuid
        key = instance_uuid or moref
        empty: set[float] = set()
        return own.get(key, empty) | self._by_moref.get(moref, empty) | self._seen.get(moref, empty)


def require_rows(rows: Iterable[Row], option: str, *keys: str) -> None:
    """Raises InvalidRequest where an entry lacks one of the keys."""
    for row in rows:
        for key in keys:
            if key not in row:
                raise InvalidRequest(f"{option}: an entry has no {key}", found=str(row)[:100])
