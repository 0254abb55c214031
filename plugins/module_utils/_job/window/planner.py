# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The plan of a window: several orders are laid out, and the one that protects most is taken.

Which order is best cannot be said beforehand (it is a scheduling problem with several resources),
so small windows, where a bad order costs most, are tried in many ways. The same input gives the
same plan each time.
"""

from __future__ import annotations

import math
import random
import typing as t

from .model import Left, WindowPlan
from .order import by_urgency, urgency
from .schedule import lay_out

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from .model import Limits, Machine, Slot, Window

    Key = Callable[[Machine], float]
    Score = tuple[list[int], int, float, float]

_EFFORT = 20_000  # machines laid out in all, however few there are
_MOST_TRIES = 300


def plan_window(
    machines: Sequence[Machine], proxies: Mapping[str, int], limits: Limits, window: Window
) -> WindowPlan:
    """Who is backed up when, and by which proxy. `proxies`: how many each makes at a time."""
    streams = {name: number for name, number in proxies.items() if number > 0}
    excluded = [left for each in machines if (left := _never(each, streams, window))]
    names = {left.machine.name for left in excluded}
    ordered = by_urgency((each for each in machines if each.name not in names), window.start)
    slots, late = min(
        (lay_out(order, streams, limits, window) for order in _orders(ordered, window.start)),
        key=lambda found: _score(found[0], found[1], window.start),
    )
    no_room = [Left(each, _no_room(each)) for each in by_urgency(late, window.start)]
    return WindowPlan(tuple(slots), (*no_room, *excluded))


def _never(machine: Machine, proxies: Mapping[str, int], window: Window) -> Left | None:
    if not proxies or (machine.proxies and not machine.proxies & proxies.keys()):
        return Left(machine, "no proxy reaches it", never=True)
    if machine.seconds > window.seconds:
        took, has = _hours(machine.seconds), _hours(window.seconds)
        reason = f"it is expected to take {took}, and the whole window has {has}"
        return Left(machine, reason, never=True)
    return None


def _no_room(machine: Machine) -> str:
    return (
        f"it is expected to take {_hours(machine.seconds)}, and would not have ended in time behind"
        " those that need it more"
    )


def _hours(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02} h"


def _orders(ordered: list[Machine], now: float) -> Iterator[list[Machine]]:
    """Strictly by need; the longest first among those of like need; and mixtures of both."""
    yield ordered
    yield sorted(ordered, key=lambda each: (-each.missed, _is_fresh(each, now), -each.seconds))
    load = _loads(ordered)
    yield sorted(ordered, key=lambda each: (-each.missed, _is_fresh(each, now), -load(each)))
    dice = random.Random(len(ordered))
    for number in range(min(_MOST_TRIES, _EFFORT // max(1, len(ordered)))):
        yield _shaken(ordered, load if number % 2 else _seconds, dice)


def _shaken(machines: list[Machine], key: Key, dice: random.Random) -> list[Machine]:
    """The greatest first, about."""
    weights = [-key(each) * (1 + dice.random()) for each in machines]
    return [machines[place] for place in sorted(range(len(machines)), key=weights.__getitem__)]


def _seconds(machine: Machine) -> float:
    return machine.seconds


def _is_fresh(machine: Machine, now: float) -> bool:
    """Whether its newest point is younger than it has to be."""
    return urgency(machine, now) < 1


def _loads(machines: Sequence[Machine]) -> Key:
    """Of a machine: its own time, and that of all who want what it wants most."""
    sums: dict[tuple[str, str], float] = {}
    for each in machines:
        for place in _places(each):
            sums[place] = sums.get(place, 0.0) + each.seconds

    def load(machine: Machine) -> float:
        return machine.seconds + max((sums[place] for place in _places(machine)), default=0.0)

    return load


def _places(machine: Machine) -> list[tuple[str, str]]:
    return [("host", machine.host), *(("datastore", name) for name in machine.datastores)]


def _score(slots: list[Slot], late: list[Machine], now: float) -> Score:
    """Less is better: first nobody is left who was left before, then those who need it most have
    their place, then it ends early."""
    needs = [urgency(each, now) for each in late]
    endless = sum(map(math.isinf, needs))
    end = max((slot.end for slot in slots), default=0.0)
    missed = sorted((each.missed for each in late if each.missed), reverse=True)
    return missed, endless, sum(need for need in needs if not math.isinf(need)), end
