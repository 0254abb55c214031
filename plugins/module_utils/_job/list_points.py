# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What there is to restore."""

from __future__ import annotations

import typing as t

from .._repository.read.points import of_source

if t.TYPE_CHECKING:
    from .._repository.format.manifest import RestorePoint
    from .._repository.read.sizes import PointSize
    from .access import Access
    from .plan import Result


def list_points(access: Access, source: str | None, *, sizes: bool = False) -> Result:
    """restore_points, problems and sizes, as vmdk_backup_info returns them."""
    repository = access.open_repository()
    points = repository.points()
    chosen = points if source is None else of_source(points, source)
    problems = [point.problem for point in chosen if point.problem is not None]
    totals, each = repository.stats(points), dict[str, "PointSize"]()
    if sizes:
        measured = repository.measure(points)
        totals.update(measured.total._asdict())
        each = measured.points
        problems += dict.fromkeys(measured.problems)
    return {
        "restore_points": [
            _as_dict(point, each.get(point.key)) for point in chosen if point.problem is None
        ],
        "problems": problems,
        "sizes": totals,
    }


def _as_dict(point: RestorePoint, size: PointSize | None) -> dict[str, t.Any]:
    if size is None:
        return point.as_dict()
    return {**point.as_dict(), **size._asdict(), "logical": point.size}
