# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What becomes of the disks of a VM that is powered off while it has snapshots."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable


def reverts(flags: t.Any, options: Iterable[t.Any] | None) -> bool:
    """Whether it goes back to its snapshot. `flags` and `options` (extraConfig) are those of a VM,
    or of a change of one."""
    known = {str(each.key).lower(): str(each.value).lower() for each in options or ()}
    behaviour = getattr(flags, "snapshotPowerOffBehavior", None)
    return behaviour == "revert" or known.get("snapshot.action") == "autorevert"
