# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""File operations that every format needs: exact reads, holes, durable renames."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import typing as t

from .errors import DiskExists, NotADisk, TruncatedDisk, from_oserror
from .extent import Extent, Kind
from .zeros import ZEROS

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .device import Buffer

TEMPORARY_SUFFIX = ".vdisk-tmp"  # what a killed job leaves; the next run replaces it
_KEEP_SIZE_AND_PUNCH = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, fallocate(2)
# Larger writes get huge pages of the page cache (ext4, Linux 6.18), which took four times as long.
_WRITTEN_AT_ONCE = 256 << 10
# So much is left to the kernel before it is asked to begin storing: else flush() waits for it all.
_BEGUN_AFTER = 16 << 20
_SYNC_FILE_RANGE_WRITE = 2  # sync_file_range(2)
_MODE = 0o600  # a disk holds whatever its guest held, so it is its owner's alone
_NO_HOLES = (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV, errno.EPERM)


class File:
    """An open file or block device, by absolute offsets, with errors that name it."""

    def __init__(
        self, path: str | os.PathLike[str], *, writable: bool = False, fd: int | None = None
    ) -> None:
        """fd: where it is open already."""
        self.path = os.fspath(path)
        self.writable = writable
        self._written = 0  # bytes since the kernel was asked to store them
        self._fd = self._open(os.O_RDWR if writable else os.O_RDONLY) if fd is None else fd
        self.is_block_device = stat.S_ISBLK(os.fstat(self._fd).st_mode)

    @classmethod
    def create(cls, path: str | os.PathLike[str]) -> File:
        """A new, empty, writable file. Raises DiskExists."""
        try:
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
        except FileExistsError:
            raise DiskExists("is already there", path=path) from None
        except OSError as error:
            raise from_oserror(error, "create the file", path) from error
        return cls(path, writable=True, fd=fd)

    def _open(self, flags: int) -> int:
        try:
            if flags & os.O_RDWR and stat.S_ISBLK(os.stat(self.path).st_mode):
                flags |= os.O_EXCL  # not while it is mounted or part of something else
            # a pipe would wait for somebody at its other end
            fd = os.open(self.path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise from_oserror(error, "open it", self.path) from error
        mode = os.fstat(fd).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
            os.close(fd)
            what = "a directory" if stat.S_ISDIR(mode) else "neither a file nor a block device"
            raise NotADisk(f"is {what}, not a disk", path=self.path)
        return fd

    def fileno(self) -> int:
        return self._fd

    @property
    def size(self) -> int:
        """Bytes; asks the device itself where stat() does not know."""
        if self.is_block_device:
            with open(self._fd, "rb", closefd=False) as stream:
                return stream.seek(0, os.SEEK_END)
        return os.fstat(self._fd).st_size

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Fill the buffer. Raises TruncatedDisk where the file ends before."""
        while buffer.nbytes:
            try:
                count = os.preadv(self._fd, [buffer], offset)
            except OverflowError:  # damage may point anywhere; no file is that long
                count = 0
            except OSError as error:
                raise from_oserror(error, f"read byte {offset}", self.path) from error
            if count == 0:
                raise TruncatedDisk(
                    "the file ends too early",
                    path=self.path,
                    offset=offset,
                    expected=f"{buffer.nbytes} more bytes",
                    hint="Restore the file from a good copy.",
                )
            offset += count
            buffer = buffer[count:]

    def read(self, offset: int, length: int) -> bytearray:
        """Exactly `length` bytes. Raises TruncatedDisk."""
        buffer = bytearray(length)
        self.readinto(offset, memoryview(buffer))
        return buffer

    def write(self, offset: int, data: Buffer) -> None:
        """All of data. Raises NoSpace and the like."""
        view = memoryview(data).cast("B")
        while view.nbytes:
            try:
                count = os.pwrite(self._fd, view[:_WRITTEN_AT_ONCE], offset)
            except OSError as error:
                raise from_oserror(error, f"write byte {offset}", self.path) from error
            offset += count
            view = view[count:]
            self._written += count
        if self._written >= _BEGUN_AFTER:
            self._written = 0
            start_storing(self._fd)

    def zero(self, offset: int, length: int) -> None:
        """Punch a hole where the file system can, else write zeros."""
        if punch_hole(self._fd, offset, length):
            return
        for start in range(offset, offset + length, len(ZEROS)):
            self.write(start, memoryview(ZEROS)[: min(len(ZEROS), offset + length - start)])

    def truncate(self, size: int) -> None:
        """Set the size of a regular file; what is new reads as zeros."""
        try:
            os.ftruncate(self._fd, size)
        except OSError as error:
            raise from_oserror(error, f"set its size to {size} bytes", self.path) from error

    def allocated(self) -> int:
        """Bytes that the file takes from its file system."""
        return os.fstat(self._fd).st_blocks * 512

    def flush(self) -> None:
        """fsync. Raises NoSpace, DiskIOError."""
        if self.writable:
            try:
                os.fsync(self._fd)
            except OSError as error:
                raise from_oserror(error, "flush it", self.path) from error

    def extents(self, start: int, end: int) -> Iterator[Extent]:
        """DATA and ZERO (hole) runs between two offsets, as the file system tells them."""
        offset = start
        while offset < end:
            data = self.end_of_hole(offset, end)
            if data > offset:
                yield Extent(offset, data - offset, Kind.ZERO)
            if data >= end:
                return
            hole = min(self._seek(data, os.SEEK_HOLE, end), end)
            yield Extent(data, hole - data, Kind.DATA)
            offset = hole

    def end_of_hole(self, start: int, end: int) -> int:
        """Up to where, at most `end`, there is nothing but a hole; `start` where there is data.

        Cheaper than extents(): tmpfs finds the end of data page by page.
        """
        return min(self._seek(start, os.SEEK_DATA, end), end)

    def _seek(self, offset: int, whence: int, end: int) -> int:
        try:
            return os.lseek(self._fd, offset, whence)
        except OverflowError:  # no file is that long
            return end
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end of the file
                return end
            return offset if whence == os.SEEK_DATA else end  # not told: all of it is data

    def close(self) -> None:
        """Raises DiskIOError, NoSpace: some file systems write only now."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            try:
                os.close(fd)
            except OSError as error:
                raise from_oserror(error, "close it", self.path) from error

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def start_storing(fd: int) -> None:
    """Ask the kernel to begin storing all that was written; it promises nothing."""
    libc = ctypes.CDLL(None)
    everything = ctypes.c_int64(0)
    libc.sync_file_range(fd, everything, everything, _SYNC_FILE_RANGE_WRITE)


def punch_hole(fd: int, offset: int, length: int) -> bool:
    """Deallocate a run; False where the file system cannot. It reads as zeros afterwards."""
    if length == 0:
        return True
    libc = ctypes.CDLL(None, use_errno=True)
    offset_t = ctypes.c_int64
    result = libc.fallocate(fd, _KEEP_SIZE_AND_PUNCH, offset_t(offset), offset_t(length))
    if result == 0:
        return True
    code = ctypes.get_errno()
    if code in _NO_HOLES:
        return False
    raise from_oserror(OSError(code, os.strerror(code)), "punch a hole", f"fd {fd}")


def sync_directory(path: str | os.PathLike[str]) -> None:
    """Make the names in a directory durable, where the file system can be asked to do so."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno != errno.EINVAL:  # some SMB shares know no such thing
            raise
    finally:
        os.close(fd)


def replace_durably(source: str, target: str) -> None:
    """rename(2) over target, and make it last."""
    try:
        os.replace(source, target)
        sync_directory(os.path.dirname(os.path.abspath(target)))
    except OSError as error:
        raise from_oserror(error, "move the finished file into place", target) from error


def write_durably(path: str, data: bytes, *, mode: int = _MODE) -> None:
    """Replace a small file as a whole: temporary name, fsync, rename."""
    temporary = path + TEMPORARY_SUFFIX
    remove_if_there(temporary)
    with File.create(temporary) as file:
        if mode != _MODE:
            with contextlib.suppress(OSError):  # file systems without owners
                os.fchmod(file.fileno(), mode)
        file.write(0, data)
        file.flush()
    replace_durably(temporary, path)


def remove_if_there(path: str) -> None:
    """Unlink a file; none there is fine."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise from_oserror(error, "remove it", path) from error
