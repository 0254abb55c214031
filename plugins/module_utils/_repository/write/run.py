# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the disks of one backup share."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..._device.progress import Progress
    from ..._device.transfer import Transfer
    from ..access import Access
    from .budget import Budget


class Run(t.Protocol):
    """A run of back_up(), as its disks see it."""

    access: Access
    mode: str
    progress: Progress
    budget: Budget
    transfer: Transfer
    warnings: list[str]
    proven: set[bytes]  # chunks that this run has stored, or read back and found good
