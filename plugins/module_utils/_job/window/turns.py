# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Whose turn it is while a window runs: nights never go quite as planned.

The order is the plan's; what a host, a datastore, a proxy and the repository may have at a time is
counted in the log, so it holds however long anything takes. A machine that failed has its next turn
behind all others, at another proxy where one reaches it.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import InvalidRequest
from .times import parse_time

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .log import Event

    Row = dict[str, t.Any]

OPEN, START, END, LOST, AGAIN = "open", "start", "end", "lost", "again"


@dataclasses.dataclass(frozen=True)
class Turn:
    """A machine to back up now. `tries` counts this one."""

    machine: Row
    tries: int


class Course:
    """A window as far as it has gone, by its events. Raises InvalidRequest where it is not open."""

    def __init__(self, events: Sequence[Event]) -> None:
        opened = [event for event in events if event.get("event") == OPEN]
        if not opened:
            raise InvalidRequest(
                "this window was not opened", hint="Open it first, with a plan (state: opened)."
            )
        self.plan: Row = opened[0]["plan"]
        self._deadline = parse_time(self.plan["deadline"], "deadline")
        self.running: dict[str, str] = {}  # moref → proxy
        self.failed: dict[str, list[str]] = {}  # moref → proxies, of each try
        self.done: set[str] = set()
        self.gone: dict[str, int] = {}  # proxy → streams of it that could not reach it any more
        self.silent: list[str] = []  # proxies that did not answer when it was opened again
        self.run = 1  # it is opened again by another run of its controller
        self._rows = {each["moref"]: each for each in (*self.plan["slots"], *self.plan["left"])}
        for event in events:
            self._apply(event)

    def _apply(self, event: Event) -> None:
        kind, moref = event.get("event"), event.get("moref", "")
        if kind == START:
            self.running[moref] = event["proxy"]
        elif kind in (END, LOST) and moref in self.running:
            proxy = self.running.pop(moref)
            if event.get("ok"):
                self.done.add(moref)
            else:
                self.failed.setdefault(moref, []).append(proxy)
            if event.get("gone"):
                self.gone[proxy] = self.gone.get(proxy, 0) + 1
        elif kind == AGAIN:
            self.run += 1
            self.gone.clear()
            self.silent = event.get("silent", [])

    def turn(self, proxy: str, now: float, most_tries: int) -> Turn | None:
        """What this proxy is to begin now; None where it has to wait, or is done."""
        if not self._has_room("proxies", proxy, list(self.running.values()).count(proxy)):
            return None
        for machine in self._left(proxy, now, most_tries):
            if self._fits(machine):
                return Turn(machine, len(self.failed.get(machine["moref"], ())) + 1)
        return None

    def is_over(self, proxy: str, now: float, most_tries: int) -> bool:
        """Whether nothing is left for this proxy, whatever happens to what runs now."""
        return not any(True for each in self._left(proxy, now, most_tries, with_running=True))

    def _left(
        self, proxy: str, now: float, most_tries: int, *, with_running: bool = False
    ) -> Iterator[Row]:
        """In the order of the plan, those that failed last. Running ones may yet fail elsewhere."""
        machines = [*self.plan["slots"], *(e for e in self.plan["left"] if not e["never"])]
        for machine in sorted(machines, key=lambda each: len(self.failed.get(each["moref"], ()))):
            moref = machine["moref"]
            runs_here = self.running.get(moref) == proxy
            if moref in self.done or (moref in self.running and (runs_here or not with_running)):
                continue
            tries = self.failed.get(moref, [])
            if len(tries) >= most_tries or now + machine["seconds"] > self._deadline:
                continue
            if proxy in machine["proxies"] and not self._prefers_another(machine, proxy, tries):
                yield machine

    def _prefers_another(self, machine: Row, proxy: str, tries: list[str]) -> bool:
        return proxy in tries and any(
            other not in tries and self._is_there(other) for other in machine["proxies"]
        )

    def _is_there(self, proxy: str) -> bool:
        streams = int(self.plan["limits"]["proxies"].get(proxy, 0))
        return proxy not in self.silent and self.gone.get(proxy, 0) < streams

    def _fits(self, machine: Row) -> bool:
        beside = [self._rows[moref] for moref in self.running]
        hosts = sum(each["host"] == machine["host"] for each in beside)
        return (
            self._has_room("repository", "", len(beside))
            and (not machine["host"] or self._has_room("hosts", machine["host"], hosts))
            and all(
                self._has_room("datastores", name, sum(name in e["datastores"] for e in beside))
                for name in machine["datastores"]
            )
        )

    def _has_room(self, kind: str, name: str, used: int) -> bool:
        """0 is no limit, but for proxies, which each have their streams."""
        limits = self.plan["limits"]
        if kind == "proxies":
            return bool(used < limits[kind].get(name, 0))
        most = limits[kind] if kind == "repository" else self._limit(limits, kind, name)
        return most == 0 or used < most

    def _limit(self, limits: Row, kind: str, name: str) -> int:
        return int(limits[kind].get(name, limits[kind.removesuffix("s")]))
