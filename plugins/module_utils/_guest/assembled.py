# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How a volume is put together from pieces of disks.

A Source is only a description: it opens over any disks of the same content, as often as wanted.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._device.device import Device
from .._device.slice import ConcatDevice, SliceDevice

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from .._device.device import BlockDevice, Buffer


class Source(t.Protocol):
    """Where the bytes of a volume come from."""

    @property
    def size(self) -> int:
        """In bytes."""

    @property
    def place(self) -> tuple[int, int] | None:
        """(number of the disk, offset) of what is one plain piece of one disk."""

    def open(self, disks: Sequence[BlockDevice]) -> BlockDevice:
        """As a device. Closing it leaves the disks open."""


@dataclasses.dataclass(frozen=True)
class Piece:
    """Bytes that lie together on one disk."""

    disk: int
    start: int
    size: int

    @property
    def place(self) -> tuple[int, int]:
        return self.disk, self.start

    def open(self, disks: Sequence[BlockDevice]) -> BlockDevice:
        return SliceDevice(disks[self.disk], self.start, self.size)


@dataclasses.dataclass(frozen=True)
class _Part:
    """A range of a source that is not a plain piece itself."""

    whole: Source
    start: int
    size: int
    place: None = None

    def open(self, disks: Sequence[BlockDevice]) -> BlockDevice:
        return SliceDevice(self.whole.open(disks), self.start, self.size)


@dataclasses.dataclass(frozen=True)
class _Joined:
    """One behind the other."""

    parts: tuple[Source, ...]
    place: None = None

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def open(self, disks: Sequence[BlockDevice]) -> BlockDevice:
        return ConcatDevice([part.open(disks) for part in self.parts], "joined volume")


@dataclasses.dataclass(frozen=True)
class Striped:
    """In turn, `stripe` bytes of each; the parts are of one size, a multiple of that."""

    parts: tuple[Source, ...]
    stripe: int
    place: None = None

    @property
    def size(self) -> int:
        return sum(part.size for part in self.parts)

    def open(self, disks: Sequence[BlockDevice]) -> BlockDevice:
        return StripedDevice([part.open(disks) for part in self.parts], self.stripe)


def part_of(whole: Source, start: int, size: int) -> Source:
    """A range of a source; the caller knows that it lies inside."""
    if isinstance(whole, Piece):
        return Piece(whole.disk, whole.start + start, size)
    return _Part(whole, start, size)


def joined(parts: Sequence[Source]) -> Source:
    """One behind the other. What lies together on a disk becomes one piece."""
    found: list[Source] = []
    for part in parts:
        last = found[-1] if found else None
        if isinstance(last, Piece) and isinstance(part, Piece) and _follows(last, part):
            found[-1] = Piece(last.disk, last.start, last.size + part.size)
        else:
            found.append(part)
    return found[0] if len(found) == 1 else _Joined(tuple(found))


def _follows(last: Piece, part: Piece) -> bool:
    return (last.disk, last.start + last.size) == (part.disk, part.start)


class StripedDevice(Device):
    """Several devices of one size in turn, as dm-stripe lays them out. Owns its parts."""

    name = "striped volume"

    def __init__(self, parts: Sequence[BlockDevice], stripe: int) -> None:
        self.parts = list(parts)
        self.stripe = stripe
        self.size = sum(part.size for part in parts)

    def _spans(self, offset: int, length: int) -> Iterator[tuple[BlockDevice, int, int, int]]:
        """(part, offset in the part, offset in the device, length) for each stripe touched."""
        end = offset + length
        while offset < end:
            number, inner = divmod(offset, self.stripe)
            row, column = divmod(number, len(self.parts))
            count = min(self.stripe - inner, end - offset)
            yield self.parts[column], row * self.stripe + inner, offset, count
            offset += count

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        for part, inner, start, count in self._spans(offset, buffer.nbytes):
            part.readinto(inner, buffer[start - offset : start - offset + count])

    def write(self, offset: int, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        self.check_range(offset, view.nbytes)
        for part, inner, start, count in self._spans(offset, view.nbytes):
            part.write(inner, view[start - offset : start - offset + count])

    def zero(self, offset: int, length: int) -> None:
        self.check_range(offset, length)
        for part, inner, _start, count in self._spans(offset, length):
            part.zero(inner, count)

    def flush(self) -> None:
        for part in self.parts:
            part.flush()

    def close(self) -> None:
        for part in self.parts:
            part.close()
