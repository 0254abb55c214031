# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Files that say by a lock whether their writer lives."""

from __future__ import annotations

import fcntl
import os
import time
import typing as t

from ..._device.errors import from_oserror
from .session import GRACE

# Between creating its file and locking it a writer is for a moment not to be told from a dead one.
UNLOCKED_GRACE = 60  # seconds


def create_locked(path: str) -> int:
    """A new file; the kernel drops its lock when the writer dies. Raises NoSpace, DiskIOError."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise from_oserror(error, "write to the repository", path) from error
    try:
        # Nobody else holds it for longer than a look takes: see _look().
        fcntl.flock(fd, fcntl.LOCK_EX)
    except OSError:  # no locks here: is_abandoned() goes by age
        pass
    return fd


def is_abandoned(path: str) -> bool:
    """Whether its writer is dead for sure, or on a file system without locks for all we know."""
    look = _look(path)
    if look is None or look.locked:
        return False
    if look.locked is None:
        return look.age > GRACE
    return abs(look.age) > UNLOCKED_GRACE  # nor does a clock that ran ahead make it live for years


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
