# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Reading a block device past the page cache, which a backup would only sweep clean."""

from __future__ import annotations

import errno
import mmap
import os

from .device import Device
from .errors import TruncatedDisk, from_oserror

PIECE = 2 << 20  # bytes read at once
ALIGNED = 4096  # bytes: no disk has larger sectors


class DirectDevice(Device):
    """Read-only. While it is open nobody mounts the device, or makes LVM or multipath of it; where
    it is not `exclusive`, somebody else sees to that."""

    def __init__(self, path: str | os.PathLike[str], *, exclusive: bool = True) -> None:
        """Raises DiskNotFound, DiskInUse, DiskIOError."""
        self.name = os.fspath(path)
        self._fd = _open(self.name, os.O_EXCL if exclusive else 0)
        self.size = os.lseek(self._fd, 0, os.SEEK_END)
        self._free: list[mmap.mmap] = []  # the kernel reads to whole pages only

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        buffer = buffer.cast("B")
        for done in range(0, buffer.nbytes, PIECE):
            self._read(offset + done, buffer[done : done + PIECE])

    def _read(self, offset: int, into: memoryview) -> None:
        skip = offset % ALIGNED
        pages = self._pages()
        view = memoryview(pages)
        self._fill(offset - skip, view, skip + into.nbytes)
        into[:] = view[skip : skip + into.nbytes]
        self._free.append(pages)

    def _pages(self) -> mmap.mmap:
        try:
            return self._free.pop()
        except IndexError:  # also where another thread was faster
            return mmap.mmap(-1, PIECE + ALIGNED)

    def _fill(self, start: int, view: memoryview, wanted: int) -> None:
        """At least `wanted` bytes; the last piece of the device may be shorter than a page."""
        whole, got = -(-wanted // ALIGNED) * ALIGNED, 0
        while got < wanted:
            try:
                count = os.preadv(self._fd, [view[got:whole]], start + got)
            except OSError as error:
                raise from_oserror(error, f"read byte {start + got}", self.name) from error
            if got + count < wanted and count < ALIGNED:
                raise TruncatedDisk(
                    "ends too early", path=self.name, offset=start + got + count, expected=self.size
                )
            got += count if got + count >= wanted else count // ALIGNED * ALIGNED

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _open(path: str, more: int) -> int:
    flags = os.O_RDONLY | os.O_CLOEXEC | more
    try:
        return _open_direct(path, flags)
    except OSError as error:
        raise from_oserror(error, "open it", path) from error


def _open_direct(path: str, flags: int) -> int:
    try:
        return os.open(path, flags | os.O_DIRECT)
    except OSError as error:
        if error.errno != errno.EINVAL:  # a file on a file system that cannot, such as old tmpfs
            raise
    return os.open(path, flags)
