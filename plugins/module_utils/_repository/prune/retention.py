# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which restore points stay and which go, each with its reasons in words. Touches nothing."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ..format import times

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..format.manifest import RestorePoint

_BUCKETS: dict[str, Callable[[datetime.datetime], str]] = {
    "hourly": lambda time: f"{time:%Y-%m-%dT%H}h",
    "daily": lambda time: f"{time:%Y-%m-%d}",
    "weekly": lambda time: "{}-W{:02}".format(*time.isocalendar()[:2]),
    "monthly": lambda time: f"{time:%Y-%m}",
    "yearly": lambda time: f"{time:%Y}",
}


@dataclasses.dataclass(frozen=True)
class Rules:
    """How many to keep of each source; `within` in seconds. All zero: nothing is ever dropped."""

    last: int = 0
    hourly: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0
    within: int = 0

    @property
    def drop_anything(self) -> bool:
        return any(dataclasses.astuple(self))


@dataclasses.dataclass(frozen=True)
class Verdict:
    """`reasons` say why it is kept, or why it is not."""

    point: RestorePoint
    keep: bool
    reasons: tuple[str, ...]


def judge(
    points: list[RestorePoint],
    rules: Rules,
    now: datetime.datetime,
    *,
    held: Mapping[str, str],
    drop: frozenset[str] = frozenset(),
) -> list[Verdict]:
    """One verdict for each point, in the order of `points`, which has the newest last.

    `held` maps keys of points to reasons. `drop` are keys of points that shall go whatever the
    rules say, but held and retained ones stay.
    """
    sources = dict.fromkeys(point.source_id for point in points)
    verdicts: dict[str, Verdict] = {}
    for source in sources:
        family = [point for point in points if point.source_id == source]
        for verdict in _judge_source(family, rules, now, held, drop):
            verdicts[verdict.point.key] = verdict
    return [verdicts[point.key] for point in points]


def _judge_source(
    points: list[RestorePoint],
    rules: Rules,
    now: datetime.datetime,
    held: Mapping[str, str],
    drop: frozenset[str],
) -> list[Verdict]:
    readable = [point for point in points if point.problem is None and point.key not in drop]
    ruled = _Ruled(readable, rules, now)
    verdicts = []
    for point in points:
        must = [*_held(point, held), *_retained(point, now)]
        if point.key in drop:
            verdicts.append(Verdict(point, bool(must), tuple(must or ["named in drop"])))
        elif point.problem is not None:
            verdicts.append(Verdict(point, True, (*must, f"cannot be read: {point.problem}")))
        else:
            kept = [*must, *ruled.kept[point.key]]
            verdicts.append(Verdict(point, bool(kept), tuple(kept or ruled.missed[point.key])))
    return _with_one_readable(verdicts, drop)


def _held(point: RestorePoint, held: Mapping[str, str]) -> list[str]:
    return [f"held: {held[point.key]}"] if point.key in held else []


def is_retained(point: RestorePoint, now: datetime.datetime) -> bool:
    """Whether it was promised not to go yet, and may be locked in the store."""
    # Both are UTC and written alike, so that they compare as texts.
    return bool(point.retain_until) and str(point.retain_until) > times.to_second(now)


def _retained(point: RestorePoint, now: datetime.datetime) -> list[str]:
    return [f"retained until {point.retain_until}"] if is_retained(point, now) else []


def _with_one_readable(verdicts: list[Verdict], drop: frozenset[str]) -> list[Verdict]:
    """The newest readable point of a source goes only if somebody names it."""
    readable = [
        (number, verdict)
        for number, verdict in enumerate(verdicts)
        if verdict.point.problem is None and verdict.point.key not in drop
    ]
    if readable and not any(verdict.keep for _number, verdict in readable):
        number, verdict = readable[-1]
        verdicts[number] = Verdict(verdict.point, True, ("the newest of this source",))
    return verdicts


class _Ruled:
    """What the rules say of readable points of one source: by key, why kept and why missed."""

    def __init__(self, points: list[RestorePoint], rules: Rules, now: datetime.datetime) -> None:
        self._newest_first, self._now = points[::-1], now
        self._times = {point.key: times.parse(point.clock) for point in points}
        self.kept: dict[str, list[str]] = {point.key: [] for point in points}
        self.missed: dict[str, list[str]] = {point.key: [] for point in points}
        if not rules.drop_anything:
            self._keep_all()
        if rules.last:
            self._last(rules.last)
        for name, bucket in _BUCKETS.items():
            if getattr(rules, name):
                self._each(name, bucket, getattr(rules, name))
        if rules.within and points:
            self._within(datetime.timedelta(seconds=rules.within))

    def _keep_all(self) -> None:
        for reasons in self.kept.values():
            reasons.append("no rule drops anything")

    def _last(self, count: int) -> None:
        for number, point in enumerate(self._newest_first, 1):
            if number <= count:
                self.kept[point.key].append(f"last {number} of {count}")
            else:
                self.missed[point.key].append(f"not among the last {count}")

    def _each(self, name: str, bucket: Callable[[datetime.datetime], str], count: int) -> None:
        """The newest of each of the newest `count` buckets that hold a point. Whether our clock is
        behind or a writer's was ahead, nobody knows: points later than ours count by themselves."""
        ahead = [point for point in self._newest_first if self._times[point.key] > self._now]
        others = [point for point in self._newest_first if self._times[point.key] <= self._now]
        for points in (ahead, others):
            self._each_of(points, name, bucket, count)

    def _each_of(
        self,
        newest_first: list[RestorePoint],
        name: str,
        bucket: Callable[[datetime.datetime], str],
        count: int,
    ) -> None:
        chosen: dict[str, str] = {}
        for point in newest_first:
            label = bucket(self._times[point.key])
            if label in chosen:
                self.missed[point.key].append(f"{name} {label} is {chosen[label]}")
            elif len(chosen) < count:
                chosen[label] = point.id
                self.kept[point.key].append(f"{name} {label}")
            else:
                self.missed[point.key].append(f"{name} {label} is not among the newest {count}")

    def _within(self, age: datetime.timedelta) -> None:
        """Counted from the newest point: where backups have stopped, age drops nothing. Nor does a
        point of the future make others look old."""
        moments = {key: min(time, self._now) for key, time in self._times.items()}
        newest = max(moments.values())
        for point in self._newest_first:
            if newest - moments[point.key] <= age:
                self.kept[point.key].append(f"at most {_words(age)} older than the newest")
            else:
                self.missed[point.key].append(f"more than {_words(age)} older than the newest")


def _words(age: datetime.timedelta) -> str:
    seconds = int(age.total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
