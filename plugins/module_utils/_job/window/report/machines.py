# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The machines of a window: what was planned for each, what became of it, and what it has."""

from __future__ import annotations

import dataclasses
import typing as t

from ..times import parse_time
from . import words
from .model import DONE, FAILED, LEFT, SKIPPED, Concern, Machine, Planned

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .model import Row, Try
    from .points import MadePoints
    from .tries import Story

NOT_PLANNED = "it is not in the plan"
STRAYED = "it was backed up, but its restore point is not in the repository, or cannot be read"


@dataclasses.dataclass(frozen=True)
class Roll:
    """Who belongs to the window, with what is known of them besides its log."""

    vms: Sequence[Row]
    skipped: Sequence[Row]
    points: MadePoints
    rpo: float
    rpos: Mapping[str, float]

    def rpo_of(self, moref: str, name: str) -> float:
        return self.rpos.get(moref, self.rpos.get(name, self.rpo))


def machines_of(story: Story, roll: Roll) -> tuple[Machine, ...]:
    """In the order of the plan; then those that were not planned for."""
    planned = [*_planned(story, roll)]
    seen = {each.moref for each in planned}
    reasons = {row["moref"]: str(row.get("reason") or NOT_PLANNED) for row in roll.skipped}
    return (*planned, *(each for each in _skipped(roll, reasons) if each.moref not in seen))


def _planned(story: Story, roll: Roll) -> Iterator[Machine]:
    vms = {str(vm["moref"]): vm for vm in roll.vms}
    for place, row in enumerate((*story.plan["slots"], *story.plan["left"])):
        slot = row if place < len(story.plan["slots"]) else None
        yield _machine(story, roll, row, slot, vms.get(row["moref"], {}))


def _machine(story: Story, roll: Roll, row: Row, slot: Row | None, vm: Row) -> Machine:
    moref, name = row["moref"], row["name"]
    tries = tuple(story.tries.get(moref, ()))
    good = next((each for each in tries if each.ok), None)
    outcome = story.outcomes.get(moref, {})
    strayed = good is not None and roll.points.lack(str(outcome.get("point") or ""))
    state = DONE if good and not strayed else FAILED if tries else LEFT
    made = roll.points.of(moref, name, vm.get("instance_uuid"), _known(story, row))
    is_new = state == DONE and outcome.get("changed", True)
    if good and is_new and not any(each >= good.start - 1 for each in made):
        made.add(good.start)  # its point is not among those that were listed
    return Machine(
        name=name,
        moref=moref,
        state=state,
        rpo=roll.rpo_of(moref, name),
        host=row.get("host") or "",
        datastores=tuple(row.get("datastores", ())),
        proxies=tuple(row.get("proxies", ())),
        tries=tries,
        planned=None if slot is None else _slot(slot),
        message=_why_not(story, row, slot, tries, strayed),
        never=state == LEFT and bool(row.get("never")),
        missed=int(row.get("missed", 1)) if state == LEFT else 0,
        expected=row.get("seconds"),
        basis=row.get("basis", ""),
        age_before=row.get("age"),
        made=tuple(sorted(made)),
        concerns=tuple(_concerns(vm)),
        outcome=outcome,
    )


def _known(story: Story, row: Row) -> float | None:
    """When the newest restore point was made that there was when the window was planned."""
    age = row.get("age")
    return None if age is None else parse_time(story.plan["start"], "start") - float(age)


def _slot(row: Row) -> Planned | None:
    if not row.get("start"):
        return None
    return Planned(row["proxy"], parse_time(row["start"], "start"), parse_time(row["end"], "end"))


def _why_not(story: Story, row: Row, slot: Row | None, tries: Sequence[Try], strayed: bool) -> str:
    if strayed:
        return STRAYED
    if tries:
        return "" if any(each.ok for each in tries) else tries[-1].message
    return _why_left(story, row, slot)


def _why_left(story: Story, row: Row, slot: Row | None) -> str:
    if slot is None:
        return str(row.get("reason", ""))
    deadline = parse_time(story.plan["deadline"], "deadline")
    if story.closed + row["seconds"] <= deadline:
        return "the window ended before its turn came"
    expected = words.duration(row["seconds"])
    return (
        "its turn did not come: others took longer than expected, and it would not have ended"
        f" in time ({expected})"
    )


def _skipped(roll: Roll, reasons: Mapping[str, str]) -> Iterator[Machine]:
    """Also those that were selected and of which nobody said anything. Who is not even among those
    that were selected is left out on purpose."""
    known = {str(vm["moref"]): vm for vm in roll.vms}
    rows = {**{row["moref"]: row for row in roll.skipped}, **known}
    for moref, row in rows.items():
        name = row["name"]
        yield Machine(
            name=name,
            moref=moref,
            state=SKIPPED,
            rpo=roll.rpo_of(moref, name),
            host=row.get("host") or "",
            message=reasons.get(moref, NOT_PLANNED),
            measured=moref in known,
            made=tuple(sorted(roll.points.of(moref, name, row.get("instance_uuid")))),
            concerns=tuple(_concerns(row)),
        )


def _concerns(vm: Row) -> Iterator[Concern]:
    for text in vm.get("concerns") or ():
        yield Concern(str(text))
    for disk in vm.get("disks") or ():
        if disk.get("concern"):
            yield Concern(str(disk["concern"]), str(disk.get("name") or disk.get("label") or ""))
