# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A recording file system: every state that a crash may leave of an operation, replayed.

The operation runs once. All that it asks of the file system is recorded: writes, holes, sizes,
names, flushes. A flush makes the changes of that file last, or the names of that folder. Of the
others, any may have reached the disk by the time of the crash, whole or in sectors; only changes
of one name keep their order.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import itertools
import os
import random
import shutil
import sys
import threading
import typing as t

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import files

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Check = Callable[[Path], object]

SECTOR = 512
FEW = 6  # pending changes of which all subsets are tried
SAMPLES = 12  # random subsets of more than that
_OPEN = os.open
# For each operation, beside the prefixes.
LIMIT = int(os.environ.get("VDISK_CRASH_STATES", "12" if os.environ.get("VDISK_CI") else "30"))


@dataclasses.dataclass(frozen=True)
class Change:
    """place: the inode, of a file or a folder, whose flush makes it last."""

    place: int

    def apply(self, tree: Tree) -> None:
        """Nothing, for a flush."""


@dataclasses.dataclass(frozen=True)
class Write(Change):
    offset: int
    data: bytes = dataclasses.field(repr=False)

    def apply(self, tree: Tree) -> None:
        content = tree.content(self.place)
        content.extend(bytes(max(0, self.offset + len(self.data) - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data

    def torn(self) -> list[list[Write]]:
        """Sectors of it: the first half, the second half, every other one."""
        end = self.offset + len(self.data)
        bounds = [self.offset, *range(self.offset // SECTOR * SECTOR + SECTOR, end, SECTOR), end]
        pieces = [
            Write(self.place, start, self.data[start - self.offset : stop - self.offset])
            for start, stop in itertools.pairwise(bounds)
        ]
        half = len(pieces) // 2
        return [pieces[:half], pieces[half:], pieces[::2]] if half else []


@dataclasses.dataclass(frozen=True)
class Hole(Change):
    offset: int
    length: int

    def apply(self, tree: Tree) -> None:
        content = tree.content(self.place)
        end = min(self.offset + self.length, len(content))
        content[self.offset : end] = bytes(max(0, end - self.offset))


@dataclasses.dataclass(frozen=True)
class Size(Change):
    size: int
    may_cut: bool = True

    def apply(self, tree: Tree) -> None:
        content = tree.content(self.place)
        content.extend(bytes(max(0, self.size - len(content))))
        if self.may_cut:
            del content[self.size :]


@dataclasses.dataclass(frozen=True)
class Names(Change):
    """In one folder: a name that goes, and one that leads to an inode from now on."""

    gone: str | None
    new: str | None = None
    inode: int = 0

    def apply(self, tree: Tree) -> None:
        tree.names.pop((self.place, self.gone), None)
        if self.new is not None:
            tree.names[self.place, self.new] = self.inode

    def touches(self, other: Change) -> bool:
        return (
            isinstance(other, Names)
            and self.place == other.place
            and bool({self.gone, self.new} & {other.gone, other.new} - {None})
        )


class Flush(Change): ...


class Tree:
    """The files of a folder and its folders, in memory."""

    def __init__(self, root: Path) -> None:
        self.folders = {root.stat().st_ino: "."}
        self.names: dict[tuple[int, str | None], int] = {}
        self._content: dict[int, bytes | bytearray] = {}
        for path in sorted(root.rglob("*")):
            inode = path.stat().st_ino
            if path.is_dir():
                self.folders[inode] = str(path.relative_to(root))
            else:
                self.names[path.parent.stat().st_ino, path.name] = inode
                self._content[inode] = path.read_bytes()

    def content(self, inode: int) -> bytearray:
        """To be changed: a copy of what it was."""
        content = self._content.get(inode, b"")
        if not isinstance(content, bytearray):
            content = self._content[inode] = bytearray(content)
        return content

    def after(self, changes: list[Change]) -> Tree:
        new = object.__new__(Tree)
        new.folders, new.names = self.folders, dict(self.names)
        new._content = dict(self._content)
        for change in changes:
            change.apply(new)
        return new

    def files(self) -> dict[str, bytes | bytearray]:
        return {
            os.path.normpath(os.path.join(self.folders[folder], name or "")): self._content.get(
                inode, b""
            )
            for (folder, name), inode in self.names.items()
        }

    def digest(self) -> bytes:
        found = hashlib.blake2b()
        for name, content in sorted(self.files().items()):
            found.update(f"{name}\0{len(content)}\0".encode())
            found.update(content)
        return found.digest()

    def store(self, root: Path) -> None:
        """As files; names of one inode are links."""
        shutil.rmtree(root, ignore_errors=True)
        for folder in self.folders.values():
            (root / folder).mkdir(parents=True, exist_ok=True)
        made: dict[int, Path] = {}
        for (folder, name), inode in self.names.items():
            path = root / self.folders[folder] / (name or "")
            if inode in made:
                os.link(made[inode], path)
                continue
            made[inode] = path
            path.write_bytes(self._content.get(inode, b""))
            path.chmod(0o600)


class Recorder:
    """Stands in for what the engine calls to change files."""

    def __init__(self, root: Path) -> None:
        self.changes: list[Change] = []
        self._root = root
        self._lock = threading.RLock()
        self._held: dict[int, int] = {}  # open, so that no inode gets a second life

    @contextlib.contextmanager
    def active(self) -> Iterator[None]:
        for path in self._root.rglob("*"):
            self._hold(path)
        with pytest.MonkeyPatch.context() as patch:
            for name in ("pwrite", "ftruncate", "posix_fallocate", "copy_file_range"):
                self._patch(patch, os, name)
            for name in ("open", "replace", "link", "unlink", "fsync"):
                self._patch(patch, os, name)
            original = files.punch_hole
            for module in list(sys.modules.values()):
                if getattr(module, "punch_hole", None) is original:
                    self._patch(patch, module, "punch_hole")
            yield
        for fd in self._held.values():
            os.close(fd)

    def _patch(self, patch: pytest.MonkeyPatch, owner: t.Any, name: str) -> None:
        original, note = getattr(owner, name), getattr(self, f"_{name}")

        def call(*arguments: t.Any, **options: t.Any) -> t.Any:
            with self._lock:
                return note(original, *arguments, **options)

        patch.setattr(owner, name, call)

    def _inode(self, fd: int) -> int:
        return self._hold(f"/proc/self/fd/{fd}")

    def _hold(self, path: str | Path) -> int:
        inode = os.stat(path).st_ino
        if inode not in self._held:
            self._held[inode] = _OPEN(path, os.O_PATH)  # without the locks of whoever has it open
        return inode

    # What is recorded

    def _pwrite(self, original: t.Any, fd: int, data: t.Any, offset: int) -> int:
        count = original(fd, data, offset)
        self.changes.append(Write(self._inode(fd), offset, bytes(memoryview(data)[:count])))
        return int(count)

    def _ftruncate(self, original: t.Any, fd: int, size: int) -> None:
        original(fd, size)
        self.changes.append(Size(self._inode(fd), size))

    def _posix_fallocate(self, original: t.Any, fd: int, offset: int, length: int) -> None:
        original(fd, offset, length)
        self.changes.append(Size(self._inode(fd), offset + length, may_cut=False))

    def _copy_file_range(
        self, original: t.Any, source: int, fd: int, count: int, start: int, into: int
    ) -> int:
        done = int(original(source, fd, count, start, into))
        self.changes.append(Write(self._inode(fd), into, os.pread(source, done, start)))
        return done

    def _punch_hole(self, original: t.Any, fd: int, offset: int, length: int) -> bool:
        done = bool(original(fd, offset, length))
        if done:
            self.changes.append(Hole(self._inode(fd), offset, length))
        return done

    def _fsync(self, original: t.Any, fd: int) -> None:
        original(fd)
        self.changes.append(Flush(self._inode(fd)))

    # Names

    def _open(self, original: t.Any, path: t.Any, flags: int, *rest: t.Any) -> int:
        is_new = bool(flags & os.O_CREAT) and not os.path.lexists(path)
        fd = int(original(path, flags, *rest))
        if is_new:
            self._names(path, None, path, self._inode(fd))
        return fd

    def _replace(self, original: t.Any, source: t.Any, target: t.Any) -> None:
        inode = os.stat(source).st_ino
        original(source, target)
        assert os.path.dirname(source) == os.path.dirname(target)
        self._names(source, source, target, inode)

    def _link(self, original: t.Any, source: t.Any, target: t.Any) -> None:
        original(source, target)
        self._names(target, None, target, os.stat(source).st_ino)

    def _unlink(self, original: t.Any, path: t.Any) -> None:
        original(path)
        self._names(path, path)

    def _names(self, path: t.Any, gone: t.Any, new: t.Any = None, inode: int = 0) -> None:
        folder = os.stat(os.path.dirname(os.path.abspath(path))).st_ino
        names = [None if name is None else os.path.basename(name) for name in (gone, new)]
        self.changes.append(Names(folder, names[0], names[1], inode))


@dataclasses.dataclass(frozen=True)
class Crash:
    """What had reached the disk: numbers of changes; torn: one of which only sectors had."""

    applied: frozenset[int]
    torn: tuple[int, int] | None = None

    def changes(self, recorded: list[Change]) -> list[Change]:
        found: list[Change] = []
        for number, change in enumerate(recorded):
            if self.torn is not None and number == self.torn[0] and isinstance(change, Write):
                found += change.torn()[self.torn[1]]
            elif number in self.applied:
                found.append(change)
        return found

    def told(self, recorded: list[Change]) -> str:
        lines = []
        for number, change in enumerate(recorded):
            is_torn = self.torn is not None and self.torn[0] == number
            mark = "~" if is_torn else "+" if number in self.applied else " "
            size = f" {len(change.data)} bytes" if isinstance(change, Write) else ""
            lines.append(f"{mark} {number:3} {change}{size}")
        return "\n".join(lines)


def crashes(recorded: list[Change], seed: str) -> list[Crash]:
    """Those after each prefix, and of the others as many as LIMIT allows."""
    generator = random.Random(seed)
    prefixes: dict[Crash, None] = {}
    others: dict[Crash, None] = {}
    ends = [number for number, change in enumerate(recorded) if isinstance(change, Flush)]
    for end in [*ends, len(recorded)]:
        pending = _pending(recorded, end)
        durable = frozenset(range(end)) - frozenset(pending)
        for number in range(len(pending) + 1):
            prefixes[Crash(durable | frozenset(pending[:number]))] = None
        for chosen in _subsets(pending, generator):
            others[Crash(durable | _with_older(recorded, pending, chosen))] = None
        for crash in _torn(recorded, pending, durable):
            others[crash] = None
    rest = [crash for crash in others if crash not in prefixes]
    return [*prefixes, *(generator.sample(rest, LIMIT) if len(rest) > LIMIT else rest)]


def _pending(recorded: list[Change], end: int) -> list[int]:
    """Changes before `end` that no flush has made durable yet."""
    pending: list[int] = []
    for number, change in enumerate(recorded[:end]):
        if isinstance(change, Flush):
            pending = [one for one in pending if recorded[one].place != change.place]
        else:
            pending.append(number)
    return pending


def _subsets(pending: list[int], generator: random.Random) -> Iterator[frozenset[int]]:
    if len(pending) <= FEW:
        for size in range(len(pending) + 1):
            yield from map(frozenset, itertools.combinations(pending, size))
        return
    for number in pending:
        yield frozenset(pending) - {number}
        yield frozenset({number})
    for _sample in range(SAMPLES):
        yield frozenset(number for number in pending if generator.random() < 0.5)


def _with_older(recorded: list[Change], pending: list[int], chosen: frozenset[int]) -> frozenset:
    """A change of a name comes after those which the same name has seen before."""
    found = set(chosen)
    for number in reversed(pending):
        change = recorded[number]
        if number in found and isinstance(change, Names):
            found.update(one for one in pending if one < number and change.touches(recorded[one]))
    return frozenset(found)


def _torn(recorded: list[Change], pending: list[int], durable: frozenset[int]) -> Iterator[Crash]:
    for place, number in enumerate(pending):
        change = recorded[number]
        if isinstance(change, Write):
            for kind in range(len(change.torn())):
                yield Crash(durable | frozenset(pending[:place]), (number, kind))


def replay(folder: Path, operation: Check, check: Check, scratch: Path, seed: str) -> int:
    """check(a copy of the folder) after each crash of operation(folder); how many there were."""
    before = Tree(folder)
    recorder = Recorder(folder)
    with recorder.active():
        operation(folder)
    recorded = recorder.changes
    assert recorded
    assert before.after(recorded).files() == Tree(folder).files()  # nothing has escaped us
    seen: set[bytes] = set()
    for crash in crashes(recorded, seed):
        state = before.after(crash.changes(recorded))
        digest = state.digest()
        if digest in seen:
            continue
        seen.add(digest)
        state.store(scratch / "crashed")
        try:
            check(scratch / "crashed")
        except Exception as error:
            state.store(scratch / "failed")
            raise AssertionError(
                f"{type(error).__name__}: {error}\n"
                f"after this crash (+ on disk, ~ partly):\n{crash.told(recorded)}"
            ) from error
    return len(seen)
