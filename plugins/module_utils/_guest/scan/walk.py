# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Every regular file below a folder of a stranger's: no link is followed, nothing can make us wait.

Names are bytes, as a file system has them, whatever they hold.
"""

from __future__ import annotations

import base64
import os
import stat
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DEEPEST = 200  # folders in folders: each costs a file descriptor while what is in it is looked at
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Seen(t.NamedTuple):
    """A regular file that is open; who takes it closes it. `path` begins with a slash."""

    path: bytes
    fd: int
    info: os.stat_result


def walk(folder: str, unreadable: Callable[[bytes, str | None], None]) -> Iterator[Seen]:
    """In the order of names. `unreadable` hears of what cannot be looked at, and why."""
    try:
        root = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
    except OSError as error:
        unreadable(b"/", error.strerror)
        return
    yield from _Walk(unreadable).below(root, b"")


class _Walk:
    def __init__(self, unreadable: Callable[[bytes, str | None], None]) -> None:
        self.unreadable = unreadable

    def below(self, folder: int, path: bytes, depth: int = 0) -> Iterator[Seen]:
        """Closes the folder."""
        try:
            for name in self._names(folder, path):
                yield from self._each(folder, name, path + b"/" + name, depth)
        finally:
            os.close(folder)

    def _names(self, folder: int, path: bytes) -> list[bytes]:
        try:
            return sorted(map(os.fsencode, os.listdir(folder)))
        except OSError as error:
            self.unreadable(path or b"/", error.strerror)
            return []

    def _each(self, folder: int, name: bytes, path: bytes, depth: int) -> Iterator[Seen]:
        try:
            kind = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
            if stat.S_ISREG(kind):
                fd = os.open(name, _FILE, dir_fd=folder)
            elif not stat.S_ISDIR(kind):
                return
            elif depth == DEEPEST:
                self.unreadable(path, f"more than {DEEPEST} folders in folders")
                return
            else:
                fd = os.open(name, _FOLDER, dir_fd=folder)
        except OSError as error:
            self.unreadable(path, error.strerror)
            return
        if stat.S_ISDIR(kind):
            yield from self.below(fd, path, depth + 1)
        else:
            yield Seen(path, fd, os.fstat(fd))


def shown(path: bytes) -> dict[str, str]:
    """A path for results: also its bytes, where they are no text."""
    try:
        return {"path": path.decode()}
    except UnicodeDecodeError:
        raw = base64.b64encode(path).decode()
        return {"path": path.decode(errors="backslashreplace"), "path_base64": raw}


def parent_of(folder: str, path: bytes) -> tuple[int, bytes]:
    """The open folder that a path found by walk() is in, and its name there. Raises OSError."""
    *folders, name = path.strip(b"/").split(b"/")
    here = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
    for part in folders:
        above = here
        try:
            here = os.open(part, _FOLDER, dir_fd=above)
        finally:
            os.close(above)
    return here, name
