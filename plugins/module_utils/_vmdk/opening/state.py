# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Whether the files of a link are still what they were: how, and when that can be trusted."""

from __future__ import annotations

import contextlib
import os
import stat
import time
import typing as t

from ..._device.errors import from_oserror

if t.TYPE_CHECKING:
    from .disk import Link

# A write so soon after the last one may get the same time stamp (2 s on FAT, ticks elsewhere).
SETTLED = 2_000_000_000  # nanoseconds
# Who has mapped a file writes to a page again and again without a trace, until the kernel has
# written it to disk: by default within a minute, on a laptop ten (vm.dirty_expire_centisecs).
_MAPPED = 3600 * 1_000_000_000


class FileState(t.NamedTuple):
    """What changes whenever a file does. touch(1) can set back mtime, but not ctime."""

    path: str
    inode: int
    size: int
    modified: int  # nanoseconds, like the next one
    changed: int


def files_state(link: Link) -> tuple[FileState, ...] | None:
    """Of all files of an open link; None where a part of it is no regular file.

    Raises DiskIOError, DiskNotFound for an extent that is not open just now.
    """
    held: dict[str, int | str] = {link.path: link.store.file.fileno()}
    for (_line, path), part in zip(link.extents, link.parts, strict=True):
        if path is not None:
            file = getattr(part, "file", None)
            held.setdefault(path, path if file is None else file.fileno())
    found = [_state(path, handle) for path, handle in held.items()]
    states = tuple(state for state in found if state is not None)
    return states if len(states) == len(found) else None


def _state(path: str, handle: int | str) -> FileState | None:
    try:
        seen = os.stat(handle)
        if stat.S_ISREG(seen.st_mode) and time.time_ns() - seen.st_mtime_ns < _MAPPED:
            _flush(handle)
    except OSError as error:
        raise from_oserror(error, "look at it", path) from error
    if not stat.S_ISREG(seen.st_mode):  # what a device holds changes without a trace
        return None
    return FileState(
        os.path.realpath(path), seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns
    )


def _flush(handle: int | str) -> None:
    """From now on every write through a mapping changes mtime again."""
    fd = os.open(handle, os.O_RDONLY | os.O_CLOEXEC) if isinstance(handle, str) else handle
    try:
        with contextlib.suppress(OSError):  # a read-only file system: nobody writes
            os.fsync(fd)
    finally:
        if fd != handle:
            os.close(fd)


def is_settled(files: tuple[FileState, ...], now: int) -> bool:
    """Whether every later write will show; `now` is when reading began, in nanoseconds."""
    return all(max(file.modified, file.changed) <= now - SETTLED for file in files)
