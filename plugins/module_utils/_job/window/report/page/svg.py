# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Pictures: scales, axes, and patterns that tell without colours."""

from __future__ import annotations

import math
import typing as t

from .. import words
from .markup import Markup, el, joined

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .markup import Content

LETTER = 6.4  # pixels, about, at 11 pixels of height
_MOST_TICKS = 12
_STEPS = (60, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400)


def picture(
    width: float, height: float, title: str, story: str, *children: Content, class_: str = ""
) -> Markup:
    """`story` is what those read out who do not see it."""
    name = f"p{abs(hash_of(title + story))}"
    return el(
        "svg",
        el("title", title, id=f"{name}t"),
        el("desc", story, id=f"{name}d"),
        *children,
        viewBox=f"0 0 {width:g} {height:g}",
        role="img",
        aria_labelledby=f"{name}t {name}d",
        class_=class_ or None,
    )


def hash_of(value: str) -> int:
    """The same in every process, unlike hash()."""
    found = 0
    for letter in value:
        found = (found * 31 + ord(letter)) % 0xFFFFFFFB
    return found


def patterns() -> Markup:
    """Used by all pictures of the page: failed is hatched, lost is crossed, left is dotted."""
    stroke = el("path", d="M0,6 L6,0", class_="hatchline")
    failed = _pattern("failed", "badback", stroke)
    lost = _pattern("lost", "badback", stroke, el("path", d="M0,0 L6,6", class_="hatchline"))
    left = _pattern("left", "warnback", el("circle", cx=3, cy=3, r=1.4, class_="dot"))
    return el(
        "svg",
        el("defs", failed, lost, left),
        width=0,
        height=0,
        class_="defs",
        aria_hidden="true",
        focusable="false",
    )


def _pattern(name: str, back: str, *marks: Markup) -> Markup:
    return el(
        "pattern",
        el("rect", width=6, height=6, class_=back),
        *marks,
        id=name,
        width=6,
        height=6,
        patternUnits="userSpaceOnUse",
    )


class TimeScale:
    """From times to pixels."""

    def __init__(self, start: float, end: float, left: float, right: float) -> None:
        self.start, self.end = start, max(end, start + 60)
        self.left, self.right = left, right

    def __call__(self, time: float) -> float:
        part = (time - self.start) / (self.end - self.start)
        return self.left + min(1.0, max(0.0, part)) * (self.right - self.left)

    @property
    def ticks(self) -> list[float]:
        """Round times."""
        span = self.end - self.start
        days = 86400 * math.ceil(span / 86400 / _MOST_TICKS)
        step = next((each for each in _STEPS if span / each <= _MOST_TICKS), days)
        first = math.ceil(self.start / step) * step
        return [float(tick) for tick in range(first, math.floor(self.end) + 1, step)]

    @property
    def days(self) -> int:
        return len({words.day(tick) for tick in self.ticks})

    def axis(self, top: float, bottom: float) -> Markup:
        """Where a day begins, its name stands above."""
        lines, seen = [], words.day(self.ticks[0]) if self.days == 1 else ""
        for tick in self.ticks:
            x = self(tick)
            lines.append(el("line", x1=x, x2=x, y1=top, y2=bottom, class_="grid"))
            lines.append(el("text", words.clock(tick), x=x, y=top - 10, class_="tick"))
            if words.day(tick) != seen:
                lines.append(el("text", words.day(tick), x=x, y=top - 26, class_="tick strong"))
            seen = words.day(tick)
        return joined(lines)


def nice_top(value: float, tops: Sequence[float]) -> float:
    """The first of them that is not below it."""
    return next((each for each in tops if each >= value), value)
