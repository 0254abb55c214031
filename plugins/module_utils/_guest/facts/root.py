# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The files of a guest, below the directory where its file system is mounted.

Names are followed as the guest would follow them: a link to /etc/passwd means the guest's, however
it is written. Nothing that an image holds can lead out of it, or make us wait.
"""

from __future__ import annotations

import collections
import contextlib
import errno
import os
import stat
import typing as t

from ..._device.errors import from_oserror

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    T = t.TypeVar("T")

LARGEST = 64 << 20  # bytes of a file that is read whole
_LINKS = 40  # as many as Linux follows
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
# What is simply not there. The rest, such as EIO, is damage, and the user's to know.
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ENAMETOOLONG, errno.EINVAL)


class GuestRoot:
    """Paths are the guest's, absolute."""

    def __init__(self, folder: str) -> None:
        """Raises DiskError."""
        self.folder = folder
        try:
            self._root = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
        except OSError as error:
            raise from_oserror(error, "open the root of the guest", folder) from error

    def read(self, path: str, largest: int = LARGEST) -> bytes | None:
        """All of a file; None where there is none, or a larger one. Raises DiskIOError."""
        with self.opened(path) as stream:
            if stream is None or os.fstat(stream.fileno()).st_size > largest:
                return None
            data = self._look(path, lambda: stream.read(largest + 1))
        return None if data is None or len(data) > largest else data

    def text(self, path: str) -> str:
        """Empty where there is no such file."""
        return (self.read(path) or b"").decode(errors="replace")

    @contextlib.contextmanager
    def opened(self, path: str) -> Iterator[t.BinaryIO | None]:
        """A regular file; None for anything else. Raises DiskIOError."""
        with self._found(path) as place:
            fd = place and self._look(path, lambda: os.open(place.name, _FILE, dir_fd=place.folder))
            if fd is None or not stat.S_ISREG(os.fstat(fd).st_mode):
                if fd is not None:
                    os.close(fd)
                yield None
                return
            with os.fdopen(fd, "rb") as stream:
                yield stream

    def names(self, path: str) -> list[str]:
        """Of what is in a folder, sorted; empty where there is none. Raises DiskIOError."""
        with self._found(path) as place:
            if place is None or place.name != ".":
                return []
            return sorted(self._look(path, lambda: os.listdir(place.folder)) or ())

    def status(self, path: str) -> os.stat_result | None:
        """Of what the path leads to; None for nothing. Raises DiskIOError."""
        with self._found(path) as place:
            if place is None:
                return None
            return self._look(path, lambda: _status(place.name, place.folder))

    def real_folder(self, path: str) -> str | None:
        """Where a folder is on this host, by a name without links; None where there is none.

        Raises DiskIOError.
        """
        with self._found(path) as place:
            if place is None or place.name != ".":
                return None
            return os.readlink(f"/proc/self/fd/{place.folder}")

    def link(self, path: str) -> str | None:
        """What a symbolic link says; None for what is none. Raises DiskIOError."""
        folder, _slash, name = path.rstrip("/").rpartition("/")
        with self._found(folder) as place:
            if place is None or place.name != ".":
                return None
            return self._look(path, lambda: os.readlink(name, dir_fd=place.folder))

    def close(self) -> None:
        os.close(self._root)

    def __enter__(self) -> GuestRoot:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _found(self, path: str) -> Iterator[_Place | None]:
        """Where the path leads to in the end, links followed; None for nowhere."""
        walk = _Walk(self._root)
        try:
            yield self._look(path, lambda: walk.follow(path))
        finally:
            walk.close()

    def _look(self, path: str, action: Callable[[], T]) -> T | None:
        """None for what is not there."""
        try:
            return action()
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise from_oserror(error, "read it", self.folder + path) from error


class _Place(t.NamedTuple):
    """A name in an open folder; "." is the folder itself."""

    folder: int
    name: str


class _Walk:
    """From folder to folder, each opened in the one before: nobody can swap one for a link."""

    def __init__(self, root: int) -> None:
        self._stack = [os.dup(root)]
        self._links = 0

    def follow(self, path: str) -> _Place:
        """Raises OSError."""
        left = collections.deque(_parts(path))
        while left:
            part, here = left.popleft(), self._stack[-1]
            kind = os.stat(part, dir_fd=here, follow_symlinks=False).st_mode
            if part == "..":
                self._leave(1)
            elif stat.S_ISLNK(kind):
                left.extendleft(reversed(self._link(part)))
            elif stat.S_ISDIR(kind):
                self._stack.append(os.open(part, _FOLDER, dir_fd=here))
            elif left:
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            else:
                return _Place(here, part)
        return _Place(self._stack[-1], ".")

    def close(self) -> None:
        self._leave(len(self._stack))
        os.close(self._stack[0])

    def _link(self, name: str) -> list[str]:
        """The parts of what it says; one that is absolute begins at the root again."""
        self._links += 1
        if self._links > _LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
        target = os.readlink(name, dir_fd=self._stack[-1])
        if target.startswith("/"):
            self._leave(len(self._stack))
        return _parts(target)

    def _leave(self, count: int) -> None:
        """So many folders, but never the root."""
        for _each in range(min(count, len(self._stack) - 1)):
            os.close(self._stack.pop())


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part not in ("", ".")]


def _status(name: str, folder: int) -> os.stat_result:
    return os.stat(name, dir_fd=folder, follow_symlinks=False)
