# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""From a plan and a log to a report."""

from __future__ import annotations

import dataclasses
import typing as t

from ..times import parse_time
from .earlier import rows_of_trend
from .machines import Roll, machines_of
from .model import DONE, FAILED, ProxyWork, Report
from .points import MadePoints, require_rows
from .results import prune_result, verify_result
from .tries import read_story

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .model import Machine, Row
    from .tries import Story


@dataclasses.dataclass(frozen=True)
class ReportWish:
    """`events` of the log; `vms` as vmdk_vm_info lists them, `points` as vmdk_backup_info does
    after the window, None where it could not; `earlier` are contents of report.json. Times in
    seconds."""

    events: Sequence[Row]
    title: str = "Backup window"
    vms: Sequence[Row] = ()
    skipped: Sequence[Row] = ()
    points: Sequence[Row] | None = None
    rpo: float = 86400.0
    rpos: Mapping[str, float] = dataclasses.field(default_factory=dict)
    verify: Row = dataclasses.field(default_factory=dict)
    prune: Row = dataclasses.field(default_factory=dict)
    earlier: Sequence[Row] = ()


def make_report(wish: ReportWish) -> Report:
    """The same wish gives the same report, whenever. Raises InvalidRequest."""
    require_rows(wish.vms, "vms", "name", "moref")
    require_rows(wish.skipped, "skipped", "name", "moref")
    require_rows(wish.points or (), "restore_points", "source", "created")
    story = read_story(wish.events)
    start = parse_time(story.plan["start"], "start")
    earlier = [each for each in wish.earlier if parse_time(each["start"], "start") < start]
    points = MadePoints(wish.points, earlier)
    machines = machines_of(story, Roll(wish.vms, wish.skipped, points, wish.rpo, wish.rpos))
    limits = story.plan["limits"]
    return Report(
        title=wish.title,
        start=start,
        deadline=parse_time(story.plan["deadline"], "deadline"),
        opened=story.opened,
        closed=story.closed,
        machines=machines,
        limits={name: limits[name] for name in limits if name != "proxies"},
        peaks=story.peaks,
        proxies=_proxies(story, machines),
        verify=verify_result(wish.verify),
        prune=prune_result(wish.prune),
        earlier=rows_of_trend(earlier),
    )


def _proxies(story: Story, machines: Sequence[Machine]) -> tuple[ProxyWork, ...]:
    """Those of the plan, and whoever else had a turn."""
    streams = story.plan["limits"].get("proxies", {})
    names = dict.fromkeys([*sorted(streams), *sorted(story.peaks.proxies)])
    return tuple(_work(name, int(streams.get(name, 0)), story, machines) for name in names)


def _work(name: str, streams: int, story: Story, machines: Sequence[Machine]) -> ProxyWork:
    tries = [each for own in story.tries.values() for each in own if each.proxy == name]
    made = [each for each in machines if each.state == DONE and each.proxy == name]
    failed = [each for each in machines if each.state == FAILED and each.proxy == name]
    return ProxyWork(
        name=name,
        streams=streams,
        peak=story.peaks.proxies.get(name, 0),
        done=len(made),
        failed=len(failed),
        lost=sum(each.lost for each in tries),
        busy=sum((story.closed if each.end is None else each.end) - each.start for each in tries),
        bytes_read=sum(each.bytes("bytes_read") or 0 for each in made),
    )
