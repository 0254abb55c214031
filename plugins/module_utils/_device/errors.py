# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Everything that can go wrong with a disk, one class per fact."""

from __future__ import annotations

import errno
import os


class DiskError(Exception):
    """Base of all errors of this collection.

    The text is made for a tired operator: which file, at which byte, what was found, what was
    expected, and what to do about it. The parts stay available for programs.
    """

    def __init__(
        self,
        message: str,
        *,
        path: str | os.PathLike[str] | None = None,
        offset: int | None = None,
        found: object = None,
        expected: object = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.path = None if path is None else os.fspath(path)
        self.offset = offset
        self.found = found
        self.expected = expected
        self.hint = hint

    def __str__(self) -> str:
        text = self.message if self.path is None else f"{self.path}: {self.message}"
        if self.offset is not None:
            text += f" at byte {self.offset}"
        if self.found is not None:
            text += f", found {self.found}"
        if self.expected is not None:
            text += f", expected {self.expected}"
        text += "" if text.endswith((".", "!", "?")) else "."
        return f"{text} {self.hint}" if self.hint else text

    def facts(self) -> dict[str, object]:
        """The parts of the message that are set, for a module's result."""
        names = ("path", "offset", "found", "expected", "hint")
        parts = {name: getattr(self, name) for name in names}
        return {
            "kind": type(self).__name__,
            **{
                name: value if isinstance(value, int) else str(value)
                for name, value in parts.items()
                if value is not None
            },
        }


class DiskNotFound(DiskError):
    """The disk, or a file it consists of, is not there."""


class DiskExists(DiskError):
    """Something is already where a new disk should go."""


class NotADisk(DiskError):
    """What was named is not a virtual disk."""


class UnsupportedDisk(DiskError):
    """The disk is known to be good but of a kind that this operation does not handle."""


class CorruptDisk(DiskError):
    """The disk contradicts itself or its format."""


class TruncatedDisk(CorruptDisk):
    """A file of the disk ends before its content does."""


class MissingLink(DiskNotFound):
    """A parent in the chain of a child disk is not there."""


class ChainMismatch(DiskError):
    """A child and its parent do not belong together (any more)."""


class DiskInUse(DiskError):
    """Somebody else has the disk open."""


class UnsafePath(DiskError):
    """A disk names a file outside its own folder."""


class ReadOnlyDisk(DiskError):
    """A write to something that cannot be written."""


class OutOfRange(DiskError):
    """An access beyond the end of a disk."""


class NoSpace(DiskError):
    """The file system is too full."""


class DiskIOError(DiskError):
    """The operating system refused a file operation."""


class InvalidRequest(DiskError):
    """The caller asks for something that cannot be."""


class DigestMismatch(DiskError):
    """Content is not what it was proven to be."""


class BadReference(InvalidRequest):
    """A string that names no kind of disk."""


class TransportUnavailable(DiskError):
    """A road to a disk is closed."""


class MissingLibrary(DiskError):
    """A Python library that this road needs is not installed."""


class MissingTool(DiskError):
    """A program that this road needs is not installed."""


class MountFailed(DiskError):
    """A volume could not be mounted or unmounted."""


class RepositoryNotFound(DiskError):
    """There is no repository at that place."""


class RepositoryDamaged(DiskError):
    """The repository contradicts itself."""


class ObjectLocked(DiskError):
    """The store keeps an object: it cannot be deleted (yet)."""


class WrongKey(DiskError):
    """Nothing opens with what was given: no repository, no encrypted volume."""


class RestorePointNotFound(DiskError):
    """The repository has no such restore point."""


class AmbiguousRestorePoint(DiskError):
    """More than one restore point answers to that name."""


class AccessDenied(DiskError):
    """A server does not know the account, or does not allow it to do that."""


class ServerUnreachable(DiskError):
    """A server does not answer, or is not what it should be."""


class UntrustedCertificate(ServerUnreachable):
    """A server cannot prove that it is who it should be."""


class ObjectNotFound(DiskError):
    """vSphere's inventory holds no such object."""


class VSphereFault(DiskError):
    """vSphere refuses a request, for a reason that no other class names."""


class NoFreeSlot(DiskError):
    """A virtual machine has no place for one more disk."""


def from_oserror(error: OSError, action: str, path: str | os.PathLike[str]) -> DiskError:
    """The DiskError that says what an OSError means for a disk."""
    reason = error.strerror or str(error)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "Free some space there, or choose another place; nothing was replaced."
        return NoSpace(f"no space left to {action}", path=path, hint=hint)
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return DiskNotFound(f"cannot {action}: {reason}", path=path)
    if error.errno == errno.EEXIST:
        return DiskExists(f"cannot {action}: {reason}", path=path)
    if error.errno in (errno.EBUSY, errno.ETXTBSY):
        return DiskInUse(f"cannot {action}: it is mounted, or otherwise in use", path=path)
    if error.errno == errno.EISDIR:
        return NotADisk(f"cannot {action}: it is a directory", path=path)
    if error.errno == errno.EROFS:
        return ReadOnlyDisk(f"cannot {action}: {reason}", path=path)
    return DiskIOError(f"cannot {action}: {reason}", path=path)
