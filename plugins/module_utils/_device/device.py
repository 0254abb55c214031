# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The one interface: a random-access device of bytes."""

from __future__ import annotations

import typing as t

from .errors import InvalidRequest, OutOfRange, ReadOnlyDisk
from .extent import Extent, Kind

if t.TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

Buffer: t.TypeAlias = bytes | bytearray | memoryview


class BlockDevice(t.Protocol):
    """Anything that holds the content of a disk. Offsets, lengths and size are bytes."""

    size: int

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Fill the whole buffer; a short read is an error. Safe to call from many threads."""

    def write(self, offset: int, data: Buffer) -> None:
        """Write all of data. Raises ReadOnlyDisk where the device is read-only."""

    def zero(self, offset: int, length: int) -> None:
        """Make a run read as zeros, even over a parent; deallocates where it can."""

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        """Sorted runs that cover exactly the asked range. DATA may hold zeros, ZERO never data."""

    def flush(self) -> None:
        """Durable when it returns."""

    def close(self) -> None:
        """Release everything. A second call does nothing."""


class Device:
    """What most devices share: bounds checks, read-only by default, use as a context manager."""

    size: int
    name = "device"
    writes_in_parallel = False  # whether write() and zero() are safe to call from many threads

    def readinto(self, offset: int, buffer: memoryview) -> None:
        raise NotImplementedError

    def write(self, offset: int, data: Buffer) -> None:
        raise ReadOnlyDisk("this disk is open for reading only", path=self.name)

    def zero(self, offset: int, length: int) -> None:
        raise ReadOnlyDisk("this disk is open for reading only", path=self.name)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        if length:
            yield Extent(offset, length, Kind.DATA)

    def flush(self) -> None:
        """Nothing to make durable."""

    def close(self) -> None:
        """Nothing to release."""

    def require_unchanged(self) -> None:
        """Raises DiskInUse where somebody else has written to it since it was opened, as far as
        that can be told of this kind of device."""

    def check_range(self, offset: int, length: int | None) -> int:
        """The length meant, once it is sure that the range lies inside the device."""
        if length is None:
            length = self.size - offset
        if offset < 0 or length < 0 or offset + length > self.size:
            raise OutOfRange(
                f"access of {length} bytes", path=self.name, offset=offset, expected=self._bounds()
            )
        return length

    def _bounds(self) -> str:
        return f"a range inside 0..{self.size}"

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


Self = t.TypeVar("Self", bound=Device)


def read(device: BlockDevice, offset: int, length: int) -> bytearray:
    """A copy of a range. Raises what readinto() raises."""
    if length < 0:
        raise InvalidRequest(f"cannot read {length} bytes")
    buffer = bytearray(length)
    if length:
        device.readinto(offset, memoryview(buffer))
    return buffer
