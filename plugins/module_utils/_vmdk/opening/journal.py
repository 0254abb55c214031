# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Changing several files as one: a list of steps that survives a crash."""

from __future__ import annotations

import contextlib
import errno
import os
import typing as t

from ..._device.errors import CorruptDisk, DiskError, ReadOnlyDisk, from_oserror
from ..._device.files import TEMPORARY_SUFFIX, remove_if_there, sync_directory
from ..files.paths import folder_of
from .descriptor_edit import Edit, store_edit
from .journal_file import DONE, SUFFIX, Steps, decoded, encoded, pending, written

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["SUFFIX", "commit", "finish", "pointer"]
_NOT_WRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM)


def commit(
    disk: str,
    finished: Sequence[str] = (),
    removed: Sequence[str] = (),
    *,
    renamed: Sequence[tuple[str, str]] = (),
    edits: Sequence[Edit] = (),
) -> None:
    """Give the files `finished` their names, rename, edit, remove, in that order, all or none.

    Each finished file waits, flushed, as `<name>.vdisk-tmp`. Paths lie in the disk's folder. The
    caller holds the locks of what it edits.
    """

    def name(path: str) -> str:
        return os.path.relpath(path, folder_of(disk))

    steps = Steps(
        see=[],
        finished=[name(path) for path in finished],
        renamed=[[name(old), name(new)] for old, new in renamed],
        edited=[[name(edit.path), encoded(edit.old), encoded(edit.new)] for edit in edits],
        removed=[name(path) for path in removed],
    )
    with written(disk, steps):
        _apply(disk, steps)


@contextlib.contextmanager
def pointer(disk: str, other: str) -> Iterator[None]:
    """Within the block, opening `disk` finishes the journal of `other`, in the same folder."""
    steps = Steps([os.path.relpath(other, folder_of(disk))], [], [], [], [])
    with written(disk, steps):
        pass
    try:
        yield
    finally:
        if not os.path.exists(other + SUFFIX):
            remove_if_there(disk + SUFFIX)


def finish(disk: str) -> bool:
    """Complete what a killed job had committed. False, the normal case: there was nothing.

    Raises UnsafePath for a journal that a stranger may have written, CorruptDisk, DiskInUse, and
    ReadOnlyDisk, which says what waits, where nothing can be changed.
    """
    return _finish(disk, may_lead_on=True)


def _finish(disk: str, *, may_lead_on: bool) -> bool:
    disk = os.path.realpath(disk)  # beside a link, a stranger could write what is done elsewhere
    with pending(disk) as steps:
        if steps is None:
            return False
        if steps is DONE:
            return True
        if steps.see and not may_lead_on:
            raise CorruptDisk("journals that lead to each other", path=disk + SUFFIX)
        try:
            _apply(disk, steps)
        except DiskError as error:
            cause = error.__cause__
            if isinstance(cause, OSError) and cause.errno in _NOT_WRITABLE:
                raise _waits(disk, steps, cause) from cause
            raise
    return True


def _waits(disk: str, steps: Steps, cause: OSError) -> ReadOnlyDisk:
    return ReadOnlyDisk(
        f"an interrupted job must be finished first, which fails: {cause.strerror}",
        path=disk,
        found=f"{disk + SUFFIX}, which says: {steps.told()}",
        hint="Open the disk once where its folder can be written, and as a user who may.",
    )


def _apply(disk: str, steps: Steps) -> None:
    """Every step may have been done before."""
    folder = folder_of(disk)

    def place(name: str) -> str:
        return os.path.join(folder, name)

    finished = [place(name) for name in steps.finished]
    renamed = [(place(old), place(new)) for old, new in steps.renamed]
    for name in steps.see:
        _finish(place(name), may_lead_on=False)
    for old, new in [*((path + TEMPORARY_SUFFIX, path) for path in finished), *renamed]:
        _rename(old, new)
    _sync(disk)
    for name, before, after in steps.edited:
        if os.path.exists(place(name)):
            store_edit(Edit(place(name), decoded(before), decoded(after)))
    for name in steps.removed:
        remove_if_there(place(name))
    if steps.removed:
        _sync(disk)  # or the journal might be gone first
    remove_if_there(disk + SUFFIX)
    _sync(disk)


def _rename(old: str, new: str) -> None:
    try:
        os.replace(old, new)
    except FileNotFoundError:
        _require(new)
    except OSError as error:
        raise from_oserror(error, "move the finished file into place", new) from error


def _sync(disk: str) -> None:
    try:
        sync_directory(folder_of(disk))
    except OSError as error:
        raise from_oserror(error, "flush its folder", disk) from error


def _require(path: str) -> None:
    if not os.path.exists(path):
        raise DiskError(
            "is missing: an interrupted job had finished it",
            path=path,
            hint="Restore the disk from a good copy, then remove the journal beside it.",
        )
