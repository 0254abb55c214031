# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How our snapshots are told from everybody else's: by their name and by their description."""

from __future__ import annotations

import json
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

PREFIX = "vdisk-lifecycle "


def snapshot_name(run: str) -> str:
    """Of the snapshots of one run."""
    return PREFIX + run


def description(head: Mapping[str, t.Any]) -> str:
    """JSON for programs, and plain enough for somebody who finds the snapshot in the client."""
    return json.dumps({key: head.get(key) for key in ("run", "host", "time", "purpose")})


def maker(node: t.Any) -> dict[str, t.Any] | None:
    """What the run that made a snapshot said of itself; None if it is not one of ours.

    Somebody who renames a snapshot wants to keep it: from then on it is theirs.
    """
    try:
        head = json.loads(node.description or "")
    except ValueError:
        return None
    if not isinstance(head, dict) or node.name != snapshot_name(str(head.get("run"))):
        return None
    return head
