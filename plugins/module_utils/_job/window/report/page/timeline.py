# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""When each machine was backed up, proxy by proxy: the plan faint, what happened solid."""

from __future__ import annotations

import heapq
import typing as t

from .. import words
from .markup import Markup, clipped, el, joined, text, width_of
from .svg import LETTER, TimeScale, picture

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..model import Machine, Report, Try

    Bar = tuple[float, float, "Machine", t.Any]  # start, end, machine, try or plan
    Lanes = tuple[str, list[tuple[list[Bar], list[Bar]]]]  # of a proxy: planned and real

_WIDTH, _LEFT, _RIGHT = 1120.0, 116.0, 1108.0
_LANE, _PLAN, _BAR, _GAP = 34.0, 5.0, 20.0, 18.0
_TOP, _TOP_OF_DAYS = 30.0, 46.0  # above the lanes; with a line that names the days
_LETTERS = 6  # of a name that is cut
_SHORT = 0.55  # of the window: below, the rest of it is not drawn


def timeline(report: Report) -> Markup:
    """A picture with a legend; the same in words is the table of the machines."""
    lanes = [(proxy.name, _lanes_of(report, proxy.name)) for proxy in report.proxies]
    lanes = [(name, own) for name, own in lanes if own]
    if not lanes:
        return el("p", "Nothing was begun and nothing was planned.", class_="quiet")
    end, cut = _end(report)
    scale = TimeScale(min(report.start, report.opened), end, _LEFT, _RIGHT)
    top = _TOP_OF_DAYS if scale.days > 1 else _TOP
    bottom = top + sum(len(own) * _LANE + _GAP for _name, own in lanes)
    drawn = picture(
        _WIDTH,
        bottom + (0 if cut else 6),
        "Timeline of the window",
        _story(report),
        *_bands(lanes, top),
        scale.axis(top, bottom - _GAP / 2),
        *_proxies(lanes, scale, top),
        None if cut else _deadline(scale, report.deadline, top, bottom - _GAP / 2),
        class_="timeline",
    )
    box = el("div", drawn, class_="wide", tabindex=0, role="region", aria_label="Timeline")
    return joined((el("figure", box, _legend(report, cut)),))


def _end(report: Report) -> tuple[float, bool]:
    """Up to where is drawn, and whether the deadline is beyond."""
    ends = [each.planned.end for each in report.machines if each.planned]
    busy = max([report.closed, *ends])
    whole = report.deadline - report.start
    if busy - report.start < _SHORT * whole:
        return busy + 0.04 * (busy - report.start), True
    return max(busy, report.deadline) + 0.01 * whole, False


def _story(report: Report) -> str:
    told = [
        f"{each.name} made {words.counted(each.done, 'backup')}, {each.failed} failed"
        for each in report.proxies
    ]
    return (
        f"From {words.full_moment(report.opened)} to {words.full_moment(report.closed)} UTC. "
        + ("; ".join(told) + ".")
    )


def _lanes_of(report: Report, proxy: str) -> list[tuple[list[Bar], list[Bar]]]:
    """(planned, real) of each stream of a proxy."""
    real, planned = [], []
    for machine in report.machines:
        for tried in machine.tries:
            if tried.proxy == proxy:
                end = report.closed if tried.end is None else tried.end
                real.append((tried.start, end, machine, tried))
        if machine.planned and machine.planned.proxy == proxy:
            planned.append((machine.planned.start, machine.planned.end, machine, machine.planned))
    left, right = _side_by_side(planned), _side_by_side(real)
    count = max(len(left), len(right))
    return [
        (left[place] if place < len(left) else [], right[place] if place < len(right) else [])
        for place in range(count)
    ]


def _side_by_side(bars: Iterable[Bar]) -> list[list[Bar]]:
    """As few lanes as there are at a time; each goes to the first lane that is free."""
    lanes: list[list[Bar]] = []
    free: list[int] = []
    busy: list[tuple[float, int]] = []
    for stripe in sorted(bars, key=lambda each: each[:2]):
        while busy and busy[0][0] <= stripe[0]:
            heapq.heappush(free, heapq.heappop(busy)[1])
        place = heapq.heappop(free) if free else len(lanes)
        if place == len(lanes):
            lanes.append([])
        lanes[place].append(stripe)
        heapq.heappush(busy, (stripe[1], place))
    return lanes


def _proxies(lanes: Sequence[Lanes], scale: TimeScale, y: float) -> Iterator[Markup]:
    for name, own in lanes:
        height = len(own) * _LANE
        label = clipped(name, (_LEFT - 18) / LETTER)
        yield el("text", label, x=_LEFT - 12, y=y + height / 2 + 2, class_="proxy")
        for place, (planned, real) in enumerate(own):
            top = y + place * _LANE
            yield el("g", *(_planned(stripe, top, scale) for stripe in planned), class_="plan")
            yield from (_real(stripe, top + _PLAN + 1, scale) for stripe in real)
        y += height + _GAP


def _bands(lanes: Sequence[Lanes], y: float) -> Iterator[Markup]:
    for _name, own in lanes:
        height = len(own) * _LANE
        yield el("rect", x=_LEFT, y=y - 4, width=_RIGHT - _LEFT, height=height + 4, class_="band")
        y += height + _GAP


def _planned(stripe: Bar, top: float, scale: TimeScale) -> Markup:
    x, width = _extent(stripe, scale)
    return el("rect", x=x, y=top, width=width, height=_PLAN)


def _extent(stripe: Bar, scale: TimeScale) -> tuple[float, float]:
    """With a hair between neighbours."""
    x = scale(stripe[0])
    return x, max(1.2, scale(stripe[1]) - x - 0.8)


def _real(stripe: Bar, top: float, scale: TimeScale) -> Markup:
    machine, tried = stripe[2:]
    x, width = _extent(stripe, scale)
    kind = "done" if tried.ok else "lost" if tried.lost else "failed"
    shape = el("rect", x=x, y=top, width=width, height=_BAR, rx=2 if width > 5 else None)
    return el(
        "g",
        el("title", _told(machine, tried)),
        shape,
        _mark(kind, x, width, top, machine.name),
        class_=kind,
    )


def _told(machine: Machine, tried: Try) -> str:
    how = "done" if tried.ok else tried.message
    took = words.duration(tried.seconds)
    return f"{machine.name}: {words.clock(tried.start)}, {took}, {how}"


def _mark(kind: str, x: float, width: float, top: float, name: str) -> Markup | None:
    """What failed has a mark, however short it was; names stand where there is room for them."""
    middle = top + _BAR / 2
    if kind == "done":
        room = (width - 10) / LETTER
        if room < min(_LETTERS, width_of(name)):
            return None
        return el("text", _isolated(clipped(name, room)), x=x + 6, y=middle + 4, class_="inside")
    center = x + min(width / 2, 11)
    arm = f"M{center - 3.5:.1f},{middle - 3.5:.1f} l7,7 m0,-7 l-7,7"
    disk = el("circle", cx=center, cy=middle, r=7, class_="markback")
    if kind == "lost":
        return joined((disk, el("text", "?", x=center, y=middle + 4, class_="marktext")))
    return joined((disk, el("path", d=arm, class_="mark")))


def _isolated(name: str) -> Markup:
    """As <bdi>, which SVG lacks."""
    return text(f"\N{FIRST STRONG ISOLATE}{name}\N{POP DIRECTIONAL ISOLATE}")


def _deadline(scale: TimeScale, deadline: float, top: float, bottom: float) -> Markup:
    x = scale(deadline)
    return joined(
        (
            el("line", x1=x, x2=x, y1=top - 4, y2=bottom, class_="deadline"),
            el("text", "deadline", x=x - 5, y=bottom + 10, class_="deadlinetext"),
        )
    )


def _legend(report: Report, cut: bool) -> Markup:
    keys = [_key("plan", "planned"), _key("done", "done")]
    tries = [each for machine in report.machines for each in machine.tries]
    if any(not each.ok and not each.lost for each in tries):
        keys.append(_key("failed", "failed"))
    if any(each.lost for each in tries):
        keys.append(_key("lost", "ended without a word"))
    room = words.duration(report.deadline - report.closed)
    told = f"Deadline: {words.moment(report.deadline)}, {room} after the end" if cut else ""
    return el("figcaption", *keys, el("span", told) if told else None, class_="legend")


def _key(kind: str, word: str) -> Markup:
    top, height = (5.0, _PLAN) if kind == "plan" else (0.0, 16.0)
    shape = el("rect", x=0, y=top, width=30, height=height, rx=2)
    mark = None if kind in ("plan", "done") else _mark(kind, 4, 22, -2, "")
    drawn = el(
        "svg",
        el("g", shape, mark, class_=kind),
        viewBox="0 0 30 16",
        width=30,
        height=16,
        aria_hidden="true",
        focusable="false",
        class_="key",
    )
    return el("span", drawn, word)
