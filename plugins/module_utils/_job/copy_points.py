# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Restore points of one repository that shall be in another one too."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from .._device.progress import Progress
    from .._repository.format.manifest import RestorePoint
    from .._repository.repository import Repository
    from .access import Access
    from .plan import Result


@dataclasses.dataclass(frozen=True)
class CopyRequest:
    """Where to, and which: with neither points nor sources, all."""

    to: Access
    points: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


class CopyPlan:
    """The points that are not there yet, the oldest first."""

    def __init__(self, source: Repository, target: Repository, missing: list[RestorePoint]) -> None:
        self._source, self._target, self._missing = source, target, missing

    @property
    def changes(self) -> bool:
        return bool(self._missing)

    @property
    def before(self) -> Result:
        return {"copied": []}

    @property
    def after(self) -> Result:
        return {"copied": [f"{point.source_name}@{point.id}" for point in self._missing]}

    @property
    def foretold(self) -> Result:
        return {"copied": [_facts(point) for point in self._missing]}

    def run(self, progress: Progress) -> Result:
        """Raises RepositoryDamaged after the last point if some could not be copied."""
        copied = self._source.copy_points(self._target, self._missing, progress)
        return {
            "copied": [_facts(point) for point in copied.points],
            **({"warnings": list(copied.warnings)} if copied.warnings else {}),
        }


def plan_copy(
    source: Repository, request: CopyRequest, secrets: tuple[str | bytes, ...]
) -> CopyPlan:
    """`secrets` open the target where nothing else was given for it. Raises DiskError."""
    target = request.to.open_repository(secrets)
    return CopyPlan(source, target, source.missing_in(target, request.points, request.sources))


def nothing_to_copy(request: CopyRequest | None) -> Result:
    """What is told of a repository that has no points yet."""
    return {} if request is None else {"copied": []}


def _facts(point: RestorePoint) -> Result:
    return {"id": point.id, "name": point.name, "source": point.source_name}
