# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A window while it runs: each proxy asks for its turns, and says how they went."""

from __future__ import annotations

import os
import time
import typing as t

from ..._device.errors import InvalidRequest
from .log import Log
from .turns import AGAIN, END, LOST, OPEN, START, Course

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Row = dict[str, t.Any]

_PAUSE, _LONGEST = 0.5, 5.0  # seconds between two looks at the log, in the beginning and later


def run_of(path: str, plan: Row, silent: Sequence[str] = ()) -> int | None:
    """The number of its run, where it is open with this plan and nothing is to be said first; else
    None. Raises InvalidRequest for another plan."""
    if not os.path.exists(path):
        return None
    with Log(path).locked() as log:
        events = log.events()
        course = _course(path, events, plan) if events else None
        return None if course is None or _is_broken(course, silent) else course.run


def open_window(path: str, plan: Row, now: float, silent: Sequence[str] = ()) -> int:
    """Or go on with it: what was begun in it counts as lost, and who worked for an earlier run has
    no more turns. The number of this run. `silent`: proxies that do not answer any more. Raises
    InvalidRequest for another plan."""
    with Log(path).locked() as log:
        events = log.events()
        if not events:
            log.append({"event": OPEN, "at": now, "plan": plan})
        else:
            course = _course(path, events, plan)
            for moref, proxy in course.running.items():
                log.append({"event": LOST, "at": now, "moref": moref, "proxy": proxy})
            if _is_broken(course, silent):
                log.append({"event": AGAIN, "at": now, "silent": sorted(silent)})
        return Course(log.events()).run


def _is_broken(course: Course, silent: Sequence[str]) -> bool:
    """Something in it ended without a word, a proxy was given up, or others answer."""
    return bool(course.running or course.gone or course.silent != sorted(silent))


def _course(path: str, events: list[Row], plan: Row) -> Course:
    course = Course(events)
    if course.plan != plan:
        hint = "Each window has a log of its own: name another file."
        raise InvalidRequest("the log is that of another window", path=path, hint=hint)
    return course


def take(
    path: str,
    proxy: str,
    most_tries: int,
    patience: float,
    run: int | None = None,
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Row:
    """`turn` to begin now, or None; then `over` says whether it is any use to ask again. `run`: the
    number of the run that asks, else the one that there is: with another one it is over."""
    end, pause = clock() + patience, _PAUSE
    while True:
        with Log(path).locked() as log:
            course, now = Course(log.events()), clock()
            run = course.run if run is None else run
            if course.run != run:
                return {"turn": None, "over": True}
            turn = course.turn(proxy, now, most_tries)
            if turn is not None:
                moref = turn.machine["moref"]
                log.append({"event": START, "at": now, "moref": moref, "proxy": proxy})
                return {"turn": {**turn.machine, "tries": turn.tries}, "over": False}
            over = course.is_over(proxy, now, most_tries)
        if over or now >= end:
            return {"turn": None, "over": over}
        sleep(min(pause, end - now))
        pause = min(pause * 1.5, _LONGEST)


def give_back(
    path: str, proxy: str, moref: str, now: float, outcome: Row, run: int | None = None
) -> None:
    """`outcome`: `ok`, and whatever the report shall tell. What an earlier run says counts no more:
    that turn is lost already. Raises InvalidRequest."""
    with Log(path).locked() as log:
        course = Course(log.events())
        if run is not None and course.run != run:
            return
        if course.running.get(moref) != proxy:
            raise InvalidRequest(f"{proxy} has no turn with {moref}", path=path)
        log.append({**outcome, "event": END, "at": now, "moref": moref, "proxy": proxy})
