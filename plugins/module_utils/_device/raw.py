# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Plain files and block devices."""

from __future__ import annotations

import typing as t

from .device import Device
from .extent import shift
from .files import File

if t.TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from .device import Buffer
    from .extent import Extent


class RawDevice(Device):
    """The bytes of a file or a block device, from `offset` on. Holes are ZERO extents."""

    writes_in_parallel = True

    def __init__(self, file: File, offset: int = 0, size: int | None = None) -> None:
        self.file = file
        self.offset = offset
        self.size = file.size - offset if size is None else size
        self.name = file.path

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, writable: bool = False) -> RawDevice:
        """Raises DiskNotFound, NotADisk, DiskIOError."""
        return cls(File(path, writable=writable))

    @classmethod
    def create(cls, path: str | os.PathLike[str], size: int) -> RawDevice:
        """A new file of holes. Raises DiskExists, NoSpace."""
        file = File.create(path)
        file.truncate(size)
        return cls(file)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        self.file.readinto(self.offset + offset, buffer)

    def write(self, offset: int, data: Buffer) -> None:
        self.check_range(offset, memoryview(data).nbytes)
        if not self.file.writable:
            super().write(offset, data)
        self.file.write(self.offset + offset, data)

    def zero(self, offset: int, length: int) -> None:
        self.check_range(offset, length)
        if not self.file.writable:
            super().zero(offset, length)
        self.file.zero(self.offset + offset, length)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        start = self.offset + offset
        if self.file.is_block_device:  # a device has no holes to tell of
            return super().extents(offset, length)
        runs = self.file.extents(start, start + length)
        return shift(runs, -self.offset)

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()
