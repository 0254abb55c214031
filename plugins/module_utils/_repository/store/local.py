# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A repository in a directory, local or NFS."""

from __future__ import annotations

import errno
import fcntl
import os
import time
import typing as t

from ..._device.errors import DiskExists, TruncatedDisk, from_oserror
from ..._device.files import remove_if_there, sync_directory
from .protocol import Stored

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import Buffer

TEMPORARY = "tmp"
# Between creating its file and locking it a writer is for a moment not to be told from a dead one.
UNLOCKED_GRACE = 60  # seconds
NO_LOCKS_GRACE = 24 * 3600  # seconds; for file systems that know no locks
_NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


class LocalStore:
    """Files are written under tmp/, flushed, then given their name in one step."""

    def __init__(self, path: str) -> None:
        self.root = os.path.abspath(path)
        self.url = self.root

    def path(self, key: str) -> str:
        return os.path.join(self.root, *key.split("/"))

    def get(self, key: str, offset: int = 0, length: int | None = None) -> bytes:
        path = self.path(key)
        try:
            with open(path, "rb", buffering=0) as file:
                if length is None:
                    length = os.fstat(file.fileno()).st_size - offset
                data = os.pread(file.fileno(), length, offset)
                while len(data) < length:
                    more = os.pread(file.fileno(), length - len(data), offset + len(data))
                    if not more:
                        raise TruncatedDisk(
                            "the file ends too early",
                            path=path,
                            offset=offset + len(data),
                            expected=f"{length - len(data)} more bytes",
                        )
                    data += more
        except OSError as error:
            raise from_oserror(error, "read it", path) from error
        return data

    def put(self, key: str, data: bytes, *, if_absent: bool = False) -> bool:
        upload = LocalUpload(self)
        try:
            upload.write(data)
            return upload.commit(key) if if_absent else upload.replace(key)
        finally:
            upload.abort()

    def upload(self) -> LocalUpload:
        return LocalUpload(self)

    def begin_session(self) -> LocalUpload:
        return LocalUpload(self)

    def list(self, prefix: str) -> Iterator[Stored]:
        for folder, _folders, names in os.walk(self.path(prefix.rstrip("/")), onerror=_refuse):
            relative = os.path.relpath(folder, self.root).replace(os.sep, "/")
            for name in names:
                if name.startswith("."):  # .nfs…: a file that somebody else still has open
                    continue
                try:
                    yield Stored(f"{relative}/{name}", os.lstat(os.path.join(folder, name)).st_size)
                except FileNotFoundError:
                    continue

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

    def make_folder(self, path: str) -> None:
        """Like mkdir -p, and durable. The root is made for its owner only."""
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path)
        self.make_folder(parent)
        try:
            os.mkdir(path, 0o700 if path == self.root else 0o777)
            sync_directory(parent)
        except FileExistsError:  # another writer was faster
            if not os.path.isdir(path):
                raise DiskExists("a directory is needed here", path=path, found="a file") from None
        except OSError as error:
            raise from_oserror(error, "make the directory", path) from error

    def remove(self) -> None:
        for folder, _folders, _names in os.walk(self.root, topdown=False, onerror=_refuse):
            try:
                os.rmdir(folder)
            except OSError as error:
                raise from_oserror(error, "remove the empty directory", folder) from error

    def busy(self) -> str | None:
        return next((path for path in self._uploads() if _is_held(path)), None)

    def sweep(self) -> None:
        for path in self._uploads():
            if _is_abandoned(path):
                remove_if_there(path)

    def _uploads(self) -> Iterator[str]:
        folder = os.path.join(self.root, TEMPORARY)
        try:
            names = os.listdir(folder)
        except FileNotFoundError:
            return
        except OSError as error:
            raise from_oserror(error, "list it", folder) from error
        yield from (os.path.join(folder, name) for name in names)


class LocalUpload:
    """A locked file under tmp/: the kernel drops the lock when the writer dies."""

    def __init__(self, store: LocalStore) -> None:
        self._store = store
        folder = os.path.join(store.root, TEMPORARY)
        store.make_folder(folder)
        self._path = os.path.join(folder, os.urandom(16).hex())
        try:
            self._fd = os.open(
                self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666
            )
        except OSError as error:
            raise from_oserror(error, "write to the repository", self._path) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # no locks here: sweep() goes by age
            pass

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
        target = self._store.path(key)
        self._store.make_folder(os.path.dirname(target))
        try:
            os.fsync(self._fd)
        except OSError as error:
            raise from_oserror(error, "flush it", self._path) from error
        return target

    def end(self) -> None:
        """As a session: an empty file that nobody sees, locked as long as its writer lives."""
        self.abort()

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


class _Look(t.NamedTuple):
    locked: bool | None  # None: this file system knows no locks
    age: float  # seconds since something was written


def _look(path: str) -> _Look | None:
    """Who has an upload; None if it is gone or not ours."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        age = time.time() - os.fstat(fd).st_mtime
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _Look(False, age)
    except BlockingIOError:
        return _Look(True, age)
    except OSError:
        return _Look(None, age)
    finally:
        os.close(fd)


def _is_abandoned(path: str) -> bool:
    look = _look(path)
    if look is None or look.locked:
        return False
    return look.age > (NO_LOCKS_GRACE if look.locked is None else UNLOCKED_GRACE)


def _is_held(path: str) -> bool:
    look = _look(path)
    if look is None:
        return False
    return look.age < UNLOCKED_GRACE if look.locked is None else look.locked


def _refuse(error: OSError) -> None:
    """os.walk() says nothing of folders it cannot read; a missing one is an empty one."""
    if not isinstance(error, FileNotFoundError):
        raise from_oserror(error, "list it", error.filename) from error
