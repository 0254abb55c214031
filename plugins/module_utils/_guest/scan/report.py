# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a scan has found so far, and when it has to end."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from .walk import shown


@dataclasses.dataclass
class Report:
    """The `scan` of results. A scan that skipped something does not say that a disk is clean."""

    infected: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    secrets: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    skipped: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    files: int = 0
    size: int = 0

    def skip(self, path: bytes, reason: str | None) -> None:
        self.skipped.append({**shown(path), "reason": reason or "it cannot be read"})

    def as_dict(self) -> dict[str, t.Any]:
        return {
            "infected": self.infected,
            "secrets": self.secrets,
            "skipped": self.skipped,
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
