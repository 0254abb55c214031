# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Files out of a stranger's tree into a folder of this host.

Both trees are walked from folder to folder, each opened in the one before and no link followed:
nothing in either can lead a write to another place.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import os
import secrets
import stat
import typing as t

from ..scan.walk import parent_of, shown
from .content import READ, Unreadable, copy_content, same_content
from .looks import Looks, looks_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.progress import Progress
    from .select import Entry

KEEP, REPLACE, RENAME = "keep", "replace", "rename"
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW_NAME = b".vdisk-new-%s"
_BESIDE = b".restored"
_OTHERS = 100  # names beside a file that are tried


@dataclasses.dataclass
class Outcome:
    """What was done, or would be; paths are those of the tree."""

    done: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    skipped: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    unreadable: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    unwritten: list[dict[str, t.Any]] = dataclasses.field(default_factory=list)
    equal: int = 0
    size: int = 0  # bytes copied

    def note(self, path: bytes, action: str, **more: t.Any) -> None:
        self.done.append({**shown(path), "action": action, **more})

    def skip(self, path: bytes, reason: str | None) -> None:
        self.skipped.append({**shown(path), "reason": reason or "it cannot be had"})

    def lose(self, path: bytes, reason: str | None) -> None:
        self.unreadable.append({**shown(path), "reason": reason or "it cannot be read"})

    def fail(self, path: bytes, reason: str | None) -> None:
        self.unwritten.append({**shown(path), "reason": reason or "it cannot be written"})


@dataclasses.dataclass(frozen=True)
class Rules:
    """How files are put down. `dry`: not at all, but all that would be is told."""

    conflict: str
    keep_owner: bool
    privileged: bool
    outside_links: bool
    dry: bool


class Restore:
    """One run from `source` to `target`, both open folders' paths."""

    def __init__(self, source: str, target: str, rules: Rules, progress: Progress) -> None:
        self.source, self.target, self.rules = source, target, rules
        self.progress = progress
        self.outcome = Outcome()
        self._folders: list[tuple[bytes, Looks]] = []
        self._missing: set[bytes] = set()  # folders that would be there if this were not dry
        self._blocked: set[bytes] = set()  # nothing below can be put down
        self._linked: dict[tuple[int, int], bytes] = {}

        if not os.path.isdir(target):  # in a dry run
            self._missing.add(b"/")

    def put(self, entry: Entry) -> None:
        """Errors of the tree and of the target are noted, one by one."""
        above = os.path.dirname(entry.path)
        if above in self._blocked:
            self._blocked.add(entry.path)
            return
        try:
            if entry.is_folder:
                self._folder(entry)
            elif entry.link is not None:
                self._link(entry, entry.link)
            elif entry.is_file:
                self._file(entry)
                self.progress.advance(entry.info.st_size)
            else:
                self.outcome.skip(entry.path, "a device, pipe or socket")
        except Unreadable as error:
            self.outcome.lose(entry.path, str(error))
        except OSError as error:
            self._blocked.add(entry.path)
            self.outcome.fail(entry.path, error.strerror)

    def finish(self) -> None:
        """Folders last: what is put into them changes their times."""
        for path, looks in reversed(self._folders):
            try:
                self._dress(path, looks)
            except OSError as error:
                self.outcome.fail(path, error.strerror)

    def _dress(self, path: bytes, looks: Looks) -> None:
        """Give a folder its looks."""
        with self._in(self.target, path) as (parent, name):
            fd = os.open(name, READ | os.O_DIRECTORY, dir_fd=parent)
            try:
                problem = looks.apply(fd)
            finally:
                os.close(fd)
        if problem:
            self.outcome.skip(path, problem)

    def _folder(self, entry: Entry) -> None:
        if self._is_missing(os.path.dirname(entry.path)):
            there = None
        else:
            with self._in(self.target, entry.path) as (parent, name):
                there = _status(name, parent)
        if there is None:
            self._make_folder(entry)
        elif stat.S_ISDIR(there.st_mode):
            self.outcome.equal += 1
        else:
            self._blocked.add(entry.path)
            self.outcome.skip(entry.path, "something that is no folder is there")

    def _make_folder(self, entry: Entry) -> None:
        if self.rules.dry:
            self._missing.add(entry.path)
        else:
            with self._source(entry, os.O_DIRECTORY) as fd:
                looks = self._looks(fd)
            with self._in(self.target, entry.path) as (parent, name):
                os.mkdir(name, 0o700, dir_fd=parent)
            self._folders.append((entry.path, looks))
            # Now as well, for a run that is killed: the next one leaves folders as they are.
            early = looks._replace(mode=looks.mode | stat.S_IRWXU, attributes=())
            self._dress(entry.path, early)
        self.outcome.note(entry.path, "folder")

    def _link(self, entry: Entry, link: bytes) -> None:
        if not self.rules.outside_links and _leads_out(entry.path, link):
            self.outcome.skip(entry.path, f"a link that leads out, to {os.fsdecode(link)!r}")
            return
        if self._is_missing(os.path.dirname(entry.path)):
            self.outcome.note(entry.path, "link")
            return
        with self._in(self.target, entry.path) as (parent, name):
            there = _status(name, parent)
            if there is not None and _link_at(name, parent) == link:
                self.outcome.equal += 1
            elif there is None:
                self._put_link(entry, link, parent, name, "link")
            elif self.rules.conflict == REPLACE and not stat.S_ISDIR(there.st_mode):
                self._put_link(entry, link, parent, name, "replaced")
            else:
                self.outcome.skip(entry.path, "something else is there")

    def _put_link(self, entry: Entry, link: bytes, parent: int, name: bytes, action: str) -> None:
        if not self.rules.dry:
            with _temporary(parent) as new:
                os.symlink(link, new, dir_fd=parent)
                if self.rules.keep_owner:
                    owner = entry.info.st_uid, entry.info.st_gid
                    os.chown(new, *owner, dir_fd=parent, follow_symlinks=False)
                os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
        self.outcome.note(entry.path, action)

    def _file(self, entry: Entry) -> None:
        with self._source(entry) as fd:
            if self._is_missing(os.path.dirname(entry.path)):
                self.outcome.note(entry.path, "file", size=entry.info.st_size)
                return
            with self._in(self.target, entry.path) as (parent, name):
                self._put_file(entry, fd, parent, name)

    def _put_file(self, entry: Entry, fd: int, parent: int, name: bytes) -> None:
        looks = self._looks(fd)
        there = _status(name, parent)
        if there is None:
            self._write(entry, fd, looks, parent, name, "file")
        elif self._is_settled(entry, fd, looks, parent, name):
            return
        elif self.rules.conflict == KEEP:
            self.outcome.skip(entry.path, "kept: a file that differs is there")
        elif self.rules.conflict == RENAME:
            self._beside(entry, fd, looks, parent, name)
        elif stat.S_ISDIR(there.st_mode):
            self.outcome.skip(entry.path, "a folder is there")
        else:
            self._write(entry, fd, looks, parent, name, "replaced")

    def _is_settled(self, entry: Entry, fd: int, looks: Looks, parent: int, name: bytes) -> bool:
        """Whether an equal file is there. Owner and mode follow only where it may be replaced, and
        has no other name: that may be anywhere on this host, and somebody else's."""
        with _file_at(name, parent) as there:
            if there is None or not same_content(fd, there):
                return False
            if self.rules.conflict != REPLACE or looks.matches(there):
                self.outcome.equal += 1
                return True
            if os.fstat(there).st_nlink > 1:
                return False
            if not self.rules.dry:
                looks.apply(there)
        self.outcome.note(entry.path, "attributes")
        return True

    def _beside(self, entry: Entry, fd: int, looks: Looks, parent: int, name: bytes) -> None:
        for number in range(1, _OTHERS):
            other = name + _BESIDE + (b"" if number == 1 else b"-%d" % number)
            if _status(other, parent) is None:
                self._write(entry, fd, looks, parent, other, "renamed")
                return
            if self._is_settled(entry, fd, looks, parent, other):
                return
        self.outcome.skip(entry.path, f"{_OTHERS} others are beside it already")

    def _write(
        self, entry: Entry, fd: int, looks: Looks, parent: int, name: bytes, action: str
    ) -> None:
        """Under another name first, so that a half-written file is never taken for a whole one."""
        more: dict[str, t.Any] = {"size": entry.info.st_size}
        if action == "renamed":
            more = {**more, "to": name.decode(errors="backslashreplace")}
        if self.rules.dry:
            self.outcome.note(entry.path, action, **more)
            return
        with _temporary(parent) as new:
            if not self._hard_link(entry, parent, new):
                self._copy(entry, fd, looks, parent, new)
            os.rename(new, name, src_dir_fd=parent, dst_dir_fd=parent)
        if action != "renamed":
            self._linked.setdefault((entry.info.st_dev, entry.info.st_ino), entry.path)
        self.outcome.note(entry.path, action, **more)

    def _copy(self, entry: Entry, fd: int, looks: Looks, parent: int, new: bytes) -> None:
        target = os.open(new, _NEW, 0o600, dir_fd=parent)
        try:
            self.outcome.size += copy_content(fd, target)
            problem = looks.apply(target)
        finally:
            os.close(target)
        if problem:
            self.outcome.skip(entry.path, problem)

    def _hard_link(self, entry: Entry, parent: int, new: bytes) -> bool:
        """To the other name of the same file, if that was put down."""
        first = self._linked.get((entry.info.st_dev, entry.info.st_ino))
        if entry.info.st_nlink < 2 or first is None:
            return False
        with self._in(self.target, first) as (folder, name):
            os.link(name, new, src_dir_fd=folder, dst_dir_fd=parent, follow_symlinks=False)
        return True

    def _looks(self, fd: int) -> Looks:
        return looks_of(fd, keep_owner=self.rules.keep_owner, privileged=self.rules.privileged)

    def _is_missing(self, folder: bytes) -> bool:
        return folder in self._missing

    @contextlib.contextmanager
    def _source(self, entry: Entry, flags: int = 0) -> Iterator[int]:
        """Raises Unreadable."""
        try:
            with self._in(self.source, entry.path) as (parent, name):
                fd = os.open(name, READ | flags, dir_fd=parent)
        except OSError as error:
            raise Unreadable(error.strerror) from error
        try:
            yield fd
        finally:
            os.close(fd)

    @contextlib.contextmanager
    def _in(self, folder: str, path: bytes) -> Iterator[tuple[int, bytes]]:
        parent, name = parent_of(folder, path)
        try:
            yield parent, name
        finally:
            os.close(parent)


@contextlib.contextmanager
def _temporary(parent: int) -> Iterator[bytes]:
    """A name in the same folder that nobody has, free again afterwards."""
    new = _NEW_NAME % secrets.token_hex(8).encode()
    try:
        yield new
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(new, dir_fd=parent)


@contextlib.contextmanager
def _file_at(name: bytes, parent: int) -> Iterator[int | None]:
    """An open regular file; None for anything else."""
    there = _status(name, parent)
    if there is None or not stat.S_ISREG(there.st_mode):
        yield None
        return
    fd = os.open(name, READ, dir_fd=parent)
    try:
        yield fd
    finally:
        os.close(fd)


def _status(name: bytes, parent: int) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=parent, follow_symlinks=False)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise


def _link_at(name: bytes, parent: int) -> bytes | None:
    try:
        return os.readlink(name, dir_fd=parent)
    except OSError:
        return None


def _leads_out(path: bytes, link: bytes) -> bool:
    """Whether it may leave the tree. Only leading `..` can be told: what another link in the middle
    leads to changes what `..` means after it."""
    if link.startswith(b"/"):
        return True
    parts = [part for part in link.split(b"/") if part not in (b"", b".")]
    ups = next((at for at, part in enumerate(parts) if part != b".."), len(parts))
    return ups > path.count(b"/") - 1 or b".." in parts[ups:]
