# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Answers that took long, until what they are about has changed."""

from __future__ import annotations

import typing as t

from .database import CatalogLost

if t.TYPE_CHECKING:
    from .catalog import Catalog


def load_result(catalog: Catalog, name: str, state: str) -> bytes | None:
    """What was kept under this name for this state."""
    try:
        rows = catalog.database.rows("SELECT body FROM results WHERE name = ?", (name,))
    except CatalogLost:
        return None
    return catalog.unseal(f"{name} {state}", rows[0][0]) if rows else None


def keep_result(catalog: Catalog, name: str, state: str, body: bytes) -> None:
    """In the place of what was kept for another state."""
    row = (name, catalog.seal(f"{name} {state}", body))
    try:
        catalog.database.change("INSERT OR REPLACE INTO results VALUES (?, ?)", [row])
    except CatalogLost:  # it is found out again another time
        return
