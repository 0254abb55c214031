# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which files of a tree somebody means."""

from __future__ import annotations

import fnmatch
import os
import stat
import typing as t

from ..._device.errors import InvalidRequest

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

DEEPEST = 200  # folders in folders
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_ANY = "**"


class Entry(t.NamedTuple):
    """Something in the tree. `path` begins with a slash; `link` is where a symbolic link leads."""

    path: bytes
    info: os.stat_result
    link: bytes | None = None

    @property
    def is_folder(self) -> bool:
        return stat.S_ISDIR(self.info.st_mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.info.st_mode)


class Selection:
    """Patterns are those of a shell, each part of a path by itself; `**` stands for any folders.

    What is below something that is meant is meant too.
    """

    def __init__(self, patterns: Sequence[str], exclude: Sequence[str]) -> None:
        """Raises InvalidRequest."""
        self.patterns = [_parts(pattern) for pattern in patterns]
        self.exclude = [_parts(pattern) for pattern in exclude]

    def wants(self, path: list[str]) -> bool:
        return any(_matches(one, path) for one in self.patterns) and not self.refuses(path)

    def refuses(self, path: list[str]) -> bool:
        return any(_matches(one, path) for one in self.exclude)

    def unmet(self, paths: Sequence[str]) -> list[str]:
        """The patterns that none of these is meant by."""
        split = [_parts(path) for path in paths]
        missing = [one for one in self.patterns if not any(_matches(one, path) for path in split)]
        return ["/" + "/".join(one) for one in missing]

    def may_hold(self, folder: list[str]) -> bool:
        """Whether something below it may be meant."""
        return any(_leads_below(one, folder) for one in self.patterns)


def select(
    folder: str, selection: Selection, unreadable: Callable[[bytes, str | None], None]
) -> Iterator[Entry]:
    """What is meant, with the folders that it is in: those come before what is in them."""
    root = os.open(folder, _FOLDER & ~os.O_NOFOLLOW)
    yield from _Walk(selection, unreadable).below(root, b"", 0)


class _Walk:
    def __init__(
        self, selection: Selection, unreadable: Callable[[bytes, str | None], None]
    ) -> None:
        self.selection = selection
        self.unreadable = unreadable

    def below(self, folder: int, path: bytes, depth: int) -> Iterator[Entry]:
        """Closes the folder."""
        try:
            for name in sorted(map(os.fsencode, os.listdir(folder))):
                yield from self._each(folder, name, path + b"/" + name, depth)
        except OSError as error:
            self.unreadable(path or b"/", error.strerror)
        finally:
            os.close(folder)

    def _each(self, folder: int, name: bytes, path: bytes, depth: int) -> Iterator[Entry]:
        parts = _parts(os.fsdecode(path))
        wanted = self.selection.wants(parts)
        if self.selection.refuses(parts) or not (wanted or self.selection.may_hold(parts)):
            return
        try:
            entry = _entry(folder, name, path)
            inner = os.open(name, _FOLDER, dir_fd=folder) if entry.is_folder else None
        except OSError as error:
            self.unreadable(path, error.strerror)
            return
        if inner is None:
            yield from [entry] * wanted
        elif depth == DEEPEST:
            os.close(inner)
            self.unreadable(path, f"more than {DEEPEST} folders in folders")
        else:
            yield from self._folder(entry, inner, wanted, depth)

    def _folder(self, entry: Entry, inner: int, wanted: bool, depth: int) -> Iterator[Entry]:
        """One that is not meant itself comes only with something that is."""
        found = self.below(inner, entry.path, depth + 1)
        first = None if wanted else next(found, None)
        if wanted or first is not None:
            yield entry
        if first is not None:
            yield first
        yield from found


def _entry(folder: int, name: bytes, path: bytes) -> Entry:
    info = os.stat(name, dir_fd=folder, follow_symlinks=False)
    link = os.readlink(name, dir_fd=folder) if stat.S_ISLNK(info.st_mode) else None
    return Entry(path, info, link)


def _parts(text: str) -> list[str]:
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise InvalidRequest(f"'{text}' leaves the tree", expected="a path without ..")
    return parts


def _matches(pattern: list[str], path: list[str]) -> bool:
    """Whether it is, or is below, what the pattern means."""
    if not pattern:
        return True
    if pattern[0] == _ANY:
        return any(_matches(pattern[1:], path[at:]) for at in range(len(path) + 1))
    if not path:
        return False
    return fnmatch.fnmatchcase(path[0], pattern[0]) and _matches(pattern[1:], path[1:])


def _leads_below(pattern: list[str], folder: list[str]) -> bool:
    if not folder or not pattern or pattern[0] == _ANY:
        return True
    return fnmatch.fnmatchcase(folder[0], pattern[0]) and _leads_below(pattern[1:], folder[1:])
