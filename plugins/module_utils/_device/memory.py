# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Devices without a file behind them."""

from __future__ import annotations

import typing as t

from .device import Device
from .extent import Extent, Kind

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .device import Buffer


class MemoryDevice(Device):
    """A bytearray as a disk: the model that tests hold every other device against."""

    name = "memory"

    def __init__(self, content: int | Buffer) -> None:
        self.content = bytearray(content)
        self.size = len(self.content)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        buffer[:] = memoryview(self.content)[offset : offset + buffer.nbytes]

    def write(self, offset: int, data: Buffer) -> None:
        length = self.check_range(offset, memoryview(data).nbytes)
        self.content[offset : offset + length] = data

    def zero(self, offset: int, length: int) -> None:
        self.check_range(offset, length)
        self.content[offset : offset + length] = bytes(length)


class ZeroDevice(Device):
    """Nothing but zeros, as long as you like."""

    name = "zeros"

    def __init__(self, size: int) -> None:
        self.size = size

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        buffer[:] = bytes(buffer.nbytes)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        if length:
            yield Extent(offset, length, Kind.ZERO)
