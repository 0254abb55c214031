# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What differs between a tree before a transaction and after it.

Both are trees of a stranger: no link is followed, nothing but regular files is opened, no folder
is entered by more than one name at a time, and there is an end to all of it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import stat
import typing as t

from .._device.errors import from_oserror

if t.TYPE_CHECKING:
    from collections.abc import Iterator

LISTED = 1000  # names of each list; of the rest only the number is told
DEEPEST = 200  # folders in folders; each takes two open files
MOST = 5_000_000  # names that are looked at
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_PIECE = 1 << 20
# These keep no time that every change of a file changes.
_NO_CHANGE_TIME = ("vfat", "exfat", "ntfs")


@dataclasses.dataclass
class Names:
    """Of a list that may be long."""

    listed: list[str] = dataclasses.field(default_factory=list)
    more: int = 0

    def add(self, name: str) -> None:
        if len(self.listed) < LISTED:
            self.listed.append(name)
        else:
            self.more += 1


@dataclasses.dataclass
class Differences:
    """Paths are those of the guest, with a slash in front."""

    added: Names = dataclasses.field(default_factory=Names)
    removed: Names = dataclasses.field(default_factory=Names)
    changed: Names = dataclasses.field(default_factory=Names)
    problems: list[str] = dataclasses.field(default_factory=list)

    def as_dict(self) -> dict[str, t.Any]:
        lists = {"added": self.added, "removed": self.removed, "changed": self.changed}
        return {
            **{name: names.listed for name, names in lists.items()},
            "more": {name: names.more for name, names in lists.items()},
            "problems": self.problems,
        }


def compare_trees(before: str, after: str, *, has_change_time: bool = True) -> Differences:
    """Files, links, devices and folders that came, went or are not the same: in type, content,
    owner, mode, extended attributes or where they lead. That times differ does not count.

    has_change_time: the file system changes the ctime with every change, so that files of the
    same ctime need not be read. Raises DiskError where a tree cannot be read at all.
    """
    found = Differences()
    try:
        with _opened(before) as old, _opened(after) as new:
            _Walk(found, has_change_time).folder(old, new, "", 0)
    except _Enough:
        found.problems.append(f"only the first {MOST} names were compared")
    except OSError as error:
        raise from_oserror(error, "compare it", after) from error
    return found


def has_change_time(filesystem: str) -> bool:
    """Whether the ctime of files tells of every change."""
    return filesystem not in _NO_CHANGE_TIME


class _Enough(Exception):
    pass


class _Walk:
    def __init__(self, found: Differences, trusts_ctime: bool) -> None:
        self.found, self.trusts_ctime, self.count = found, trusts_ctime, 0

    def folder(self, old: int | None, new: int | None, path: str, depth: int) -> None:
        """Both are open, or one is None: then all that is in the other came, or went."""
        if depth > DEEPEST:
            self._problem(f"{_shown(path)} is too deep, what is in it was not compared")
            return
        for name in sorted(self._names(old, path) | self._names(new, path)):
            self.count += 1
            if self.count > MOST:
                raise _Enough
            try:
                self._one(old, new, name, f"{path}/{name}", depth)
            except OSError as error:
                self._problem(f"{_shown(path)}/{_shown(name)}: {error.strerror}")

    def _names(self, folder: int | None, path: str) -> set[str]:
        try:
            return set() if folder is None else set(os.listdir(folder))
        except OSError as error:
            self._problem(f"{_shown(path) or '/'}: {error.strerror}")
            return set()

    def _one(self, old: int | None, new: int | None, name: str, path: str, depth: int) -> None:
        was, now = _status(old, name), _status(new, name)
        if was is None and now is None:
            return
        if now is None:
            self.found.removed.add(_shown(path))
        elif was is None:
            self.found.added.add(_shown(path))
        elif self._differs(_Entry(old, name, was), _Entry(new, name, now)):
            self.found.changed.add(_shown(path))
        with (
            _entered(old, name, was) as old_folder,
            _entered(new, name, now) as new_folder,
        ):
            if old_folder is not None or new_folder is not None:
                self.folder(old_folder, new_folder, path, depth + 1)

    def _differs(self, was: _Entry, now: _Entry) -> bool:
        one, other = was.status, now.status
        if self.trusts_ctime and _stamp(one) == _stamp(other):
            return False
        if _plain(one) != _plain(other) or was.attributes() != now.attributes():
            return True
        if stat.S_ISLNK(one.st_mode):
            return was.link() != now.link()
        if not stat.S_ISREG(one.st_mode):
            return False
        if not self.trusts_ctime and one.st_mtime_ns == other.st_mtime_ns:
            return False
        return was.content_differs(now)

    def _problem(self, text: str) -> None:
        if len(self.found.problems) < LISTED:
            self.found.problems.append(text)


class _Entry(t.NamedTuple):
    folder: int | None
    name: str
    status: os.stat_result

    @property
    def _path(self) -> str:
        """The calls for attributes know no folder that is open."""
        return f"/proc/self/fd/{self.folder}/{self.name}"

    def attributes(self) -> dict[str, bytes]:
        try:
            names = os.listxattr(self._path, follow_symlinks=False)
            return {name: os.getxattr(self._path, name, follow_symlinks=False) for name in names}
        except OSError:  # there are none here
            return {}

    def link(self) -> str:
        return os.readlink(self.name, dir_fd=self.folder)

    def content_differs(self, other: _Entry) -> bool:
        with self._opened() as one, other._opened() as two:
            while True:
                was, now = one.read(_PIECE), two.read(_PIECE)
                if was != now:
                    return True
                if not was:
                    return False

    @contextlib.contextmanager
    def _opened(self) -> Iterator[t.BinaryIO]:
        fd = _open(self.name, _FILE, self.folder)
        with open(fd, "rb", buffering=0) as stream:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                raise OSError(0, "is no regular file any more")
            yield t.cast("t.BinaryIO", stream)


def _open(name: str, flags: int, folder: int | None) -> int:
    """Looking leaves no trace, where we may look so."""
    with contextlib.suppress(PermissionError):
        return os.open(name, flags | os.O_NOATIME, dir_fd=folder)
    return os.open(name, flags, dir_fd=folder)


def _status(folder: int | None, name: str) -> os.stat_result | None:
    if folder is None:
        return None
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None


def _stamp(status: os.stat_result) -> tuple[int, ...]:
    return status.st_ino, status.st_ctime_ns, status.st_mode, status.st_size


def _plain(status: os.stat_result) -> tuple[int, ...]:
    """A folder's size, and the number of its names, tell nothing that is not told otherwise."""
    size = 0 if stat.S_ISDIR(status.st_mode) else status.st_size
    return status.st_mode, status.st_uid, status.st_gid, status.st_rdev, size


@contextlib.contextmanager
def _entered(folder: int | None, name: str, status: os.stat_result | None) -> Iterator[int | None]:
    if folder is None or status is None or not stat.S_ISDIR(status.st_mode):
        yield None
        return
    fd = _open(name, _FOLDER, folder)
    try:
        yield fd
    finally:
        os.close(fd)


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    fd = os.open(path, _FOLDER & ~os.O_NOFOLLOW)
    try:
        yield fd
    finally:
        os.close(fd)


def _shown(path: str) -> str:
    """For results, which are text: bytes that are none are written out."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
