# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A FUSE file system for a hypervisor: a folder of this host, in which some files are BlockDevices.

Whatever else is made there (descriptors, logs, locks, swap) lies in the folder itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import typing as t

from ..fuse import REQUEST, DiskFile, load_library, zero_copy

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..._device.device import BlockDevice
    from ..fuse import Report

_SAFE = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK  # no way out of the folder, and no waiting
_STAT = (
    "st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_blocks",
    "st_atime_ns", "st_mtime_ns", "st_ctime_ns",
)  # fmt: skip
_STATFS = (
    "f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail",
    "f_namemax",
)  # fmt: skip


def serve(
    folder: str, disks: Mapping[str, BlockDevice], mount_point: str, ready: Callable[[], None]
) -> list[Report]:
    """Show `folder` at the mount point, with each disk as the file of its name, until unmounted.

    Raises MissingLibrary, RuntimeError (libfuse).
    """
    operations = SharedFolder(folder, disks, ready)
    # Handles of NFS mean a file for as long as this runs, looked up lately or not.
    options = {"fsname": "vdisk-share", "use_ino": True, "noforget": True}
    library = load_library()
    zero_copy(library)(operations, mount_point, foreground=True, **options)
    return [disk.report for disk in operations.disks.values()]


class SharedFolder:
    """The operations, as mfusepy wants them but for read() and write(): see zero_copy()."""

    use_ns = True

    def __init__(
        self, folder: str, disks: Mapping[str, BlockDevice], ready: Callable[[], None]
    ) -> None:
        self._folder = folder
        self._ready = ready
        self.disks = {
            f"/{name}": DiskFile(device, read_only=False) for name, device in disks.items()
        }
        for name in disks:  # its owner, mode, times and inode are those of an empty file
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self._at(name), os.O_CREAT | os.O_EXCL | _SAFE, 0o600))

    def init_with_config(self, connection: t.Any, config: t.Any) -> None:
        connection.max_write = REQUEST
        config.use_ino = True
        self._ready()

    def getattr(self, path: str, _handle: int | None = None) -> dict[str, int]:
        found = os.lstat(self._at(path))
        facts = {name.removesuffix("_ns"): getattr(found, name) for name in _STAT}
        if path in self.disks:
            facts["st_size"] = self.disks[path].device.size
            facts["st_blocks"] = facts["st_size"] // 512
        return facts

    def readdir(self, path: str, _handle: int) -> list[str]:
        return [".", "..", *os.listdir(self._at(path))]

    def statfs(self, _path: str) -> dict[str, int]:
        found = os.statvfs(self._folder)
        return {name: getattr(found, name) for name in _STATFS}

    def open(self, path: str, flags: int) -> int:
        flags &= ~(os.O_CREAT | os.O_EXCL)
        if path in self.disks:
            flags &= ~os.O_TRUNC
        return os.open(self._at(path), flags | _SAFE)

    def create(self, path: str, mode: int) -> int:
        return os.open(self._at(path), os.O_RDWR | os.O_CREAT | os.O_EXCL | _SAFE, mode & 0o777)

    def mknod(self, path: str, mode: int, _device: int) -> None:
        if not stat.S_ISREG(mode):
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))
        os.close(self.create(path, mode))

    def release(self, _path: str, handle: int) -> None:
        os.close(handle)

    def read(self, path: str, offset: int, buffer: memoryview, handle: int) -> int:
        if path in self.disks:
            return self.disks[path].read(path, offset, buffer, handle)
        return os.preadv(handle, [buffer], offset)

    def write(self, path: str, offset: int, data: memoryview, handle: int) -> int:
        if path in self.disks:
            self._require_inside(path, offset + data.nbytes)
            return self.disks[path].write(path, offset, data, handle)
        return os.pwritev(handle, [data], offset)

    def fsync(self, path: str, data_only: int, handle: int) -> None:
        if path in self.disks:
            self.disks[path].fsync(path, data_only, handle)
        else:
            os.fsync(handle)

    def fallocate(self, path: str, mode: int, offset: int, length: int, handle: int) -> None:
        if path not in self.disks:
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))
        self.disks[path].fallocate(path, mode, offset, length, handle)

    def truncate(self, path: str, length: int, _handle: int | None = None) -> None:
        if path in self.disks:
            if length != self.disks[path].device.size:
                raise OSError(errno.EPERM, os.strerror(errno.EPERM))
            return
        fd = os.open(self._at(path), os.O_WRONLY | _SAFE)
        try:
            os.ftruncate(fd, length)
        finally:
            os.close(fd)

    def mkdir(self, path: str, mode: int) -> None:
        os.mkdir(self._at(path), mode)

    def rmdir(self, path: str) -> None:
        os.rmdir(self._at(path))

    def unlink(self, path: str) -> None:
        self._refuse_disk(path)
        os.unlink(self._at(path))

    def rename(self, old: str, new: str) -> None:
        self._refuse_disk(old)
        self._refuse_disk(new)
        os.rename(self._at(old), self._at(new))

    def chmod(self, path: str, mode: int) -> None:
        os.chmod(self._at(path), mode & 0o777)

    def chown(self, path: str, uid: int, gid: int) -> None:
        os.lchown(self._at(path), uid, gid)

    def utimens(self, path: str, times: tuple[int, int]) -> None:
        os.utime(self._at(path), ns=times, follow_symlinks=False)

    def _at(self, path: str) -> str:
        """Paths come from the kernel, without dots; links are never made, nor followed."""
        return os.path.join(self._folder, path.lstrip("/"))

    def _refuse_disk(self, path: str) -> None:
        if path in self.disks:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    def _require_inside(self, path: str, end: int) -> None:
        """A disk that is served does not grow."""
        if end > self.disks[path].device.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
