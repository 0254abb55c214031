# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The content of files that may not be readable."""

from __future__ import annotations

import errno
import os
import stat
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 1 << 20
_NO_MORE = errno.ENXIO  # what SEEK_DATA says where there are but holes, lseek(2)
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Unreadable(Exception):
    """Of the source; what it says is why."""


def _pieces(fd: int) -> Iterator[tuple[int, bytes]]:
    """All that an open file stores, and where: a file of a few bytes may have holes of exabytes.
    Raises Unreadable."""
    at = 0
    try:
        while (at := _stored(fd, at)) >= 0:
            end = os.lseek(fd, at, os.SEEK_HOLE)
            while at < end:
                piece = os.pread(fd, min(_CHUNK, end - at), at)
                if not piece:
                    return
                yield at, piece
                at += len(piece)
    except OSError as error:
        raise Unreadable(f"{error.strerror} at byte {at} or soon after") from error


def _stored(fd: int, at: int) -> int:
    """The next byte that is stored, -1 for none. Raises OSError."""
    try:
        return os.lseek(fd, at, os.SEEK_DATA)
    except OSError as error:
        if error.errno == _NO_MORE:
            return -1
        raise


def copy_content(source: int, target: int) -> int:
    """Holes stay holes. How many bytes there are. Raises Unreadable, OSError for the target."""
    size = os.fstat(source).st_size
    os.ftruncate(target, size)  # a file that is too large here shall say so at once
    for at, piece in _pieces(source):
        if piece.count(0) != len(piece):
            view = memoryview(piece)
            while view:
                written = os.pwrite(target, view, at + len(piece) - len(view))
                view = view[written:]
    return size


def same_content(source: int, target: int) -> bool:
    """Byte for byte, of two open files. Raises Unreadable for the source only."""
    there = os.fstat(target)
    if not stat.S_ISREG(there.st_mode) or there.st_size != os.fstat(source).st_size:
        return False
    at = 0
    for start, piece in _pieces(source):
        if not _is_hole(target, at, start) or os.pread(target, len(piece), start) != piece:
            return False
        at = start + len(piece)
    return _is_hole(target, at, there.st_size)


def _is_hole(fd: int, start: int, end: int) -> bool:
    """Whether a range reads as zeros."""
    while start < end:
        at = _stored(fd, start)
        if at < 0 or at >= end:
            return True
        piece = os.pread(fd, min(_CHUNK, end - at), at)
        if not piece or piece.count(0) != len(piece):
            return not piece
        start = at + len(piece)
    return True
