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
    from collections.abc import Callable

    Row = dict[str, t.Any]

_PAUSE, _LONGEST = 0.5, 5.0  # seconds between two looks at the log, in the beginning and later


def is_open(path: str, plan: Row) -> bool:
    """With this plan, and with nothing begun. Raises InvalidRequest for another plan."""
    if not os.path.exists(path):
        return False
    with Log(path).locked() as log:
        events = log.events()
        return bool(events) and not _is_broken(_course(path, events, plan))


def open_window(path: str, plan: Row, now: float) -> None:
    """Or go on with it: what was begun in it, nobody does any more, since it is opened before its
    proxies begin. Raises InvalidRequest for another plan."""
    with Log(path).locked() as log:
        events = log.events()
        if not events:
            log.append({"event": OPEN, "at": now, "plan": plan})
            return
        course = _course(path, events, plan)
        for moref, proxy in course.running.items():
            log.append({"event": LOST, "at": now, "moref": moref, "proxy": proxy})
        if _is_broken(course):
            log.append({"event": AGAIN, "at": now})


def _is_broken(course: Course) -> bool:
    """Something in it ended without a word, or a proxy was given up."""
    return bool(course.running or course.gone)


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
    clock: Callable[[], float] = time.time,
    sleep: Callable[[float], None] = time.sleep,
) -> Row:
    """`turn` to begin now, or None; then `over` says whether it is any use to ask again."""
    end, pause = clock() + patience, _PAUSE
    while True:
        with Log(path).locked() as log:
            course, now = Course(log.events()), clock()
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


def give_back(path: str, proxy: str, moref: str, now: float, outcome: Row) -> None:
    """`outcome`: `ok`, and whatever the report shall tell. Raises InvalidRequest."""
    with Log(path).locked() as log:
        if Course(log.events()).running.get(moref) != proxy:
            raise InvalidRequest(f"{proxy} has no turn with {moref}", path=path)
        log.append({**outcome, "event": END, "at": now, "moref": moref, "proxy": proxy})
