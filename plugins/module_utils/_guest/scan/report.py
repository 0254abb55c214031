# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a scan has found so far, and when it has to end."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from .walk import shown

MOST = 10_000  # entries of a list: a guest can make up any number of them


@dataclasses.dataclass
class Report:
    """The `scan` of results. A scan that skipped something does not say that a disk is clean."""

    infected: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    secrets: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    skipped: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    files: int = 0
    size: int = 0
    timed_out: bool = False
    unlisted: int = 0

    def add(self, entries: list[dict[str, t.Any]], entry: dict[str, t.Any]) -> None:
        """To one of the lists, which end somewhere."""
        if len(entries) < MOST:
            entries.append(entry)
        else:
            self.unlisted += 1

    def skip(self, path: bytes, reason: str | None) -> None:
        self.add(self.skipped, {**shown(path), "reason": reason or "it cannot be read"})

    def stop(self, place: dict[str, t.Any]) -> None:
        """The time is over at this file or place of a disk."""
        self.timed_out = True
        self.add(self.skipped, {**place, "reason": "the time is over: not seen from here on"})

    def as_dict(self) -> dict[str, t.Any]:
        rest = []
        if self.unlisted:
            reason = f"{self.unlisted} more findings are not listed: a list has {MOST} at most"
            rest.append({"path": "/", "reason": reason})
        return {
            "infected": self.infected,
            "secrets": self.secrets,
            "skipped": [*self.skipped, *rest],
            "timed_out": self.timed_out,
            "scanned": {"files": self.files, "bytes": self.size},
        }


class Clock:
    """Ends a scan that takes too long."""

    def __init__(self, seconds: int) -> None:
        self.begin = time.monotonic()
        self._end = self.begin + seconds

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._end

    @property
    def seconds(self) -> float:
        return round(time.monotonic() - self.begin, 3)
