# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A folder in /run for what one process of ours leaves to the next, and the right to change it."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import time
import typing as t

from .._device.errors import MountFailed

if t.TYPE_CHECKING:
    from collections.abc import Iterator

RUN_DIRECTORY = "/run/vdisk-lifecycle"  # VDISK_RUN_DIR says another
_GLANCE_SECONDS = 0.2  # what was killed a moment ago has let go by then
_LOCK_SECONDS = 300  # as long as another run may take to mount or unmount


class LockedFolder:
    """Being inside locked() gives the right to change it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = os.path.basename(path)

    def is_empty(self) -> bool:
        """Whether nothing was made, or is left."""
        raise NotImplementedError

    def clear(self) -> None:
        """Remove what is in it, the journal last."""
        raise NotImplementedError

    @contextlib.contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[bool]:
        """Keep other runs out; the folder is made if need be.

        False: another run has it, and we did not want to wait. Raises MountFailed.
        """
        end = time.monotonic() + (_LOCK_SECONDS if wait else _GLANCE_SECONDS)
        fd = self._try_lock()
        while fd is None and time.monotonic() < end:
            time.sleep(0.02)
            fd = self._try_lock()
        if fd is None and wait:
            reason = f"another run has been busy with it for {_LOCK_SECONDS} seconds"
            raise MountFailed(reason, path=self.path)
        try:
            yield fd is not None
        finally:
            if fd is not None:
                if self.is_empty():
                    self.clear()
                    remove_directory(self.path)
                os.close(fd)

    def _try_lock(self) -> int | None:
        """A lock on the folder itself, unless it was removed meanwhile."""
        # It may be removed between any two of these calls; makedirs() stumbles over that as well.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            make_directory(self.path)
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(fd), os.stat(self.path)):
                    return fd
            except (BlockingIOError, FileNotFoundError):
                pass
            os.close(fd)
        return None


def make_directory(path: str) -> None:
    """Make it with its parents if need be, for its owner alone. Raises MountFailed."""
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        raise MountFailed(
            f"this user cannot make the folder for the state of mounts: {error.strerror}",
            path=path,
            hint="Run this as root (become: true), or name a folder of your own in VDISK_RUN_DIR.",
        ) from error


def remove_directory(path: str) -> None:
    """Remove it if it is there and empty."""
    with contextlib.suppress(OSError):
        os.rmdir(path)


def run_directory(kind: str) -> str:
    """Where the folders of one kind are. Users who are not root have a place of their own."""
    named = os.environ.get("VDISK_RUN_DIR")
    if named is None and os.geteuid():
        own = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
        named = os.path.join(own, "vdisk-lifecycle")
    base = os.path.abspath(named or RUN_DIRECTORY)
    _require_ours(base)
    return os.path.join(base, kind)


def _require_ours(path: str) -> None:
    """Raises MountFailed where others could put journals, which say what to unmount and to end."""
    for look in (os.lstat, os.stat):
        try:
            status = look(path)
        except OSError:  # not there yet, or told by whoever opens it
            return
        for_all = status.st_mode & stat.S_IWOTH and not stat.S_ISLNK(status.st_mode)
        if for_all or status.st_uid not in (0, os.geteuid()):
            raise MountFailed(
                "the state of mounts is not kept where others can write",
                path=path,
                hint="Name a folder of your own in VDISK_RUN_DIR.",
            )


def name_of(what: str) -> str:
    """The name of the folder for a path, or whatever else there is one of."""
    return hashlib.sha256(os.fsencode(what)).hexdigest()[:16]
