# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A window in words: for the top of the page, a mail, a message."""

from __future__ import annotations

import typing as t

from . import words
from .advice import next_steps
from .model import DONE, FAILED, LEFT, SKIPPED
from .totals import totals_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import Machine, Report

_MOST_NAMED = 20  # machines of one kind in plain text


def headline(report: Report) -> str:
    """`58 of 60 machines are backed up; 1 failed; 1 had no room.`"""
    return " ".join(headline_parts(report))


def headline_parts(report: Report) -> list[str]:
    """Its clauses, with what ends each."""
    parts = _clauses(report)
    return [*(f"{part};" for part in parts[:-1]), f"{parts[-1]}."]


def _clauses(report: Report) -> list[str]:
    parts = [_backed_up(report)]
    told = {FAILED: "failed", LEFT: "had no room", SKIPPED: ""}
    for state, verb in told.items():
        count = len(report.of_state(state))
        if count:
            verb = verb or ("was skipped" if count == 1 else "were skipped")
            parts.append(f"{count:,} {verb}")
    if report.verify.get("ok") is False:
        parts.append("the repository did not pass its verification")
    if report.prune.get("ok") is False:
        parts.append("pruning failed")
    return parts


def _backed_up(report: Report) -> str:
    done, selected = len(report.of_state(DONE)), len(report.machines)
    if not selected:
        return "No machine was selected"
    if selected == 1:
        return f"The one machine is {'' if done else 'not '}backed up"
    if done < selected:
        return f"{done:,} of {words.counted(selected, 'machine')} {_are(done)} backed up"
    return f"All {done:,} machines are backed up"


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def protection(report: Report) -> str:
    """How many are as well protected as they have to be, whatever this window did for it."""
    totals = totals_of(report)
    within, measured = totals["within_rpo"], totals["measured"]
    if within == measured:
        return "Every machine has a restore point that is young enough for its RPO."
    return (
        f"{within:,} of {measured:,} machines {'has' if within == 1 else 'have'} a restore point"
        " that is young enough for the RPO."
    )


def plain_text(report: Report) -> str:
    """Some lines for a mail."""
    lines = [headline(report), protection(report), "", *_numbers(report)]
    for state, title in ((FAILED, "Failed"), (LEFT, "Had no room")):
        machines = report.of_state(state)
        if machines:
            lines += ["", f"{title}:"]
            lines += [_told(each, report) for each in machines[:_MOST_NAMED]]
            rest = len(machines) - _MOST_NAMED
            lines += [f"* and {rest:,} more"] if rest > 0 else []
    return "\n".join(lines) + "\n"


def _told(machine: Machine, report: Report) -> str:
    steps = " ".join(next_steps(machine, report))
    return f"* {machine.name}: {words.sentence(machine.message)} {steps}"


def _numbers(report: Report) -> Iterator[str]:
    totals = totals_of(report)
    yield f"Window: {words.period(report.start, report.deadline)} (UTC)"
    yield f"Took: {words.duration(totals['seconds'])}, until {words.moment(report.closed)}"
    yield (
        f"Data: {words.size(totals['size'])} protected, {words.size(totals['bytes_read'])} read,"
        f" {words.size(totals['added'])} stored"
    )
