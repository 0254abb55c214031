# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The log of a window, read as a story: who was tried when, where, and how that went.

What counts is what counts for those who take turns (../turns.py): the end of a try that was never
begun is none.
"""

from __future__ import annotations

import collections
import dataclasses
import typing as t

from ...._device.errors import InvalidRequest
from ..times import parse_time
from ..turns import END, LOST, OPEN, START
from .model import Peaks, Row, Try, number

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

NO_WORD = "its proxy ended without a word"
NO_REASON = "nothing says why"


@dataclasses.dataclass
class Story:
    plan: Row
    opened: float
    closed: float
    peaks: Peaks
    tries: dict[str, list[Try]] = dataclasses.field(default_factory=dict)  # by moref
    outcomes: dict[str, Row] = dataclasses.field(default_factory=dict)  # of the last ends


def read_story(events: Sequence[Row]) -> Story:
    """Raises InvalidRequest where the window was not opened."""
    opened = next((each for each in events if each.get("event") == OPEN), None)
    if opened is None:
        raise InvalidRequest(
            "this window was not opened", hint="There is nothing to report before it is."
        )
    plan = opened["plan"]
    begin = number(opened.get("at"))
    if begin is None:
        begin = parse_time(plan["start"], "start")
    return _Reader(plan, begin).read(events)


class _Reader:
    def __init__(self, plan: Row, opened: float) -> None:
        rows = (*plan["slots"], *plan["left"])
        self._rows: dict[str, Row] = {each["moref"]: each for each in rows}
        self._story = Story(plan, opened, opened, Peaks())
        self._running: dict[str, Try] = {}
        self._peaks: dict[str, dict[str, int]] = {
            kind: {} for kind in ("repository", "hosts", "datastores", "proxies")
        }

    def read(self, events: Iterable[Row]) -> Story:
        for event in events:
            at = number(event.get("at"))
            if at is None or event.get("event") not in (START, END, LOST):
                continue
            self._story.closed = max(self._story.closed, at)
            moref = str(event.get("moref", ""))
            if event["event"] == START:
                self._start(moref, str(event.get("proxy", "")), at)
            elif moref in self._running:
                self._end(moref, event, at)
        for moref in list(self._running):
            self._lose(moref, None)
        self._story.peaks = Peaks(
            self._peaks["repository"].get("", 0),
            *(self._peaks[kind] for kind in ("hosts", "datastores", "proxies")),
        )
        return self._story

    def _start(self, moref: str, proxy: str, at: float) -> None:
        if moref in self._running:
            self._lose(moref, at)
        self._running[moref] = Try(proxy, at, None)
        self._count()

    def _end(self, moref: str, event: Row, at: float) -> None:
        if event["event"] == LOST:
            self._lose(moref, at)
            return
        ok = bool(event.get("ok"))
        message = "" if ok else str(event.get("message") or NO_REASON)
        if not self._is_done(moref):
            self._story.outcomes[moref] = event
        begun, gone = self._running.pop(moref), bool(event.get("gone"))
        self._keep(moref, begun._replace(end=at, ok=ok, gone=gone, message=message))

    def _lose(self, moref: str, at: float | None) -> None:
        if not self._is_done(moref):
            self._story.outcomes.pop(moref, None)
        self._keep(moref, self._running.pop(moref)._replace(end=at, lost=True, message=NO_WORD))

    def _is_done(self, moref: str) -> bool:
        return any(each.ok for each in self._story.tries.get(moref, ()))

    def _keep(self, moref: str, tried: Try) -> None:
        self._story.tries.setdefault(moref, []).append(tried)

    def _count(self) -> None:
        """What runs now, against the most that ran before."""
        now: collections.Counter[tuple[str, str]] = collections.Counter()
        for moref, tried in self._running.items():
            row = self._rows.get(moref, {})
            now.update([("repository", ""), ("proxies", tried.proxy)])
            now.update(("hosts", host) for host in [row.get("host")] if host)
            now.update(("datastores", name) for name in row.get("datastores", ()))
        for (kind, name), count in now.items():
            self._peaks[kind][name] = max(count, self._peaks[kind].get(name, 0))
