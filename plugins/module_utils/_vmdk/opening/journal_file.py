# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The journal of an interrupted job as a file: whose it may be, and what it may name.

Whoever opens the disk does what the journal says, often as root. So it counts only where nobody
but root, ourselves or the owner of the folder can have written it, and it names only plain names
of files of disks in that very folder.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import fcntl
import itertools
import json
import os
import stat
import time
import typing as t

from ..._device.errors import CorruptDisk, DiskInUse, InvalidRequest, UnsafePath, from_oserror
from ..._device.files import (
    TEMPORARY_SUFFIX,
    File,
    remove_if_there,
    replace_durably,
    sync_directory,
)
from ..._device.planted import Obeyed
from ..files.paths import folder_of

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX = ".vdisk-journal"
MAX_BYTES = 16 << 20  # new metadata of a disk of 62 TiB takes 5 MB: two descriptors in base64
_LISTS = ("finished", "removed", "see")
_OURS = Obeyed(
    "is a journal that anybody could have put there, so nothing is done that it says",
    "If a job of yours was interrupted, give the file to root; else remove it.",
)
_NOT_THERE = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_PATIENCE = 60  # seconds for another job to get through its journal
_DISK_FILES = (".vmdk", ".vdisk-journal", ".vdisk-commit")


class Steps(t.NamedTuple):
    """What a journal lists, in the order in which it is done. Plain names in the disk's folder.

    see: disks whose journals come first; this one is only the pointer to them.
    """

    see: list[str]
    finished: list[str]
    renamed: list[list[str]]
    edited: list[list[str]]  # name, old text, new text: both in base64
    removed: list[str]

    def told(self) -> str:
        """For messages: what there is to do."""
        parts = [f"finish {name}" for name in (*self.see, *self.finished)]
        parts += [f"rename {old} to {new}" for old, new in self.renamed]
        parts += [f"edit {edit[0]}" for edit in self.edited]
        parts += [f"remove {name}" for name in self.removed]
        return ", ".join(parts[:8]) + (", ..." if len(parts) > 8 else "")


DONE = Steps([], [], [], [], [])


# Names


def check_steps(disk: str, steps: Steps) -> None:
    """Raises UnsafePath for a name that no journal of this disk may hold, whoever wrote it.

    Renaming and committing touch other disks of the folder too, so a name is one of this disk
    (its stem, then - or .) or else ends as the files of disks do.
    """
    edited = [edit[0] for edit in steps.edited]
    acted_on = (*steps.finished, *itertools.chain(*steps.renamed), *edited, *steps.removed)
    for name in (*steps.see, *acted_on):  # what is only seen has a journal of its own to pass
        if not (_is_plain_name(name) if name in steps.see else may_name(disk, name)):
            raise UnsafePath(
                f"its journal names {name!r}",
                path=disk,
                expected=f"a file of a disk in {folder_of(disk)}",
                hint=f"If no job of yours was interrupted, remove {disk + SUFFIX}.",
            )
    folder = folder_of(disk)
    for name in (*(name + TEMPORARY_SUFFIX for name in steps.finished), *edited):
        _require_plain(os.path.join(folder, name))


def may_name(disk: str, name: str) -> bool:
    """Whether a journal of this disk may name the file."""
    own = os.path.basename(disk)
    stem = os.path.splitext(own)[0]
    ours = name == own or name.startswith((f"{stem}-", f"{stem}."))
    return _is_plain_name(name) and (ours or name.lower().endswith(_DISK_FILES))


def _is_plain_name(name: str) -> bool:
    return os.sep not in name and "\0" not in name and name not in ("", os.curdir, os.pardir)


def _require_plain(path: str) -> None:
    """What gets a disk's name, or is written to, is no link to a file elsewhere."""
    if os.path.lexists(path) and not stat.S_ISREG(os.lstat(path).st_mode):
        raise UnsafePath(
            "is no plain file, and the journal of an interrupted job names it",
            path=path,
            hint="Find out who put it there, and remove it.",
        )


# Writing


@contextlib.contextmanager
def written(disk: str, steps: Steps) -> Iterator[None]:
    """The journal is durable, and within the block no other process acts on it.

    Raises UnsafePath, NoSpace; then there is none.
    """
    check_steps(disk, steps)
    data = json.dumps(steps._asdict(), indent=1).encode()
    if len(data) > MAX_BYTES:
        raise InvalidRequest("too much for one step", path=disk, found=f"{len(data)} bytes to note")
    path = disk + SUFFIX
    temporary = path + TEMPORARY_SUFFIX
    remove_if_there(temporary)
    with File.create(temporary) as file:
        try:
            with contextlib.suppress(OSError):  # file systems without owners
                os.fchmod(file.fileno(), 0o644)  # others may read what they have to wait for
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)  # finish() elsewhere waits for us
            file.write(0, data)
            file.flush()
            _sync_names(disk)  # the finished files that it names are there no later than itself
            replace_durably(temporary, path)
        except BaseException:
            if not os.path.lexists(path):
                remove_if_there(temporary)
            raise
        yield


def _sync_names(disk: str) -> None:
    try:
        sync_directory(folder_of(disk))
    except OSError as error:
        raise from_oserror(error, "flush its folder", disk) from error


# Reading


@contextlib.contextmanager
def pending(disk: str) -> Iterator[Steps | None]:
    """The steps of a journal that waits, locked within the block; None where there is none.

    DONE where another job was faster. Raises UnsafePath, CorruptDisk, DiskInUse.
    """
    path = disk + SUFFIX
    try:
        # A pipe must not make us wait, nor a link lead us elsewhere.
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in _NOT_THERE:
            yield None
            return
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise _OURS.refusal(path, "a link or a socket") from None
        raise from_oserror(error, "read the journal of an interrupted job", path) from error
    try:
        _OURS.require_ours(path, os.fstat(fd))
        _lock(fd, path)
        if not os.fstat(fd).st_nlink:  # somebody else has just finished it
            yield DONE
            return
        steps = _parse(path, fd)
        check_steps(disk, steps)
        yield steps
    finally:
        os.close(fd)


def _lock(fd: int, path: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise DiskInUse("another job is still busy with it", path=path) from None
            time.sleep(0.01)
        except OSError as error:
            raise from_oserror(error, "lock it", path) from error


def _parse(path: str, fd: int) -> Steps:
    try:
        with open(fd, "rb", closefd=False) as stream:
            data = stream.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise ValueError("too long for a journal")
        return _steps(json.loads(data))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError):
        raise CorruptDisk(
            "this journal of an interrupted job cannot be read",
            path=path,
            hint="Check the files of the disk, then remove the journal.",
        ) from None


def _steps(plan: t.Any) -> Steps:
    steps = Steps(
        **{key: [str(name) for name in plan.get(key, [])] for key in _LISTS},
        renamed=[[str(old), str(new)] for old, new in plan.get("renamed", [])],
        edited=[list(map(str, (name, a, b))) for name, a, b in plan.get("edited", [])],
    )
    pairs = itertools.chain(*steps.renamed, *(edit[:1] for edit in steps.edited))
    if "\0" in "".join([*steps.see, *steps.finished, *steps.removed, *pairs]):
        raise ValueError("no file has such a name")
    for _name, old, new in steps.edited:
        decoded(old), decoded(new)
    return steps


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def decoded(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
