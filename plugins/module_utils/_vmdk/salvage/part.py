# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the parts of a damaged disk have in common: they read as zeros where nothing is left."""

from __future__ import annotations

import typing as t

from ..._device.device import Device
from ..._device.extent import Extent, Kind
from ..extents.header import SECTOR

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.files import File
    from ..descriptor.extent_line import ExtentLine


class Fault(t.NamedTuple):
    """A run of the disk of which the content is gone, or (`is_lost` False) may be wrong."""

    offset: int
    length: int
    is_lost: bool = True


class SalvagedPart(Device):
    """Reading never fails for damage; faults() tells afterwards what was met."""

    def faults(self, offset: int, length: int) -> Iterator[Fault]:
        """In a range that was read, in its own offsets, ascending."""
        raise NotImplementedError


class Gone(SalvagedPart):
    """An extent without its file, or (not lost) one that never had any."""

    def __init__(self, size: int, *, is_lost: bool) -> None:
        self.size, self._is_lost = size, is_lost

    def readinto(self, offset: int, buffer: memoryview) -> None:
        buffer[:] = bytes(buffer.nbytes)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        yield Extent(offset, self.check_range(offset, length), Kind.ZERO)

    def faults(self, offset: int, length: int) -> Iterator[Fault]:
        if self._is_lost:
            yield Fault(offset, length)


class SalvagedFlat(SalvagedPart):
    """Raw bytes, as many as there are. Owns its file."""

    def __init__(self, file: File, line: ExtentLine) -> None:
        self.name = file.path
        self.size = line.sectors * SECTOR
        self._file = file
        self._start = (line.offset or 0) * SECTOR
        self._there = max(0, min(self.size, file.size - self._start))

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        inside = max(0, min(buffer.nbytes, self._there - offset))
        self._file.readinto(self._start + offset, buffer[:inside])
        buffer[inside:] = bytes(buffer.nbytes - inside)

    def faults(self, offset: int, length: int) -> Iterator[Fault]:
        start = max(offset, self._there)
        if start < offset + length:
            yield Fault(start, offset + length - start)

    def close(self) -> None:
        self._file.close()
