# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Every machine: what was moved, how, and how long that took against what was expected."""

from __future__ import annotations

import typing as t

from .. import words
from ..model import DONE
from .attention import badge
from .markup import Markup, el, joined, name_of
from .tables import cell, folded, table

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..model import Machine, Report

_OPEN = 120
_HEADS = (
    "Machine",
    "State",
    "Proxy",
    "Began",
    "Size",
    "Read",
    "Stored",
    "How",
    "Took",
    "Expected",
    "Took of expected",
)
_NUMBERS = (3, 4, 5, 6, 8, 9)
_WIDTH = 90.0


def machines(report: Report) -> Markup:
    if not report.machines:
        return el("p", "No machine was selected.", class_="quiet")
    known = [each for each in report.machines if _is_known(each)]
    longest = max((_ratio(each) for each in known), default=1.0)
    rows = [_row(each, min(max(longest, 1.0), 3.0)) for each in report.machines]
    shown = table("All machines", _HEADS, rows, numbers=_NUMBERS, class_="machines")
    if len(rows) > _OPEN:
        shown = folded(f"All {len(rows):,} machines", shown)
    return joined((el("p", _told(known), class_="quiet"), shown))


def _is_known(machine: Machine) -> bool:
    return machine.state == DONE and bool(machine.expected) and machine.seconds is not None


def _ratio(machine: Machine) -> float:
    return (machine.seconds or 0.0) / (machine.expected or 1.0)


def _told(known: Sequence[Machine]) -> str:
    if not known:
        return "No backup can be compared with its forecast."
    in_time = sum(_ratio(each) <= 1 for each in known)
    worst = max(known, key=_ratio)
    told = f"{in_time:,} of {words.counted(len(known), 'backup')} took no longer than expected."
    if _ratio(worst) > 1:
        took, expected = words.duration(worst.seconds), words.duration(worst.expected)
        told += f" {worst.name} was furthest off: {took} where {expected} were expected."
    return told


def _row(machine: Machine, longest: float) -> list[Markup]:
    start = words.clock(machine.decided.start) if machine.decided else ""
    state = joined((badge(machine.state), " ", machine.state))
    how = " ".join(filter(None, [machine.text("method"), machine.text("transport")]))
    is_done = machine.state == DONE
    sizes = [_size(machine, key) if is_done else "" for key in ("size", "bytes_read", "added")]
    took = words.duration(machine.seconds) if machine.tries else ""
    expected = "" if machine.expected is None else words.duration(machine.expected)
    drawn = _bar(_ratio(machine), longest) if _is_known(machine) else None
    return [
        el("th", name_of(machine.name), scope="row"),
        cell(state, class_="state"),
        cell(machine.proxy),
        *(cell(each, is_number=True) for each in (start, *sizes)),
        cell(how),
        *(cell(each, is_number=True) for each in (took, expected)),
        cell(drawn, class_="ratio"),
    ]


def _size(machine: Machine, key: str) -> str:
    count = machine.bytes(key)
    return "" if count is None else words.size(count)


def _bar(ratio: float, longest: float) -> Markup:
    """The tick is what was expected; an arrow says that it goes on."""
    unit = (_WIDTH - 8) / longest
    length, tick = min(ratio, longest) * unit, unit
    over = ratio > 1.25
    return el(
        "svg",
        el("title", words.share(ratio, 1.0)),
        el("rect", y=3, width=max(length, 1.0), height=6, class_="over" if over else "fill"),
        el("path", d=f"M{length:.1f},1 l5,5 l-5,5", class_="arrow") if ratio > longest else None,
        el("line", x1=tick, x2=tick, y1=0, y2=12, class_="expected"),
        viewBox=f"0 0 {_WIDTH:g} 12",
        width=90,
        height=12,
        role="img",
    )


def proxies(report: Report) -> Markup:
    rows = [
        [
            el("th", name_of(each.name), scope="row"),
            *(
                cell(told, is_number=True)
                for told in (
                    f"{each.peak} of {each.streams}",
                    f"{each.done:,}",
                    f"{each.failed:,}",
                    f"{each.lost:,}",
                    words.duration(each.busy),
                    words.size(each.bytes_read),
                    _rate(each.bytes_read, each.busy),
                )
            ),
        ]
        for each in report.proxies
    ]
    heads = ("Proxy", "Streams used", "Done", "Failed", "Lost", "Busy", "Read", "Per stream")
    return table("Proxies", heads, rows, numbers=range(1, len(heads)))


def _rate(count: int, seconds: float) -> str:
    return f"{words.size(int(count / seconds))}/s" if seconds >= 1 and count else ""


def limits(report: Report) -> Markup:
    """What ran at a time at most, beside what may."""
    told = report.limits
    rows = [("Repository", "", report.peaks.repository, int(told.get("repository", 0)))]
    for kind, one, many, used in (
        ("ESXi host", "host", "hosts", report.peaks.hosts),
        ("Datastore", "datastore", "datastores", report.peaks.datastores),
    ):
        own = told.get(many, {})
        rows += [
            (kind, name, count, int(own.get(name, told.get(one, 0))))
            for name, count in sorted(used.items())
        ]
    lines = [
        [
            cell(kind),
            el("th", name_of(name) if name else "all of it", scope="row"),
            cell(str(peak), is_number=True),
            cell(str(most) if most else "none", is_number=True),
        ]
        for kind, name, peak, most in rows
    ]
    heads = ("Kind", "Name", "At most ran", "Limit")
    shown = table("Limits", heads, lines, numbers=(2, 3))
    return folded("Limits, and how many backups ran at a time", shown)
