# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How a file looks beside its content: owner, mode, times, access lists and attributes."""

from __future__ import annotations

import errno
import os
import stat
import typing as t

_SET_ID = stat.S_ISUID | stat.S_ISGID
_CAPABILITY = "security.capability"
_KEPT = ("user.", "system.posix_acl_")
_NONE = (errno.ENOTSUP, errno.ENODATA, errno.EINVAL)


class Looks(t.NamedTuple):
    """Owner and times are None where they are not to be kept."""

    mode: int
    owner: tuple[int, int] | None
    mtime_ns: int
    attributes: tuple[tuple[str, bytes], ...]

    def apply(self, fd: int) -> str | None:
        """Give them to an open file or folder; in words what it cannot have. Raises OSError."""
        problem = None
        if self.owner is not None:
            os.fchown(fd, *self.owner)
        os.fchmod(fd, self.mode)
        for name, value in self.attributes:
            try:
                os.setxattr(fd, name, value)
            except OSError as error:
                if error.errno not in _NONE:
                    raise
                problem = f"attribute {name} cannot be kept here: {error.strerror}"
        os.utime(fd, ns=(self.mtime_ns, self.mtime_ns))
        return problem

    def matches(self, fd: int) -> bool:
        """Whether a file has them already."""
        info = os.fstat(fd)
        return (
            stat.S_IMODE(info.st_mode) == self.mode
            and (self.owner is None or (info.st_uid, info.st_gid) == self.owner)
            and info.st_mtime_ns == self.mtime_ns
            and set(self.attributes) <= set(_attributes(fd, privileged=True))
        )


def looks_of(fd: int, *, keep_owner: bool, privileged: bool) -> Looks:
    """privileged: also what lets a program do more than who starts it, but not in the name of an
    owner that it did not have. Raises OSError."""
    info = os.fstat(fd)
    mode = stat.S_IMODE(info.st_mode)
    return Looks(
        mode if (privileged and keep_owner) or stat.S_ISDIR(info.st_mode) else mode & ~_SET_ID,
        (info.st_uid, info.st_gid) if keep_owner else None,
        info.st_mtime_ns,
        tuple(_attributes(fd, privileged=privileged)),
    )


def _attributes(fd: int, *, privileged: bool) -> list[tuple[str, bytes]]:
    def is_kept(name: str) -> bool:
        return name.startswith(_KEPT) or (privileged and name == _CAPABILITY)

    try:
        return [(name, os.getxattr(fd, name)) for name in sorted(filter(is_kept, os.listxattr(fd)))]
    except OSError:  # a file system without any
        return []
