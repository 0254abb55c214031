# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a window's plan is made of, and what comes out of it. Times are seconds since the epoch."""

from __future__ import annotations

import typing as t


class Machine(t.NamedTuple):
    """One that wants a backup. `seconds`: how long that is expected to take."""

    name: str
    seconds: float
    host: str = ""
    datastores: tuple[str, ...] = ()
    proxies: frozenset[str] = frozenset()  # that can reach it; none: all can
    last: float | None = None  # when its newest good restore point was made
    rpo: float = 86400.0  # how old that may become, in seconds
    missed: int = 0  # windows in a row that had no room for it
    risk: float = 1.0  # how much more it weighs than others of the same age


class Limits(t.NamedTuple):
    """How many backups may run at a time; 0 is no limit."""

    host: int = 0
    datastore: int = 0
    repository: int = 0
    hosts: t.Mapping[str, int] = {}  # that differ
    datastores: t.Mapping[str, int] = {}

    def of_host(self, name: str) -> int:
        return self.hosts.get(name, self.host)

    def of_datastore(self, name: str) -> int:
        return self.datastores.get(name, self.datastore)


class Window(t.NamedTuple):
    start: float
    end: float

    @property
    def seconds(self) -> float:
        return self.end - self.start


class Slot(t.NamedTuple):
    """One backup: which proxy makes it, from when, and until when it is expected to take."""

    machine: Machine
    proxy: str
    start: float

    @property
    def end(self) -> float:
        return self.start + self.machine.seconds


class Left(t.NamedTuple):
    """A machine that has no place in the window, and why."""

    machine: Machine
    reason: str
    never: bool = False  # no window of this length has room for it


class WindowPlan(t.NamedTuple):
    """`slots` by their start; `left` in the order in which they lead the next window."""

    slots: tuple[Slot, ...]
    left: tuple[Left, ...]

    @property
    def end(self) -> float | None:
        return max((slot.end for slot in self.slots), default=None)
