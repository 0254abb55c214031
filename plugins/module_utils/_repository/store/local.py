# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A repository in a directory, local or NFS."""

from __future__ import annotations

import os
import typing as t

from ..._device.errors import DiskExists, DiskNotFound, TruncatedDisk, from_oserror
from ..._device.files import remove_if_there
from .local_session import LocalSession
from .local_tree import LocalTree
from .local_upload import LocalUpload
from .locked import is_abandoned
from .protocol import Stored, check_whole
from .session import SESSIONS, TEMPORARY

if t.TYPE_CHECKING:
    from collections.abc import Iterator


class LocalStore(LocalTree):
    """Files are written under tmp/, flushed, then given their name in one step."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.url = self.root

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        path = self.path(key)
        try:
            with open(path, "rb", buffering=0, opener=_open) as file:
                if length is None:
                    length = os.fstat(file.fileno()).st_size - offset
                    check_whole(path, length)
                data = os.pread(file.fileno(), length, offset)
                while len(data) < length:
                    more = os.pread(file.fileno(), length - len(data), offset + len(data))
                    if not more:
                        raise _too_short(path, offset + len(data), length - len(data))
                    data += more
        except OSError as error:
            raise from_oserror(error, "read it", path) from error
        return data

    def read_into(self, key: str, offset: int, target: memoryview) -> None:
        path = self.path(key)
        try:
            with open(path, "rb", buffering=0, opener=_open) as file:
                while target.nbytes:
                    count = os.preadv(file.fileno(), [target], offset)
                    if not count:
                        raise _too_short(path, offset, target.nbytes)
                    offset, target = offset + count, target[count:]
        except OSError as error:
            raise from_oserror(error, "read it", path) from error

    def put(self, key: str, data: bytes | bytearray, *, if_absent: bool = False) -> bool:
        upload = LocalUpload(self)
        try:
            upload.write(data)
            return upload.commit(key) if if_absent else upload.replace(key)
        finally:
            upload.abort()

    def replace(self, key: str, old: bytes, data: bytes) -> bool:
        try:
            if self.get(key) != old:
                return False
        except DiskNotFound:
            return False
        return self.put(key, data)

    def upload(self) -> LocalUpload:
        return LocalUpload(self)

    def begin_session(self) -> LocalSession:
        return LocalSession(self)

    def list(self, prefix: str) -> Iterator[Stored]:
        top = self.path(prefix.rstrip("/"))
        for folder, _folders, names in os.walk(top, onerror=_refuse):
            relative = os.path.relpath(folder, self.root)
            below = "" if relative == "." else f"{relative}/"
            for name in names:
                if name.startswith("."):  # .nfs…: a file that somebody else still has open
                    continue
                path = os.path.join(folder, name)
                try:
                    status = os.lstat(path)
                except FileNotFoundError:
                    continue
                except OSError as error:  # on NFS, say
                    raise from_oserror(error, "look at it", path) from error
                yield _stored(below + name, status)

    def size(self, key: str) -> int | None:
        path = self.path(key)
        try:
            return os.stat(path).st_size
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise from_oserror(error, "look at it", path) from error

    def delete(self, key: str) -> None:
        remove_if_there(self.path(key))

    def foreign(self, known: frozenset[str]) -> str | None:
        try:
            names = os.listdir(self.root)
        except FileNotFoundError:
            return None
        except NotADirectoryError:
            raise DiskExists(
                "a repository cannot be made here",
                path=self.root,
                found="a file",
                expected="an empty or a new directory",
            ) from None
        except OSError as error:
            raise from_oserror(error, "list it", self.root) from error
        return min((name for name in names if name not in known), default=None)

    def remove(self) -> None:
        for folder, _folders, _names in os.walk(self.root, topdown=False, onerror=_refuse):
            try:
                os.rmdir(folder)
            except OSError as error:
                raise from_oserror(error, "remove the empty directory", folder) from error

    def sessions(self) -> tuple[str, ...]:
        keys = (SESSIONS + name for name in self._names(SESSIONS))
        return tuple(key for key in keys if not is_abandoned(self.path(key)))

    def sweep(self) -> None:
        for folder in (SESSIONS, TEMPORARY):
            for name in self._names(folder):
                path = self.path(folder + name)
                if is_abandoned(path):
                    remove_if_there(path)

    def _names(self, folder: str) -> tuple[str, ...]:
        path = os.path.join(self.root, folder)
        try:
            return tuple(name for name in os.listdir(path) if not name.startswith("."))
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise from_oserror(error, "list it", path) from error


def _open(path: str, flags: int) -> int:
    """A pipe somebody put there must not hold us for ever."""
    return os.open(path, flags | os.O_NONBLOCK)


def _too_short(path: str, offset: int, missing: int) -> TruncatedDisk:
    return TruncatedDisk(
        "the file ends too early", path=path, offset=offset, expected=f"{missing} more bytes"
    )


def _refuse(error: OSError) -> None:
    """os.walk() says nothing of folders it cannot read; a missing one is an empty one."""
    if not isinstance(error, FileNotFoundError):
        raise from_oserror(error, "list it", error.filename) from error


def _stored(key: str, status: os.stat_result) -> Stored:
    version = f"{status.st_ino:x}-{status.st_mtime_ns:x}-{status.st_ctime_ns:x}"
    return Stored(key, status.st_size, version)
