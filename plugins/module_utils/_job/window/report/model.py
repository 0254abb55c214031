# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the report of a window says, before it is JSON, metrics or a page.

Times are seconds since the epoch, durations seconds, sizes bytes. None: not known.
"""

from __future__ import annotations

import dataclasses
import typing as t

Row = dict[str, t.Any]

DONE, FAILED, LEFT, SKIPPED = "done", "failed", "left", "skipped"
OK, INCOMPLETE = "ok", "incomplete"  # of a window; the third is FAILED


class Try(t.NamedTuple):
    """`end` is None, and `lost` true, where nobody said how it went while the window was open.
    `gone`: the proxy could not be reached any more."""

    proxy: str
    start: float
    end: float | None
    ok: bool = False
    lost: bool = False
    gone: bool = False
    message: str = ""

    @property
    def seconds(self) -> float | None:
        return None if self.end is None else self.end - self.start


class Planned(t.NamedTuple):
    proxy: str
    start: float
    end: float


class Concern(t.NamedTuple):
    """What to know before a backup; `disk` where it is about one."""

    text: str
    disk: str = ""

    def __str__(self) -> str:
        return f"{self.disk}: {self.text}" if self.disk else self.text


@dataclasses.dataclass(frozen=True)
class Machine:
    name: str
    moref: str
    state: str
    rpo: float
    host: str = ""
    datastores: tuple[str, ...] = ()
    proxies: tuple[str, ...] = ()  # that could have made the backup
    tries: tuple[Try, ...] = ()
    planned: Planned | None = None
    message: str = ""  # why it is not done
    never: bool = False  # no window as long as this one has room for it
    missed: int = 0  # windows in a row that had no room for it
    expected: float | None = None
    basis: str = ""
    age_before: float | None = None  # of its newest restore point, when the window began
    measured: bool = True  # by its RPO: not who is left out on purpose
    made: tuple[float, ...] = ()  # when its restore points were made, the oldest first
    concerns: tuple[Concern, ...] = ()
    outcome: t.Mapping[str, t.Any] = dataclasses.field(default_factory=dict)  # of that try

    @property
    def newest(self) -> float | None:
        return self.made[-1] if self.made else None

    @property
    def decided(self) -> Try | None:
        """The try that made the backup, else the last one."""
        return next(
            (each for each in self.tries if each.ok), self.tries[-1] if self.tries else None
        )

    @property
    def proxy(self) -> str:
        return self.decided.proxy if self.decided else ""

    @property
    def seconds(self) -> float | None:
        """How long that took."""
        told = number(self.outcome.get("seconds"))
        return self.decided.seconds if told is None and self.decided else told

    def bytes(self, key: str) -> int | None:
        """`size`, `bytes_read`, `bytes_new` or `added`."""
        told = number(self.outcome.get(key))
        return None if told is None else int(told)

    def texts(self, key: str) -> tuple[str, ...]:
        """`warnings` or `leftovers`."""
        told = self.outcome.get(key)
        return tuple(map(str, told)) if isinstance(told, (list, tuple)) else ()

    def text(self, key: str) -> str:
        return str(self.outcome.get(key) or "")

    def age(self, now: float) -> float | None:
        """How old its newest restore point was then."""
        before = [made for made in self.made if made <= now]
        if not before:
            return None if self.newest is None else 0.0  # clocks differ a little
        return now - before[-1]

    def is_within_rpo(self, now: float) -> bool:
        age = self.age(now)
        return self.measured and age is not None and age < self.rpo


@dataclasses.dataclass(frozen=True)
class Peaks:
    """The most that ran at a time, by name."""

    repository: int = 0
    hosts: t.Mapping[str, int] = dataclasses.field(default_factory=dict)
    datastores: t.Mapping[str, int] = dataclasses.field(default_factory=dict)
    proxies: t.Mapping[str, int] = dataclasses.field(default_factory=dict)


class ProxyWork(t.NamedTuple):
    name: str
    streams: int
    peak: int
    done: int
    failed: int
    lost: int
    busy: float
    bytes_read: int


@dataclasses.dataclass(frozen=True)
class Report:
    title: str
    start: float
    deadline: float
    opened: float
    closed: float  # when the last thing happened that the log tells
    machines: tuple[Machine, ...]
    limits: t.Mapping[str, t.Any]
    peaks: Peaks
    proxies: tuple[ProxyWork, ...]
    verify: Row
    prune: Row
    earlier: tuple[Row, ...] = ()  # of the trend, the oldest first

    def of_state(self, state: str) -> list[Machine]:
        return [each for each in self.machines if each.state == state]

    @property
    def status(self) -> str:
        if self.of_state(FAILED) or self.verify.get("ok") is False:
            return FAILED
        if self.of_state(LEFT) or self.prune.get("ok") is False:
            return INCOMPLETE
        return OK

    @property
    def missed(self) -> dict[str, int]:
        """For the next plan."""
        return {each.moref: each.missed for each in self.of_state(LEFT)}


def number(value: object) -> float | None:
    """Also of a text, as templates make them."""
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        found = float(value)
    except ValueError:
        return None
    return found if abs(found) < 1e18 else None  # neither endless nor no number
