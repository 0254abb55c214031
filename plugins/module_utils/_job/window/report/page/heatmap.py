# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How old the newest restore point of each machine was, day by day, against its RPO.

One column for each of the last 30 days, at the hour of the deadline. The sign in a cell tells the
same as its shade.
"""

from __future__ import annotations

import functools
import typing as t

from .. import words
from ..points import DAY, DAYS
from .markup import Markup, el, joined, name_of
from .tables import folded

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model import Machine, Report

_OPEN = 120  # machines that are shown unfolded, those with trouble first
_MOST = 9  # times the RPO that are told apart
_NEVER = -1


class Days(t.NamedTuple):
    """Of a machine: how many times its RPO had passed at each of the days; -1 without a point."""

    machine: Machine
    times: tuple[int, ...]

    @property
    def late(self) -> int:
        return sum(each > 0 for each in self.times) + (self.times[-1] == _NEVER)


def days_of(report: Report) -> list[float]:
    """The last is that of the window's deadline, or its end where that was later."""
    last = max(report.deadline, report.closed)
    return [last - back * DAY for back in reversed(range(DAYS))]


def rows_of(report: Report, days: Sequence[float]) -> list[Days]:
    """Those with trouble first: late at the end, then late most often."""
    measured = [each for each in report.machines if each.measured]
    found = [
        Days(each, (*(_times(each, when) for when in days[:-1]), _last_times(each, days[-1])))
        for each in measured
    ]
    return sorted(found, key=lambda each: (each.times[-1] == 0, -each.late, each.machine.name))


def _times(machine: Machine, when: float) -> int:
    if not machine.made or machine.made[0] > when:
        return _NEVER
    return _last_times(machine, when)


def _last_times(machine: Machine, when: float) -> int:
    """By then it has one, or none at all."""
    age = machine.age(when)
    return _NEVER if age is None else int(age / max(1.0, machine.rpo))


def heat_map(report: Report) -> Markup:
    days = days_of(report)
    rows = rows_of(report, days)
    if not rows:
        return el("p", "No machine was selected.", class_="quiet")
    late = sum(each.late > 0 for each in rows)
    shown = rows if len(rows) <= _OPEN else rows[: min(late, _OPEN)]
    rest = rows[len(shown) :]
    told = (
        f"Each column is a day at {words.clock(days[-1])} UTC, when the window has to be over. A"
        " cell says how many times the RPO had passed since the newest restore point."
    )
    return joined(
        (
            el("p", told, class_="quiet"),
            _legend(),
            _table("RPO of the last 30 days", shown, days, rows),
            folded(_rest(rest, len(shown) < late), _table("RPO, the others", rest, days, None))
            if rest
            else None,
        )
    )


def _rest(rest: Sequence[Days], more: bool) -> str:
    if more:
        return f"{words.counted(len(rest), 'more machine')}, fewer days of which were late"
    return f"{words.counted(len(rest), 'machine')} that met the RPO on all days"


def _table(
    caption: str, rows: Sequence[Days], days: Sequence[float], of: Sequence[Days] | None
) -> Markup:
    heads = [el("th", _head(place, days), scope="col") for place in range(len(days))]
    made = el(
        "table",
        el("caption", caption),
        el("thead", el("tr", el("th", "Machine", scope="col"), *heads)),
        el("tbody", _shares(of, len(days)) if of else None, *map(_row, rows)),
        class_="heat",
    )
    return el("div", made, class_="wide", tabindex=0, role="region", aria_label=caption)


def _head(place: int, days: Sequence[float]) -> Markup:
    """The day of the month; the month where one begins."""
    number, month = words.day(days[place]).split(" ")
    is_first = place == 0 or words.day(days[place - 1]).split(" ")[1] != month
    return joined((el("span", month) if is_first else None, number))


def _shares(rows: Sequence[Days], count: int) -> Markup:
    """Of those that had a point by then, and at the end of all."""
    cells = []
    for place in range(count):
        states = [each.times[place] for each in rows]
        known = len(rows) if place == count - 1 else sum(each != _NEVER for each in states)
        met = sum(each == 0 for each in states)
        full = known and met == known
        told = "" if not known else "100" if full else str(int(100 * met / known))
        cells.append(el("td", told, class_="sum" if full or not known else "sum short"))
    return el("tr", el("th", "% within RPO", scope="row"), *cells, class_="shares")


def _row(days: Days) -> Markup:
    name = el("th", name_of(days.machine.name), scope="row")
    return el("tr", name, joined(map(_cell, days.times[:-1])), _last(days.times[-1]))


@functools.cache
def _cell(times: int) -> Markup:
    if times == _NEVER:
        return el("td", "–", class_="h-")
    if times == 0:
        return el("td", "·", class_="h0")
    shade = 1 if times == 1 else 2 if times < 4 else 3
    return el("td", str(times) if times <= _MOST else "+", class_=f"h{shade}")


def _last(times: int) -> Markup:
    """Without a point at the end of the window is trouble; before, it may not have been there."""
    return el("td", "×", class_="h3") if times == _NEVER else _cell(times)


def _legend() -> Markup:
    signs = (
        ("h0", "·", "within its RPO"),
        ("h1", "1", "once"),
        ("h2", "2", "twice or three times"),
        ("h3", "4", "four times or more (+: over 9)"),
        ("h3", "×", "no restore point at all"),
        ("h-", "–", "none yet"),
    )
    return el(
        "p",
        *(el("span", el("i", sign, class_=kind), told) for kind, sign, told in signs),
        class_="legend",
    )
