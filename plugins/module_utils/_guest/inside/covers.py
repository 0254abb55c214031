# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Files that the guest sees for the time of a command, and that never get into its image."""

from __future__ import annotations

import fcntl
import os
import stat
import typing as t

from .kernel import BIND, Refused, detach, mount


class Cover(t.NamedTuple):
    """A file of the guest with another in front of it. A missing one is made for that: empty,
    without any permission, which no program takes for a file of its own. All who use it hold a
    lock; the last one removes it, also what a killed one has left."""

    path: str
    fd: int

    def lift(self) -> None:
        """Leave the guest as it was."""
        try:
            detach(self.path)
            fcntl.flock(self.fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(self.fd), os.lstat(self.path)):
                os.unlink(self.path)
        except OSError:  # somebody else uses it, or it is gone
            pass
        finally:
            os.close(self.fd)


def cover(path: str, content: bytes, mode: int) -> list[Cover]:
    """Let the guest read `content` there; what has to be lifted afterwards. Raises Refused."""
    place = os.path.realpath(path)  # our root is the guest's
    if place.startswith(("/dev/", "/proc/", "/sys/")):
        raise Refused(f"{path} of the guest is a link to {place}. Remove it from outside first.")
    source = place if place.startswith("/run/") else f"/run/vdisk/{os.path.basename(path)}"
    try:
        os.makedirs(os.path.dirname(source), exist_ok=True)
        with open(source, "wb") as stream:
            stream.write(content)
        os.chmod(source, mode)
        if source == place:
            return []
        held = _placeholder(place)
        mount(source, place, "", BIND)
    except OSError as error:
        hint = "Mount the disk read-write, or do without ansible_vmdk_network."
        raise Refused(f"{path} cannot be provided: {error.strerror}. {hint}") from None
    return [] if held is None else [Cover(place, held)]


def _placeholder(path: str) -> int | None:
    """The lock on what is ours; None where the guest has a file of its own."""
    while True:
        if os.path.lexists(path) and not _is_placeholder(os.lstat(path)):
            return None
        fd = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0)
        fcntl.flock(fd, fcntl.LOCK_SH)
        if os.fstat(fd).st_nlink:
            return fd
        os.close(fd)  # its last user removed it just now


def _is_placeholder(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and not status.st_size and not status.st_mode & 0o7777
