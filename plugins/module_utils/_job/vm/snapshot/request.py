# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is wanted of a snapshot of a virtual machine."""

from __future__ import annotations

import dataclasses
import typing as t

from ...._vsphere.snapshots.quiesce import Quiesce

if t.TYPE_CHECKING:
    from ...._vsphere.snapshots.removal import Patience
    from ...access import Access


@dataclasses.dataclass(frozen=True)
class VmSnapshotRequest:
    """The snapshot `name` of the machine `vm`, made by us."""

    vm: str
    name: str
    access: Access
    quiesce: Quiesce = dataclasses.field(default_factory=Quiesce)
    patience: Patience | None = None
