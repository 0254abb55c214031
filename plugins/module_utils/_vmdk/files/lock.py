# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Keeping others away from a disk that is in use, and seeing theirs."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import os
import time
import typing as t

from ..._device.errors import DiskInUse, from_oserror
from ..._device.transaction_mark import refuse_writing

if t.TYPE_CHECKING:
    from ..._device.files import File

_NO_LOCKS = (errno.EOPNOTSUPP, errno.ENOLCK, errno.ENOSYS, errno.EINVAL)


def lock(file: File, *, exclusive: bool, seconds: float = 0.0) -> None:
    """Hold the file until it is closed; `seconds`: how long to wait for it. Raises DiskInUse; does
    nothing where there are no locks."""
    kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
    try:
        _flock_within(file.fileno(), kind, seconds)
    except BlockingIOError:
        raise DiskInUse(
            "is in use",
            path=file.path,
            found=_loop_over(file.path) or _holder(file.fileno()),
            hint="Wait until that job has ended; unmount the disk if it is mounted (vmdk_mount).",
        ) from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise from_oserror(error, "lock it", file.path) from error


def _flock_within(fd: int, kind: int, seconds: float) -> None:
    end = time.monotonic() + seconds
    while True:
        try:
            return fcntl.flock(fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= end:
                raise
            time.sleep(0.02)


def is_current(file: File) -> bool:
    """Whether the open file is still the one that its name leads to."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(file.path))
    except FileNotFoundError:
        return False


def has_vmware_lock(path: str) -> bool:
    """Whether a VMware product has left its `<file>.lck` folder, with a lock in it."""
    try:
        return bool(os.listdir(f"{path}.lck"))
    except (FileNotFoundError, NotADirectoryError):
        return False


def refuse_claimed(path: str) -> None:
    """Before a disk is changed: raises DiskInUse where a VMware product has it open,
    InvalidRequest where a transaction is pending on it."""
    refuse_writing(path)
    if has_vmware_lock(path):
        raise DiskInUse(
            "a VMware product has the disk open",
            path=path,
            found=f"locks in {path}.lck",
            hint="Shut the virtual machine down; if none runs, remove that folder.",
        )


def _holder(fd: int) -> str | None:
    """The process that took the lock, as far as the kernel tells."""
    inode = os.fstat(fd).st_ino
    try:
        with open("/proc/locks", encoding="ascii") as table:
            for line in table:
                words = line.split()  # "1: FLOCK ADVISORY WRITE pid major:minor:inode 0 EOF"
                if len(words) > 5 and words[1] == "FLOCK" and words[5].endswith(f":{inode}"):
                    return _described(words[4])
    except OSError:
        pass
    return None


def _described(process: str) -> str:
    try:
        with open(f"/proc/{process}/comm", encoding="utf-8", errors="replace") as stream:
            return f"process {process} ({stream.read().strip()})"
    except OSError:
        return f"a child of process {process}, which has ended"


def _loop_over(path: str) -> str | None:
    """What is mounted keeps the lock of a process that has ended."""
    wanted = os.path.realpath(path)
    for place in glob.iglob("/sys/block/loop*/loop/backing_file"):
        with contextlib.suppress(OSError), open(place, errors="surrogateescape") as stream:
            if stream.read().rstrip("\n") == wanted:
                return f"/dev/{place.split('/')[3]} (findmnt tells where it is mounted)"
    return None
