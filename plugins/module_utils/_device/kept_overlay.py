# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""An overlay that outlives its process: what was flushed is there again, also after a crash.

Two files: the grains, in their places in a sparse file, and beside it a log that names them. A
grain is in the log once its content is durable. The log begins with what the base was, since over
any other base the grains would be nonsense.
"""

from __future__ import annotations

import fcntl
import os
import struct
import typing as t
import zlib

from .errors import CorruptDisk, DiskError, DiskInUse, from_oserror
from .extent import Extent, Kind, merge
from .files import File, sync_directory
from .overlay import GRAIN, Overlay

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .device import BlockDevice

LOG_SUFFIX = ".grains"
_MAGIC = b"vdisk-overlay 1\n"
_ENTRY = struct.Struct("<QI")  # the number of a grain, and the CRC of that
_HEAD = 512  # bytes: magic, then the identity of the base


class KeptOverlay(Overlay):
    """`path` is made if it is not there. `identity`: of the base and its content, 400 bytes.

    Raises CorruptDisk where the overlay was made over another base, DiskInUse where another process
    has it.
    """

    def __init__(self, base: BlockDevice, path: str, identity: str) -> None:
        file, self._log = _open(path), _open(path + LOG_SUFFIX)
        self._head = head_of(base.size, identity)
        try:
            _lock(file)
            written = self._logged()
            _require_content(file, base.size if written else 0)
            file.truncate(base.size)
        except BaseException:
            file.close()
            self._log.close()
            raise
        self._unlogged: set[int] = set()
        self._failed: DiskError | None = None
        self._adopt(base, file, written)

    def flush(self) -> None:
        """After one that failed, none succeeds: the kernel tells only once of what it has lost."""
        with self._lock:
            self._store(self._file)
            if self._unlogged:
                entries = (_ENTRY.pack(grain, _check(grain)) for grain in sorted(self._unlogged))
                self._log.write(self._end, data := b"".join(entries))
                self._store(self._log)
                self._end += len(data)
                self._unlogged.clear()

    def _store(self, file: File) -> None:
        if self._failed is not None:
            raise self._failed
        try:
            file.flush()
        except DiskError as error:
            self._failed = error
            raise

    def close(self) -> None:
        self._log.close()
        super().close()

    def written_runs(self) -> Iterator[Extent]:
        """What lives in the overlay, in order, whole grains."""
        grains = (
            Extent(grain * GRAIN, min(GRAIN, self.size - grain * GRAIN), Kind.DATA)
            for grain in sorted(self._written)
        )
        return merge(grains)

    def stored(self, run: Extent) -> Iterator[Extent]:
        """What of a written run takes room, as the file system tells; the rest holds zeros."""
        found = self._file.extents(run.offset, run.end)
        return (extent for extent in found if extent.kind is Kind.DATA)

    def _take(self, grains: range) -> None:
        self._unlogged.update(set(grains) - self._written)
        super()._take(grains)

    def _logged(self) -> set[int]:
        """The grains that were durable; a torn end of the log names none, and is cut off, since
        there may be whole entries in it, which must not be found behind later ones."""
        data = bytes(self._log.read(0, self._log.size))
        if data[:_HEAD] != self._head:
            self._begin(data)
            return set()
        grains = list(_entries(data[_HEAD:]))
        self._end = _HEAD + len(grains) * _ENTRY.size
        self._log.truncate(self._end)
        return set(grains)

    def _begin(self, found: bytes) -> None:
        """A new log; one that a crash kept from having its head is new as well."""
        if found.strip(b"\0") and found != self._head[: len(found)]:
            raise CorruptDisk(
                "this overlay was made over another disk, or another state of it",
                path=self._log.path,
                found=_words(found),
                expected=_words(self._head),
                hint="Give the overlay another place, or delete it, and what was written to it.",
            )
        self._log.truncate(0)
        self._log.write(0, self._head)
        self._log.flush()
        self._end = _HEAD


def head_of(size: int, identity: str) -> bytes:
    """What the log of an overlay begins with."""
    return (_MAGIC + f"{size} {identity}\n".encode()).ljust(_HEAD, b"\0")


def _open(path: str) -> File:
    if os.path.lexists(path):
        return File(path, writable=True)
    file = File.create(path)
    sync_directory(os.path.dirname(os.path.abspath(path)))
    return file


def _require_content(file: File, size: int) -> None:
    """It had its size before the first grain was logged. Raises CorruptDisk."""
    if file.size < size:
        raise CorruptDisk(
            "what was written to this overlay is gone, only its log is there",
            path=file.path,
            found=f"{file.size} bytes",
            expected=f"{size} bytes",
            hint=f"Bring the file back; or delete {file.path}{LOG_SUFFIX} to begin anew.",
        )


def _lock(file: File) -> None:
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DiskInUse("another process writes to this overlay", path=file.path) from None
    except OSError as error:
        raise from_oserror(error, "lock it", file.path) from error


def _entries(data: bytes) -> Iterator[int]:
    """Up to the first that was torn."""
    for grain, check in _ENTRY.iter_unpack(data[: len(data) // _ENTRY.size * _ENTRY.size]):
        if check != _check(grain):
            return
        yield grain


def _check(grain: int) -> int:
    return zlib.crc32(b"grain %d" % grain)


def _words(head: bytes) -> str:
    return head[len(_MAGIC) : _HEAD].rstrip(b"\0\n").decode(errors="replace")
