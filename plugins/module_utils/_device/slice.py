# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Devices made of parts of others."""

from __future__ import annotations

import bisect
import typing as t

from .device import Device
from .extent import merge, shift

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .device import BlockDevice, Buffer
    from .extent import Extent


class SliceDevice(Device):
    """A range of another device, such as a partition. Closing it leaves the other open."""

    def __init__(self, device: BlockDevice, offset: int, size: int) -> None:
        self.device = device
        self.offset = offset
        self.size = size
        self.name = getattr(device, "name", "slice")

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        self.device.readinto(self.offset + offset, buffer)

    def write(self, offset: int, data: Buffer) -> None:
        self.check_range(offset, memoryview(data).nbytes)
        self.device.write(self.offset + offset, data)

    def zero(self, offset: int, length: int) -> None:
        self.check_range(offset, length)
        self.device.zero(self.offset + offset, length)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        return shift(self.device.extents(self.offset + offset, length), -self.offset)

    def flush(self) -> None:
        self.device.flush()


class ConcatDevice(Device):
    """Several devices end to end, such as the extents of a split disk. Owns its parts."""

    def __init__(self, parts: Sequence[BlockDevice], name: str) -> None:
        self.parts = list(parts)
        self.name = name
        self._starts: list[int] = []
        self.size = 0
        self.writes_in_parallel = all(
            getattr(part, "writes_in_parallel", False) for part in self.parts
        )
        for part in self.parts:
            self._starts.append(self.size)
            self.size += part.size

    def _spans(self, offset: int, length: int) -> Iterator[tuple[BlockDevice, int, int, int]]:
        """(part, offset in the part, offset in the device, length) for each part touched."""
        end = offset + length
        index = bisect.bisect_right(self._starts, offset) - 1
        while offset < end:
            part, start = self.parts[index], self._starts[index]
            count = min(end, start + part.size) - offset
            if count > 0:
                yield part, offset - start, start, count
            offset += count
            index += 1

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        done = 0
        for part, inner, _start, count in self._spans(offset, buffer.nbytes):
            part.readinto(inner, buffer[done : done + count])
            done += count

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        self.check_range(offset, view.nbytes)
        done = 0
        for part, inner, _start, count in self._spans(offset, view.nbytes):
            part.write(inner, view[done : done + count])
            done += count

    def zero(self, offset: int, length: int) -> None:
        self.check_range(offset, length)
        for part, inner, _start, count in self._spans(offset, length):
            part.zero(inner, count)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        return merge(self._part_extents(offset, length))

    def _part_extents(self, offset: int, length: int) -> Iterator[Extent]:
        for part, inner, start, count in self._spans(offset, length):
            yield from shift(part.extents(inner, count), start)

    def flush(self) -> None:
        for part in self.parts:
            part.flush()

    def close(self) -> None:
        for part in self.parts:
            part.close()
