# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A file that is being written into a local repository."""

from __future__ import annotations

import errno
import os
import typing as t

from ..._device.errors import from_oserror
from ..._device.files import remove_if_there, sync_directory
from .locked import create_locked
from .session import TEMPORARY

if t.TYPE_CHECKING:
    from ..._device.device import Buffer
    from .local_tree import LocalTree

_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class LocalUpload:
    """A locked file under tmp/: the kernel drops the lock when the writer dies."""

    def __init__(self, tree: LocalTree) -> None:
        self._tree = tree
        folder = tree.path(TEMPORARY.rstrip("/"))
        tree.make_folder(folder)
        self._path = os.path.join(folder, os.urandom(16).hex())
        self._fd = create_locked(self._path)

    def write(self, data: Buffer) -> None:
        view = memoryview(data).cast("B")
        while view.nbytes:
            try:
                view = view[os.write(self._fd, view) :]
            except OSError as error:
                raise from_oserror(error, "write to the repository", self._path) from error

    def commit(self, key: str) -> bool:
        target = self._flush_for(key)
        try:
            _link(self._path, target)
        except FileExistsError:
            return False
        except OSError as error:
            raise from_oserror(error, "give it its name", target) from error
        finally:
            self.abort()
        _sync(os.path.dirname(target))
        return True

    def replace(self, key: str) -> bool:
        """Take the key whether it is taken or not."""
        target = self._flush_for(key)
        try:
            os.replace(self._path, target)
        except OSError as error:
            raise from_oserror(error, "give it its name", target) from error
        _sync(os.path.dirname(target))
        return True

    def _flush_for(self, key: str) -> str:
        target = self._tree.path(key)
        self._tree.make_folder(os.path.dirname(target))
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise from_oserror(error, "flush it", self._path) from error
        return target

    def abort(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            remove_if_there(self._path)
            os.close(fd)


def _link(source: str, target: str) -> None:
    """Give `source` the name `target` as well; FileExistsError if somebody has it."""
    try:
        os.link(source, target)
    except FileExistsError:
        # NFS asks again where an answer was lost, and meets the name that it has just made.
        if not os.path.samefile(source, target):
            raise
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # No hard links here: claim the name first. A crash between the two lines leaves an empty
        # file, which is told as a damaged restore point and harms no other.
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
        os.replace(source, target)


def _sync(folder: str) -> None:
    try:
        sync_directory(folder)
    except OSError as error:
        raise from_oserror(error, "flush the directory", folder) from error
