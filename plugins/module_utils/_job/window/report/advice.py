# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What to do next about a machine that has no backup of this window."""

from __future__ import annotations

import typing as t

from . import words
from .model import FAILED, LEFT

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .model import Machine, Report


def next_steps(machine: Machine, report: Report) -> list[str]:
    """Sentences, the most urgent first."""
    how = {FAILED: _after_failure, LEFT: _after_no_room}.get(machine.state)
    return [how_long(machine, report.closed), *(how(machine, report) if how else ())]


def how_long(machine: Machine, now: float) -> str:
    """For how long it is protected yet."""
    age, rpo = machine.age(now), words.duration(machine.rpo)
    if age is None or machine.newest is None:
        return "It has no restore point at all. Back it up by hand today."
    if age >= machine.rpo:
        return (
            f"Its newest restore point is {words.duration(age)} old, its RPO is {rpo}."
            " Back it up by hand today."
        )
    until = words.moment(machine.newest + machine.rpo)
    return f"Its newest restore point is {words.duration(age)} old: within its RPO until {until}."


def _after_failure(machine: Machine, _report: Report) -> Iterator[str]:
    if machine.decided and machine.decided.ok:
        yield f"See whether {machine.proxy} has another repository under the same path."
        return
    silent = list(dict.fromkeys(each.proxy for each in machine.tries if each.lost or each.gone))
    tried = dict.fromkeys(each.proxy for each in machine.tries)
    failed = [name for name in tried if name not in silent]
    if silent:
        yield (
            f"See whether {words.listed(silent)} {'is' if len(silent) == 1 else 'are'} up. What was"
            " left in vSphere goes with the next backup of the machine."
        )
    if len(failed) > 1:
        yield f"It failed at {words.listed(failed)}: look at the machine and its datastores first."
    elif failed and len(machine.proxies) > 1 and not silent:
        yield f"Only {failed[0]} tried it: there was no time for another proxy. Look there first."
    elif failed and not silent:
        yield f"Only {failed[0]} reaches it. Let a second proxy reach its datastores."
    leftovers = machine.texts("leftovers")
    if leftovers:
        yield f"Left in vSphere: {'; '.join(leftovers)}. The next backup takes it back."


def _after_no_room(machine: Machine, report: Report) -> Iterator[str]:
    expected = words.duration(machine.expected)
    if machine.never and not machine.proxies:
        stores = words.listed(list(machine.datastores)) or "its datastores"
        yield f"Let a proxy reach {stores}: no window has room for it before that."
    elif machine.never:
        yield f"Give it a longer window of its own ({expected} expected), or a faster transport."
    else:
        line = [each.moref for each in report.of_state(LEFT) if not each.never]
        place = line.index(machine.moref) + 1
        yield f"It leads the next window, at place {place} of {len(line)}."
        if machine.missed > 1:
            yield (
                f"{machine.missed} windows in a row had no room for it: begin earlier, or add a"
                " proxy or a stream."
            )
