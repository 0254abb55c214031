# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""ZERO extents: a part of a disk that no file stores (TN p.4)."""

from __future__ import annotations

import typing as t

from ..._device.errors import ReadOnlyDisk
from ..._device.memory import ZeroDevice

if t.TYPE_CHECKING:
    from ..._device.device import Buffer


class ZeroExtent(ZeroDevice):
    """Reads as zeros, cannot hold anything else."""

    name = "ZERO extent"

    def write(self, offset: int, data: Buffer) -> None:
        self.check_range(offset, memoryview(data).nbytes)
        if any(memoryview(data).cast("B")):
            raise ReadOnlyDisk("a ZERO extent cannot store data", offset=offset)

    def zero(self, offset: int, length: int) -> None:
        self.check_range(offset, length)
