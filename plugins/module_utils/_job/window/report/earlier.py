# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Reports of earlier windows, for the trend and for restore points that are gone by now."""

from __future__ import annotations

import json
import os
import typing as t

from ...._device.errors import InvalidRequest
from ..times import parse_time, to_text
from .totals import totals_of

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .model import Report, Row

FORMAT = 1  # of report.json
WINDOWS = 30  # of the trend, with this one


def read_earlier(paths: Iterable[str], own: str) -> list[Row]:
    """Those that can be read; `own` is where this window's report goes."""
    places = dict.fromkeys(os.path.realpath(path) for path in paths)
    read = (_read(path) for path in places if path != os.path.realpath(own))
    return [report for report in read if report is not None]


def _read(path: str) -> Row | None:
    """None for what is no report: an old window must not stop the report of a new one."""
    try:
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
    except (OSError, ValueError):
        return None
    return _needed(report) if _is_whole(report) else None


def _needed(report: Row) -> Row:
    """Months of nights of a thousand machines must not fill the memory."""
    own = {key: report.get(key, "") for key in ("title", "start", "status", "totals")}
    names = ("moref", "name", "newest")
    rows = [{name: each.get(name) for name in names} for each in report["machines"]]
    return {**own, "machines": rows}


def _is_whole(report: t.Any) -> bool:
    try:
        parse_time(report["start"], "start")
        for machine in report["machines"]:
            if machine["newest"] is not None:
                parse_time(machine["newest"], "newest")
        named = all(machine["moref"] and "name" in machine for machine in report["machines"])
        return report["format"] == FORMAT and isinstance(report["totals"], dict) and named
    except (InvalidRequest, AttributeError, KeyError, TypeError):
        return False


def rows_of_trend(earlier: Iterable[Row]) -> tuple[Row, ...]:
    """The newest of them, the oldest first."""
    rows = [
        {
            "name": each.get("title", ""),
            "start": each["start"],
            "status": each.get("status", ""),
            **each["totals"],
        }
        for each in earlier
    ]
    rows.sort(key=_when)
    return tuple(rows[1 - WINDOWS :])


def _when(row: Row) -> tuple[float, str]:
    return parse_time(row["start"], "start"), row["name"]


def trend_of(report: Report) -> list[Row]:
    """The earlier ones and this one."""
    return [*report.earlier, own_row(report)]


def own_row(report: Report) -> Row:
    return {
        "name": report.title,
        "start": to_text(report.start),
        "status": report.status,
        **totals_of(report),
    }
