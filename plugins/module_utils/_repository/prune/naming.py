# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Points that shall go: named so that the same words never mean another one the next time."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest, RestorePointNotFound
from ..read.points import LATEST, find_point, of_source

if t.TYPE_CHECKING:
    from ..format.manifest import RestorePoint


def named(points: list[RestorePoint], reference: str) -> list[RestorePoint]:
    """The point that is meant, one that cannot be read only by its id; none if it is gone already.

    Raises InvalidRequest, AmbiguousRestorePoint, RepositoryDamaged.
    """
    source, at, wanted = reference.rpartition("@")
    if wanted == LATEST:
        raise InvalidRequest(
            "latest is another point each time",
            found=reference,
            hint="Name the point by its id.",
        )
    if "#" in wanted:
        raise InvalidRequest(
            "a restore point goes with all its disks",
            found=reference,
            expected=reference.partition("#")[0],
        )
    candidates = of_source(points, source) if at else points
    by_id = [point for point in candidates if point.id == wanted]
    if len(by_id) == 1:
        return by_id
    try:
        return [find_point(points, reference).point]
    except RestorePointNotFound:
        return []
