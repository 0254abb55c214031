# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One order of machines, laid out in time: whoever is first in it and may begin, begins.

At any moment no host, datastore, proxy or repository has more backups than it may have. Nothing
is begun that is not expected to end within the window.
"""

from __future__ import annotations

import heapq
import typing as t

from .model import Slot

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from .model import Limits, Machine, Window

    Resource = tuple[str, str]

_REPOSITORY = ("repository", "")


def lay_out(
    machines: Sequence[Machine], proxies: Mapping[str, int], limits: Limits, window: Window
) -> tuple[list[Slot], list[Machine]]:
    """The slots, and those that would not end in time. `proxies`: streams by name."""
    return _Clock(machines, proxies, limits, window).run()


class _Clock:
    """Goes from the end of one backup to the next. Whoever cannot begin waits for what it lacks,
    and is asked again when that is free: nobody else need be asked."""

    def __init__(
        self,
        machines: Sequence[Machine],
        proxies: Mapping[str, int],
        limits: Limits,
        window: Window,
    ) -> None:
        self._machines, self._limits, self._window = machines, limits, window
        self._streams = dict(proxies)  # free ones
        self._free: dict[Resource, int] = {}
        self._pools: dict[Resource, frozenset[str]] = {}  # proxies of which any will do
        self._waiting: dict[Resource, list[int]] = {}  # heaps of places in the order
        self._running: list[tuple[float, int, str]] = []  # a heap: end, place in the order, proxy
        self._slots: list[Slot] = []
        self._late: list[int] = []

    def run(self) -> tuple[list[Slot], list[Machine]]:
        for place in range(len(self._machines)):
            self._begin(place, self._window.start)
        while self._running:
            now = self._running[0][0]
            freed = set()
            while self._running and self._running[0][0] <= now:
                freed.update(self._release(heapq.heappop(self._running)))
            self._wake(freed, now)
        return self._slots, [self._machines[place] for place in sorted(self._late)]

    def _begin(self, place: int, now: float) -> None:
        """Unless it has to wait, or it is too late."""
        machine = self._machines[place]
        if now + machine.seconds > self._window.end:
            self._late.append(place)
            return
        lacking = next((each for each in self._needs(machine) if not self._has(each)), None)
        if lacking is not None:
            heapq.heappush(self._waiting.setdefault(lacking, []), place)
            return
        proxy = max(self._reaching(machine), key=lambda name: (self._streams[name], name))
        self._count(machine, -1)
        self._streams[proxy] -= 1
        heapq.heappush(self._running, (now + machine.seconds, place, proxy))
        self._slots.append(Slot(machine, proxy, now))

    def _needs(self, machine: Machine) -> Iterator[Resource]:
        yield _REPOSITORY
        yield "host", machine.host
        for name in machine.datastores:
            yield "datastore", name
        pool = ("proxies", " ".join(sorted(machine.proxies)))
        self._pools.setdefault(pool, self._reaching(machine))
        yield pool

    def _reaching(self, machine: Machine) -> frozenset[str]:
        able = self._streams.keys()
        return frozenset(able & machine.proxies if machine.proxies else able)

    def _has(self, resource: Resource) -> bool:
        if resource in self._pools:
            return any(self._streams[name] > 0 for name in self._pools[resource])
        if resource not in self._free:
            self._free[resource] = self._limit(resource) or len(self._machines)
        return self._free[resource] > 0

    def _limit(self, resource: Resource) -> int:
        kind, name = resource
        if kind == "repository":
            return self._limits.repository
        if not name:  # nobody knows where it is
            return 0
        return self._limits.of_host(name) if kind == "host" else self._limits.of_datastore(name)

    def _release(self, ended: tuple[float, int, str]) -> list[Resource]:
        _end, place, proxy = ended
        self._streams[proxy] += 1
        self._count(self._machines[place], 1)
        pools = [pool for pool, names in self._pools.items() if proxy in names]
        return [*self._needs(self._machines[place]), *pools]

    def _count(self, machine: Machine, change: int) -> None:
        for resource in self._needs(machine):
            if resource not in self._pools:
                self._free[resource] += change

    def _wake(self, freed: set[Resource], now: float) -> None:
        """Those who wait for what is free now, in the order, as long as there is any of it."""
        waiting = {each for each in freed if self._waiting.get(each)}
        while waiting:
            resource = min(waiting, key=lambda each: self._waiting[each][0])
            self._begin(heapq.heappop(self._waiting[resource]), now)
            waiting = {each for each in waiting if self._waiting[each] and self._has(each)}
