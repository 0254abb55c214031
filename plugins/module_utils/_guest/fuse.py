# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A FUSE file system of BlockDevices: disk.raw, disk1.raw, disk2.raw, …"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import stat
import traceback
import typing as t

from .._device.errors import DiskError, MissingLibrary, NoSpace, ReadOnlyDisk
from .._device.sharedlock import SharedLock
from .fusetools import user_may_share

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from types import ModuleType

    from .._device.device import BlockDevice

REQUEST = 1 << 20  # bytes; the most that the kernel asks for at once
_LIBRARIES = ("libfuse3.so.3", "libfuse3.so.4")
_PUNCH, _KEEP, _ZERO = 0x02, 0x01, 0x10  # FALLOC_FL_*, fallocate(2)
_LOG_LIMIT = 200  # a disk that fails fails often; the state folder is in memory


def load_library() -> ModuleType:
    """mfusepy over libfuse 3. Raises MissingLibrary."""
    for name in _LIBRARIES:
        with contextlib.suppress(OSError):
            ctypes.CDLL(name)
            # Else mfusepy prefers libfuse 2, and starts a compiler to look for it.
            os.environ.setdefault("FUSE_LIBRARY_PATH", name)
            break
    else:
        raise MissingLibrary(
            "to show a disk as a file, this host needs libfuse 3",
            hint="Install it: apt-get install fuse3",
        )
    try:
        import mfusepy
    except ImportError:
        raise MissingLibrary(
            "to show a disk as a file, this host needs the Python library mfusepy",
            hint="Install it: python3 -m pip install mfusepy",
        ) from None
    return t.cast("ModuleType", mfusepy)


def file_name(number: int) -> str:
    """Of the device with that number; a single one is disk.raw."""
    return f"disk{number or ''}.raw"


def serve(
    devices: Sequence[BlockDevice], folder: str, *, read_only: bool, ready: Callable[[], None]
) -> Report:
    """Show the devices as files in `folder` until that is unmounted.

    `ready` is called once requests are answered. Raises MissingLibrary, RuntimeError (libfuse).
    """
    library = load_library()
    operations = DiskFolder(devices, read_only, ready)
    options = {"fsname": "vdisk", "direct_io": True, "ro": read_only}
    if os.geteuid() and user_may_share():
        options["allow_root"] = True  # a program that mounts may be setuid
    zero_copy(library)(operations, folder, foreground=True, **options)
    return operations.report


def say(text: str) -> None:
    """One line into the log of the daemon."""
    os.write(1, f"{text}\n".encode())


class Report:
    """What went wrong while a disk was served."""

    def __init__(self) -> None:
        self.failed_writes = 0
        self.first_failure: str | None = None
        self._lines = 0

    def note(self, what: str, error: BaseException, *, write: bool) -> None:
        if write:
            self.failed_writes += 1
            self.first_failure = self.first_failure or f"{what}: {error}"
        self._lines += 1
        if self._lines <= _LOG_LIMIT:
            say(f"{what}: {error}")
            if not isinstance(error, DiskError):
                traceback.print_exception(error)


class DiskFolder:
    """The operations, called from many threads; as mfusepy wants them, save for read() and write(),
    which take the buffers of zero_copy().
    """

    use_ns = True

    def __init__(
        self, devices: Sequence[BlockDevice], read_only: bool, ready: Callable[[], None]
    ) -> None:
        self.report = Report()
        lock = SharedLock()  # one: several volumes may lie on the same disk
        self.files = {
            f"/{file_name(number)}": DiskFile(device, read_only, self.report, lock)
            for number, device in enumerate(devices)
        }
        self._ready = ready
        self._owner = {"st_uid": os.geteuid(), "st_gid": os.getegid()}

    def init_with_config(self, connection: t.Any, _config: object) -> None:
        connection.max_write = REQUEST
        self._ready()

    def getattr(self, path: str, _handle: int | None = None) -> dict[str, int]:
        if path == "/":
            return {"st_mode": stat.S_IFDIR | 0o500, "st_nlink": 2, **self._owner}
        file = self._file(path)
        facts = {"st_mode": file.mode, "st_nlink": 1, "st_size": file.device.size}
        return {**facts, **self._owner}

    def readdir(self, _path: str, _handle: int) -> list[str]:
        return [".", "..", *(path[1:] for path in self.files)]

    def open(self, path: str, _flags: int) -> int:
        self._file(path)
        return 0

    def read(self, path: str, offset: int, buffer: memoryview, handle: int) -> int:
        return self._file(path).read(path, offset, buffer, handle)

    def write(self, path: str, offset: int, data: memoryview, handle: int) -> int:
        return self._file(path).write(path, offset, data, handle)

    def fsync(self, path: str, data_only: int, handle: int) -> None:
        self._file(path).fsync(path, data_only, handle)

    def fallocate(self, path: str, mode: int, offset: int, length: int, handle: int) -> None:
        self._file(path).fallocate(path, mode, offset, length, handle)

    def _file(self, path: str) -> DiskFile:
        if path not in self.files:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
        return self.files[path]


class DiskFile:
    """The operations on one device; errors become error numbers."""

    def __init__(
        self,
        device: BlockDevice,
        read_only: bool,
        report: Report | None = None,
        lock: SharedLock | None = None,
    ) -> None:
        self.device = device
        self.mode = stat.S_IFREG | (0o400 if read_only else 0o600)
        self.report = report or Report()
        self._lock = lock or SharedLock()

    def read(self, _path: str, offset: int, buffer: memoryview, _handle: int) -> int:
        """Fill the buffer as far as the disk goes; how many bytes that was."""
        buffer = buffer[: max(0, self.device.size - offset)]
        if not buffer.nbytes:
            return 0
        with self._answer(f"read of {buffer.nbytes} bytes at byte {offset}"), self._lock.shared():
            self.device.readinto(offset, buffer)
        return buffer.nbytes

    def write(self, _path: str, offset: int, data: memoryview, _handle: int) -> int:
        self._change(
            f"write of {data.nbytes} bytes at byte {offset}", self.device.write, offset, data
        )
        return data.nbytes

    def fsync(self, _path: str, _data_only: int, _handle: int) -> None:
        self._change("flush", self.device.flush)

    def fallocate(self, _path: str, mode: int, offset: int, length: int, _handle: int) -> None:
        if not mode & (_PUNCH | _ZERO) or mode & ~(_PUNCH | _ZERO | _KEEP):
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        length = max(0, min(length, self.device.size - offset))
        self._change(f"zero {length} bytes at byte {offset}", self.device.zero, offset, length)

    def _change(self, what: str, action: Callable[..., None], *arguments: object) -> None:
        with self._answer(what, write=True), self._lock.alone():
            action(*arguments)

    @contextlib.contextmanager
    def _answer(self, what: str, *, write: bool = False) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self.report.note(what, error, write=write)
            raise OSError(_errno(error), str(error)) from error


def _errno(error: Exception) -> int:
    if isinstance(error, NoSpace):
        return errno.ENOSPC
    return errno.EROFS if isinstance(error, ReadOnlyDisk) else errno.EIO


def zero_copy(library: ModuleType) -> t.Any:
    """mfusepy.FUSE, but data goes straight between the device and libfuse's buffers."""
    view = ctypes.pythonapi.PyMemoryView_FromMemory
    view.restype = ctypes.py_object
    view.argtypes = (ctypes.c_void_p, ctypes.c_ssize_t, ctypes.c_int)
    readable, writable = 0x100, 0x200  # PyBUF_READ, PyBUF_WRITE

    class Fuse(library.FUSE):  # type: ignore[name-defined,misc]
        def read(self, path: bytes, buf: t.Any, size: int, offset: int, fip: t.Any) -> int:
            data = view(buf, size, writable)
            return int(self.operations.read(os.fsdecode(path), offset, data, fip.contents.fh))

        def write(self, path: bytes, buf: t.Any, size: int, offset: int, fip: t.Any) -> int:
            data = view(buf, size, readable)
            return int(self.operations.write(os.fsdecode(path), offset, data, fip.contents.fh))

    return Fuse
