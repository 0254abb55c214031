# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The writes of a transaction: a kept overlay that knows whether it has all of them.

One more file says how it was left. It is made at its full size, so that "a write failed" can be
noted where a full file system was the reason. Another one has checksums of what was closed.
"""

from __future__ import annotations

import os
import stat
import typing as t
import zlib

from .errors import CorruptDisk, DiskError, DiskExists, InvalidRequest
from .extent import Kind
from .files import File, remove_if_there, sync_directory, write_durably
from .grain_sums import SUMS_SUFFIX, make_sums, note_sums, require_sums
from .kept_overlay import LOG_SUFFIX, KeptOverlay, head_of
from .memory import ZeroDevice

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .device import BlockDevice, Buffer

USE_SUFFIX = ".use"
BEFORE_SUFFIX = ".before"  # see _job/transaction/before.py
_USE_BYTES = 512  # one sector: written whole or not at all
_CLOSED, _OPEN, _FAILED = "closed", "open", "failed"


class TransactionOverlay(KeptOverlay):
    """Owns the base. Its files are there: see make_overlay().

    Raises CorruptDisk where they are not what they were, DiskInUse, InvalidRequest where writes
    have failed before.
    """

    def __init__(self, base: BlockDevice, path: str, identity: str) -> None:
        require_overlay(path, base.size, identity)
        refuse_failed(path)
        super().__init__(base, path, identity)
        # What a killed one has written is known to nobody.
        self._unsummed = set() if _use_of(path)[0] == _CLOSED else set(self._written)
        self._path = path
        try:
            self._use = File(path + USE_SUFFIX, writable=True)
            self._note(_OPEN, "")
        except BaseException:
            self._log.close()
            self._file.close()
            raise
        self._has_failed = False

    def write(self, offset: int, data: Buffer) -> None:
        self._noting(lambda: super(TransactionOverlay, self).write(offset, data))

    def zero(self, offset: int, length: int) -> None:
        self._noting(lambda: self._zero(offset, length))

    def _zero(self, offset: int, length: int) -> None:
        """Trimming names all that is free; what is zeros already takes no note."""
        with self._lock:
            for extent in list(self.extents(offset, length)):
                if extent.kind is not Kind.ZERO:
                    super().zero(extent.offset, extent.length)

    def flush(self) -> None:
        self._noting(super().flush)

    def _noting(self, change: Callable[[], None]) -> None:
        """Whoever wrote may never hear of what fails: the kernel writes later."""
        try:
            change()
        except Exception as error:
            if not self._has_failed:
                self._has_failed = True
                self._note(_FAILED, str(error))
            raise

    def _note(self, state: str, words: str) -> None:
        text = f"{state} {words}\n".encode()[: _USE_BYTES - 1]
        self._use.write(0, text.ljust(_USE_BYTES, b"\0"))
        self._use.flush()

    def close(self) -> None:
        """Leaves the word that all is there. A second call does nothing."""
        if self._use.fileno() >= 0:
            try:
                if not self._has_failed:
                    self.flush()
                    note_sums(self, self._path, self._unsummed)
                    self._note(_CLOSED, _sum_of(self._log))
            finally:
                self._use.close()
                super().close()

    def _take(self, grains: range) -> None:
        self._unsummed.update(grains)
        super()._take(grains)


def make_overlay(path: str, size: int, identity: str) -> None:
    """The files of a new overlay, durable. `identity` begins with who made it, up to a blank.

    What a killed one of the same maker has left goes. Raises DiskExists, NoSpace.
    """
    log = path + LOG_SUFFIX
    remove_overlay(path, identity)
    for there in (path, log, path + SUMS_SUFFIX):
        if os.path.lexists(there):
            raise DiskExists(
                "is already there, and no transaction of this disk has left it",
                path=there,
                hint="Say another place for the transaction (option overlay), or remove that.",
            )
    write_durably(log, head_of(size, identity))
    with File.create(path) as file:
        file.truncate(size)
        file.flush()
    make_sums(path, size)
    empty = zlib.crc32(head_of(size, identity))
    note = f"{_CLOSED} {len(head_of(size, identity))} {empty:08x}\n".encode()
    write_durably(path + USE_SUFFIX, note.ljust(_USE_BYTES, b"\0"))
    sync_directory(os.path.dirname(os.path.abspath(path)))


def remove_overlay(path: str, identity: str) -> None:
    """Delete what is this overlay, and nothing else; the log, which proves it, goes last."""
    log = path + LOG_SUFFIX
    if not _is_leftover(log, identity):
        return
    folder = os.path.dirname(os.path.abspath(path))
    for suffix in (BEFORE_SUFFIX, USE_SUFFIX, SUMS_SUFFIX, ""):
        remove_if_there(path + suffix)
    sync_directory(folder)
    remove_if_there(log)
    sync_directory(folder)


def settled(path: str, size: int, identity: str) -> KeptOverlay:
    """The overlay of a transaction that is to be committed, over nothing; locked.

    Raises CorruptDisk, DiskInUse, and InvalidRequest where it does not have all that was written.
    """
    require_overlay(path, size, identity)
    overlay = KeptOverlay(ZeroDevice(size), path, identity)
    try:
        refuse_failed(path)
        if _use_of(path)[0] != _CLOSED:
            raise InvalidRequest(
                "was not closed in order, so what was written last may be missing",
                path=path,
                hint="Mount it again with transaction: true, look whether all is well, unmount it,"
                " and commit then; or discard it.",
            )
        require_sums(overlay, path)
    except BaseException:
        overlay.close()
        raise
    return overlay


def refuse_failed(path: str) -> None:
    """Raises InvalidRequest: what the guest's file system believes to be there is not."""
    state, words = _use_of(path)
    if state == _FAILED:
        raise InvalidRequest(
            "writes to this transaction have failed, so it is not whole and never will be",
            path=path,
            found=words,
            hint="Discard it (vmdk_mount with state: discarded), make room, and do it again.",
        )


def require_overlay(path: str, size: int, identity: str) -> None:
    """Raises CorruptDisk where its files are not those that were made, or left in order."""
    for suffix in ("", LOG_SUFFIX, USE_SUFFIX, SUMS_SUFFIX):
        _require_plain(path, path + suffix)
    with File(path + LOG_SUFFIX) as log:
        start = bytes(log.read(0, min(log.size, len(head_of(size, identity)))))
        if start != head_of(size, identity):
            raise _damaged(path, f"another head in {log.path}")
        state, words = _use_of(path)
        # Another run may have opened it between the two.
        if state == _CLOSED and words != _sum_of(log) and (state, words) == _use_of(path):
            raise _damaged(path, f"another log than was closed in {log.path}")
    with File(path) as file:
        if file.size < size:
            raise _damaged(path, f"{file.size} of {size} bytes")


def _require_plain(path: str, part: str) -> None:
    try:
        is_ours = _is_ours(part)
    except FileNotFoundError:
        raise _damaged(path, f"no {part}") from None
    if not is_ours:
        raise _damaged(path, f"{part} that is no plain file of ours")


def _is_ours(part: str) -> bool:
    """A plain file of somebody who may write to all of its folder. Raises FileNotFoundError."""
    found, folder = os.lstat(part), os.stat(os.path.dirname(os.path.abspath(part)))
    owners = (0, os.geteuid(), folder.st_uid)
    return stat.S_ISREG(found.st_mode) and found.st_uid in owners and found.st_nlink == 1


def _use_of(path: str) -> tuple[str, str]:
    with File(path + USE_SUFFIX) as file:
        text = bytes(file.read(0, min(file.size, _USE_BYTES))).rstrip(b"\0\n")
    state, blank, words = text.decode(errors="replace").partition(" ")
    if state not in (_CLOSED, _OPEN, _FAILED) or not blank:
        raise _damaged(path, f"nonsense in {path + USE_SUFFIX}")
    return state, words


def _sum_of(log: File) -> str:
    return f"{log.size} {zlib.crc32(log.read(0, log.size)):08x}"


def _is_leftover(log: str, identity: str) -> bool:
    """Whether the log is of an overlay of the same maker."""
    maker = identity.split(" ", 1)[0]
    try:
        if not _is_ours(log):
            return False
        with File(log) as file:
            words = bytes(file.read(0, min(file.size, 512))).split(b"\n")
    except (DiskError, FileNotFoundError):
        return False
    return len(words) > 1 and words[1].split(b" ")[1:2] == [maker.encode()]


def _damaged(path: str, found: str) -> CorruptDisk:
    return CorruptDisk(
        "the overlay of this transaction is damaged, nothing of it was applied",
        path=path,
        found=found,
        expected="what the transaction has left",
        hint="Bring its files back; or discard the transaction (vmdk_mount, state: discarded).",
    )
