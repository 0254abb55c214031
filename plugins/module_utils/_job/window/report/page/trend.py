# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The last windows side by side: machines, what was stored, and how long it took."""

from __future__ import annotations

import typing as t

from ...times import parse_time
from .. import words
from ..earlier import WINDOWS, trend_of
from .markup import Markup, el, joined
from .svg import nice_top, picture
from .tables import cell, folded, table

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..model import Report, Row

_WIDTH, _HEIGHT, _TOP, _BOTTOM, _RIGHT = 352.0, 176.0, 24.0, 152.0, 300.0
_GAP = 2.0
# Where scales may end.
_ROUND = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
_COUNTS = (2, 4, 6, 8, *(round(step * 10**power) for power in range(1, 7) for step in _ROUND))
_SIZES = tuple(
    step * 1024**power
    for power in range(1, 6)
    for step in (1, 2, 4, 8, 10, 20, 40, 60, 80, 100, 200, 300, 400, 600, 800)
)
_DURATIONS = (
    *(60 * minutes for minutes in (1, 2, 4, 6, 10, 20, 30, 40)),
    *(3600 * hours for hours in (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 36, 48, 96)),
)


def trend(report: Report) -> Markup:
    rows = trend_of(report)
    charts = (
        _chart("Machines", rows, ("done", "failed", "left"), _plain, _COUNTS),
        _chart("Stored", rows, ("added",), _size, _SIZES),
        _chart("Duration", rows, ("seconds",), words.duration, _DURATIONS),
    )
    told = "There is no earlier window yet."
    if len(rows) > 1:
        told = (
            f"The last {len(rows)} windows; this one is at the right."
            " × some machines failed, ! some had no room."
        )
    return joined(
        (
            el("p", told, class_="quiet"),
            el("div", *charts, class_="charts"),
            folded("The same in numbers", _numbers(rows)),
        )
    )


def _plain(value: float) -> str:
    return f"{value:,.0f}"


def _size(value: float) -> str:
    return words.size(int(value)).replace(".0 ", " ")


def _value(row: Row, key: str) -> float:
    found = row.get(key)
    return float(found) if isinstance(found, (int, float)) else 0.0


def _chart(
    title: str,
    rows: Sequence[Row],
    keys: Sequence[str],
    told: Callable[[float], str],
    tops: Sequence[float],
) -> Markup:
    sums = [sum(_value(row, key) for key in keys) for row in rows]
    top = nice_top(max(sums), tops)
    drawn = picture(
        _WIDTH,
        _HEIGHT,
        f"{title} of the last windows",
        f"From {told(min(sums))} to {told(max(sums))}; this window {told(sums[-1])}.",
        *_lines(top, told),
        *(
            _column(_left_of(place, len(rows)), row, keys, top, told)
            for place, row in enumerate(rows)
        ),
        *_days(rows),
    )
    last = " of ".join(dict.fromkeys((told(_value(rows[-1], keys[0])), told(sums[-1]))))
    return el("figure", el("figcaption", el("b", title), el("span", last)), drawn)


def _lines(top: float, told: Callable[[float], str]) -> list[Markup]:
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = _BOTTOM - part * (_BOTTOM - _TOP)
        lines.append(el("line", x1=0, x2=_RIGHT, y1=y, y2=y, class_="grid"))
        if part != 0.5:
            lines.append(el("text", told(part * top), x=_RIGHT + 6, y=y + 4, class_="scale"))
    return lines


def _left_of(place: int, count: int) -> float:
    """This window is always at the right."""
    return _RIGHT - (count - place) * (_RIGHT / WINDOWS)


def _column(
    x: float, row: Row, keys: Sequence[str], top: float, told: Callable[[float], str]
) -> Markup:
    y, parts = _BOTTOM, []
    for key in keys:
        height = _value(row, key) / top * (_BOTTOM - _TOP)
        if height > 0:
            height = max(height, 3.0)
            y -= height
            kind = key if key in ("failed", "left") else "done"
            shape = el("rect", x=x, y=y, width=_RIGHT / WINDOWS - _GAP, height=height)
            parts.append(el("g", shape, class_=kind))
    if len(keys) > 1:
        parts += _signs(x, y, row)
    names = (
        ", ".join(f"{told(_value(row, key))} {key}" for key in keys)
        if len(keys) > 1
        else (told(_value(row, keys[0])))
    )
    return el("g", el("title", f"{_day(row)}: {names}"), *parts)


def _signs(x: float, y: float, row: Row) -> Iterator[Markup]:
    """Above the column: what failed, and what had no room."""
    for key, sign in (("failed", "×"), ("left", "!")):
        if _value(row, key):
            middle = x + (_RIGHT / WINDOWS - _GAP) / 2
            yield el("text", sign, x=middle, y=y - 3, class_=f"sign {key}sign")
            y -= 10


def _day(row: Row) -> str:
    return words.day(parse_time(row["start"], "start"))


def _days(rows: Sequence[Row]) -> list[Markup]:
    places = sorted({0, len(rows) - 1}) if len(rows) > 6 else [len(rows) - 1]
    ends = {0: "start", len(rows) - 1: "end"}
    found = []
    for place in places:
        x = _left_of(place, len(rows)) + (_RIGHT / WINDOWS - _GAP if ends[place] == "end" else 0)
        label = el("text", _day(rows[place]), x=x, y=_HEIGHT - 6, class_=f"tick {ends[place]}")
        found.append(label)
    return found


_COLUMNS = (
    ("done", "Done", _plain),
    ("failed", "Failed", _plain),
    ("left", "No room", _plain),
    ("size", "Protected", _size),
    ("bytes_read", "Read", _size),
    ("added", "Stored", _size),
    ("seconds", "Took", words.duration),
)


def _numbers(rows: Sequence[Row]) -> Markup:
    lines = [
        [
            el("th", words.moment(parse_time(row["start"], "start")), scope="row"),
            cell(str(row.get("status", ""))),
            *(cell(told(_value(row, key)), is_number=True) for key, _name, told in _COLUMNS),
        ]
        for row in reversed(rows)
    ]
    heads = ("Began (UTC)", "Ended", *(name for _key, name, _told in _COLUMNS))
    return table("The last windows", heads, lines, numbers=range(2, len(heads)))
