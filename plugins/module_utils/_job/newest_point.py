# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The newest restore points that can be used."""

from __future__ import annotations

import typing as t

from .._device.errors import AmbiguousRestorePoint, RestorePointNotFound
from .._repository.format import times
from .._repository.read.points import of_source

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .._repository.format.manifest import RestorePoint
    from .access import Access

_SKEW = 300  # seconds that the clock of another host may be ahead; more, and an age proves nothing


def newest_point(
    access: Access, source: str, warn: Callable[[str], None], max_age: int | None = None
) -> RestorePoint:
    """Of a disk or virtual machine, by its name or id. Newer ones that cannot be read are told to
    `warn` and passed over.

    max_age: seconds. Raises RestorePointNotFound, AmbiguousRestorePoint.
    """
    points = of_source(access.open_repository().points(), source)
    newest = _newest_of_each(points)
    if len(newest) > 1:
        raise AmbiguousRestorePoint(
            f"{len(newest)} sources are called {source!r}",
            path=access.repository,
            found=", ".join(sorted(newest)),
            hint="Name one by its id.",
        )
    if not newest:
        reason = "none of its restore points can be read" if points else "it has no restore point"
        hint = "See vdisk.lifecycle.vmdk_backup_info for what there is."
        raise RestorePointNotFound(f"{source!r}: {reason}", path=access.repository, hint=hint)
    point = next(iter(newest.values()))
    _require_young(point, source, max_age)
    for newer in points[points.index(point) + 1 :]:
        warn(f"{source}: {point.id} is taken, as {newer.id} cannot be used: {newer.problem}")
    return point


def newest_points(access: Access) -> list[RestorePoint]:
    """One of each source that has any, by the names of the sources."""
    newest = _newest_of_each(access.open_repository().points())
    return sorted(newest.values(), key=lambda point: (point.source_name, point.source_id))


def _newest_of_each(points: list[RestorePoint]) -> dict[str, RestorePoint]:
    """By the id of the source. They are given newest last."""
    return {point.source_id: point for point in points if point.problem is None}


def _require_young(point: RestorePoint, source: str, max_age: int | None) -> None:
    age = (times.now() - times.parse(point.clock)).total_seconds()
    if max_age is None or -_SKEW <= age <= max_age:
        return
    if age < 0:
        what, found = "is one of the future", f"{point.id}, {-age / 3600:.1f} hours ahead"
        hint = "Set the clocks of this host and of those that make backups, then back up again."
    else:
        what, found = "is too old", f"{point.id}, {age / 3600:.1f} hours old"
        hint = "See why the backups since then failed, or allow a higher max_age."
    raise RestorePointNotFound(
        f"{source!r}: the newest restore point {what}",
        path=point.repository,
        found=found,
        expected=f"at most {max_age / 3600:.1f} hours",
        hint=hint,
    )
