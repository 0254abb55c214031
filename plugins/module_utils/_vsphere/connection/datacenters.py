# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which datacenters the option `datacenter` means: those of a name, or the one at a path."""

from __future__ import annotations

import typing as t

from .collect import properties

if t.TYPE_CHECKING:
    from .session import Session


def is_meant(session: Session, datacenter: t.Any, name: str) -> bool:
    """Without the option, all are. `name` is its own, as vCenter keeps it. Raises DiskError."""
    wanted = session.vcenter.datacenter
    if wanted is None or name == wanted:
        return True
    path = wanted.strip("/")
    is_leaf = "/" in wanted and name == path.rpartition("/")[2]
    return is_leaf and inventory_path(session, datacenter) == path


def inventory_path(session: Session, entity: t.Any) -> str:
    """`folder/datacenter`, without the root folder: as /folder wants it in dcPath."""
    parts: list[str] = []
    while entity is not None:
        facts = properties(session, entity, ("name", "parent"))
        if facts.get("parent") is not None:  # the root folder is no part of it
            parts.append(str(facts["name"]))
        entity = facts.get("parent")
    return "/".join(reversed(parts))
