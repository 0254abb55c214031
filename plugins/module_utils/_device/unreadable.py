# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A device that admits what it has lost, where it would give zeros otherwise."""

from __future__ import annotations

import bisect
import typing as t

from .errors import DiskIOError
from .slice import SliceDevice

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .device import BlockDevice


class Unreadable(SliceDevice):
    """Reading any byte of the ranges (offset, length) fails. Owns the device."""

    def __init__(self, device: BlockDevice, ranges: Iterable[tuple[int, int]]) -> None:
        super().__init__(device, 0, device.size)
        ordered = sorted((start, start + length) for start, length in ranges if length > 0)
        self._starts = [start for start, _end in ordered]
        self._ends: list[int] = []
        for _start, end in ordered:  # of a range, or of a longer one that began before
            self._ends.append(max(end, self._ends[-1] if self._ends else 0))

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Raises DiskIOError for what is lost."""
        before = bisect.bisect_left(self._starts, offset + buffer.nbytes) - 1
        if before >= 0 and self._ends[before] > offset:
            raise DiskIOError("this range is lost", path=self.name, offset=self._starts[before])
        super().readinto(offset, buffer)

    def close(self) -> None:
        self.device.close()
