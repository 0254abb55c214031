# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a restore point shall be, whatever it is made of; and whether one that is there will do."""

from __future__ import annotations

import dataclasses
import typing as t

from .._device.errors import DiskExists
from .._device.progress import Silent
from .._repository.format import times
from .._repository.write.retain import Retention
from .._repository.write.source import SELF_CHECK

if t.TYPE_CHECKING:
    from .._device.progress import Progress
    from .._repository.format.manifest import RestorePoint
    from .access import Access


@dataclasses.dataclass(frozen=True, kw_only=True)
class PointWish:
    """Make a restore point, unless there is one that will do."""

    access: Access
    name: str | None = None
    max_age: int | None = None  # seconds
    mode: str = "auto"
    changes: str = "auto"
    self_check: int = SELF_CHECK
    retain: int | None = None  # seconds
    retain_mode: str = "compliance"
    workers: int | None = None  # None: as many as suit this host
    memory_limit: int | None = None  # bytes; None: write/budget.py
    progress: Progress = dataclasses.field(default_factory=Silent)

    @property
    def any_will_do(self) -> bool:
        """Without a name or an age, what counts is whether the content has changed. But no point
        that is there can be kept for longer than it says."""
        return self.name is None and self.max_age is None and self.retain is None

    @property
    def retention(self) -> Retention | None:
        return None if self.retain is None else Retention(self.retain, self.retain_mode)

    @property
    def may_rely(self) -> bool:
        """Whether it is enough to read what changed."""
        return self.changes == "auto" and self.mode != "full"

    def will_do(self, point: RestorePoint) -> bool:
        """Whether nothing is left to do because of this one. Raises DiskExists for a name that a
        point has which is not retained."""
        if point.problem is not None:
            return False
        named = self.name is not None and point.name == self.name
        if self.retain and not point.retain_until:
            if named:
                raise _not_retained(point)
            return False
        if named:
            return True
        if self.max_age is None:
            return False
        age = times.now() - times.parse(point.clock)
        return 0 <= age.total_seconds() < self.max_age  # a clock that ran ahead proves nothing


def _not_retained(point: RestorePoint) -> DiskExists:
    return DiskExists(
        f"there is a restore point {point.name!r} already, and that is not retained",
        path=point.repository,
        hint="Choose another name: a point cannot be retained afterwards.",
    )
