# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Who has no backup of this window, why, and what to do next."""

from __future__ import annotations

import itertools
import typing as t

from .. import words
from ..advice import next_steps
from ..model import FAILED, LEFT, SKIPPED
from .markup import Markup, el, joined, name_of
from .tables import cell, folded, table

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ..model import Machine, Report, Try

_OPEN = 25  # of a kind; more are folded away


def attention(report: Report) -> Markup:
    parts = (_failed(report), _left(report), _skipped(report))
    if not any(parts):
        return el("p", "Nothing: every machine that was selected has its backup.", class_="quiet")
    return joined(parts)


def _failed(report: Report) -> Markup | None:
    machines = report.of_state(FAILED)
    if not machines:
        return None
    cards = [_card(each, report) for each in machines]
    return joined((_title("failed", len(machines), "failed"), *_cards(cards)))


def _cards(cards: list[Markup]) -> Iterable[Markup]:
    yield el("div", *cards[:_OPEN], class_="cards")
    if cards[_OPEN:]:
        yield folded(f"{len(cards) - _OPEN:,} more", el("div", *cards[_OPEN:], class_="cards"))


def _title(kind: str, count: int, word: str) -> Markup:
    return el("h3", badge(kind), f" {count:,} {word}")


def badge(kind: str) -> Markup:
    """A letter and a shape for each state."""
    sign = {"done": "✓", "failed": "✕", "left": "!", "skipped": "–"}[kind]
    return el("span", sign, class_=f"badge {kind}", aria_hidden="true")


def _card(machine: Machine, report: Report) -> Markup:
    """One that failed."""
    return el(
        "article",
        el("h4", name_of(machine.name), _where(machine)),
        *_tries(machine.tries),
        _steps(machine, report),
        class_="card failed",
    )


def _where(machine: Machine) -> Markup:
    told = " · ".join(filter(None, [machine.moref, machine.host, *machine.datastores]))
    return el("small", told)


def _tries(tries: Sequence[Try]) -> Iterator[Markup]:
    """What was said several times in a row is told once."""
    for message, own in itertools.groupby(tries, lambda each: each.message):
        yield el("p", "; ".join(map(_when, own)), class_="label")
        yield el("p", words.sentence(message))


def _when(tried: Try) -> str:
    took = f", after {words.duration(tried.seconds)}" if tried.seconds is not None else ""
    return f"{words.clock(tried.start)} at {tried.proxy}{took}"


def _steps(machine: Machine, report: Report) -> Markup:
    steps = [el("li", each) for each in next_steps(machine, report)]
    return joined((el("p", "What to do", class_="label"), el("ul", *steps, class_="steps")))


def _left(report: Report) -> Markup | None:
    machines = report.of_state(LEFT)
    if not machines:
        return None
    rows = [
        [
            el("th", name_of(each.name), _where(each), scope="row"),
            cell(words.sentence(each.message)),
            cell(words.duration(each.expected), is_number=True),
            cell(str(each.missed), is_number=True),
            cell(" ".join(next_steps(each, report))),
        ]
        for each in machines
    ]
    heads = ("Machine", "Why", "Expected", "Windows missed", "What to do")
    shown = table("Machines that had no room", heads, rows, numbers=(2, 3), class_="prose")
    if len(rows) > _OPEN:
        first = table("The next window begins with", heads, rows[:_OPEN], numbers=(2, 3))
        shown = joined((first, folded(f"All {len(rows):,}", shown)))
    title = _title("left", len(machines), "had no room")
    return joined((title, shown))


def _skipped(report: Report) -> Markup | None:
    machines = report.of_state(SKIPPED)
    if not machines:
        return None
    rows = [
        [
            el("th", name_of(each.name), _where(each), scope="row"),
            cell(words.sentence(each.message)),
        ]
        for each in machines
    ]
    shown = table("Machines that were skipped", ("Machine", "Why"), rows, class_="prose")
    if len(rows) > _OPEN:
        shown = folded(f"All {len(rows):,}", shown)
    return joined((_title("skipped", len(machines), "skipped"), shown))
