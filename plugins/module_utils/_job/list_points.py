# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What there is to restore."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from .access import Access
    from .plan import Result


def list_points(access: Access, source: str | None) -> Result:
    """restore_points, problems and sizes, as vmdk_backup_info returns them."""
    repository = access.open_repository()
    points = repository.points(source)
    return {
        "restore_points": [point.as_dict() for point in points if point.problem is None],
        "problems": [point.problem for point in points if point.problem is not None],
        "sizes": repository.stats(),
    }
