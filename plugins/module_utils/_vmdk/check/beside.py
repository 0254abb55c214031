# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Checking what lies beside a disk: change tracking, locks, what killed jobs have left."""

from __future__ import annotations

import os
import typing as t

from ..._device.errors import DiskError, UnsafePath
from ..._device.files import File
from ..._device.transaction_mark import COMMITTING, PENDING, find
from ..files.lock import has_vmware_lock
from ..files.paths import contained, require_file
from ..opening.family import MARK, half_committed
from ..opening.journal import SUFFIX
from ..opening.leftovers import leftovers
from .finding import ERROR, NOTE, WARNING, Finding

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..descriptor.descriptor import Descriptor

_CTK_MAGIC = b"\xa2\x72\x19\xf6"
_CTK_SLACK = 60  # seconds by which extents may be younger: they are closed one after another
_DROP = "repair: true drops the line, as VMware's guide says; the next backup reads everything"


def check_beside(
    path: str, descriptor: Descriptor | None, files: Sequence[str], allow_outside: Sequence[str]
) -> Iterator[Finding]:
    """`files`: all of this disk that are there."""
    if os.path.exists(path + SUFFIX):
        yield Finding(
            "journal",
            WARNING,
            path + SUFFIX,
            "an interrupted job had finished its work and not yet given the files their names",
            repairable=True,
            how="repair: true, or any other job on this disk, completes it",
        )
    yield from _half_commit(path)
    yield from _transaction(path)
    for left in leftovers(path):
        yield Finding(
            "leftover",
            NOTE,
            left,
            "was left by a job that was killed, or is still being written",
            repairable=True,
            how="repair: true removes it, unless a job holds it",
        )
    for file in files:
        if has_vmware_lock(file):
            message = "a VMware product has it open, or was killed"
            how = "shut the virtual machine down; if none runs, remove the .lck folder"
            yield Finding("lock", WARNING, file, message, how=how)
    if descriptor is not None:
        yield from _change_tracking(path, descriptor, files, allow_outside)


def _half_commit(path: str) -> Iterator[Finding]:
    """A commit was killed: the parent holds some of the child, and alone is neither of both."""
    if not os.path.lexists(path + MARK):
        return
    child = half_committed(path)
    if child is None:
        message = "marks a commit of a child that is not there any more, or is another one's"
        how = "if the disk is complete, remove this file"
        yield Finding("commit", WARNING, path + MARK, message, how=how)
        return
    message = f"a commit of {child} to it was interrupted: alone it is neither old nor new"
    how = f"finish it: vmdk_snapshot with path: {path}, this child and state: absent"
    yield Finding("commit", ERROR, path, message, how=how)


def _transaction(path: str) -> Iterator[Finding]:
    try:
        mark = find(path)
    except DiskError as error:
        yield Finding("transaction", ERROR, path, error.message, how=error.hint or "")
        return
    if mark is not None and mark.state == PENDING:
        message = f"a transaction is pending since {mark.since}"
        how = "commit or discard it: vmdk_mount with state: committed, or discarded"
        yield Finding("transaction", NOTE, path, message, how=how)
    elif mark is not None and mark.state == COMMITTING:
        message = "the commit of a transaction to it was interrupted: it is neither old nor new"
        how = "finish it: vmdk_mount with this disk and state: committed"
        yield Finding("transaction", ERROR, path, message, how=how)


def _change_tracking(
    path: str, descriptor: Descriptor, files: Sequence[str], allow_outside: Sequence[str]
) -> Iterator[Finding]:
    name = descriptor.get("changeTrackPath")
    if not name:
        return
    try:
        tracking = contained(path, name, allow_outside)
    except UnsafePath as error:
        yield Finding("change-tracking", ERROR, path, error.message, how=error.hint or "")
        return
    wrong = _wrong_with(tracking)
    if wrong is not None:
        message = f"its change-tracking file {name!r} {wrong}"
        yield Finding("change-tracking", WARNING, path, message, repairable=True, how=_DROP)
        return
    written = os.stat(tracking).st_mtime
    younger = [file for file in files if os.stat(file).st_mtime > written + _CTK_SLACK]
    if younger:
        yield Finding(
            "change-tracking",
            NOTE,
            tracking,
            f"is older than {younger[0]}: if that was written by anything but VMware, it is stale",
            how="if so, delete the changeTrackPath line and set version=1",
        )


def _wrong_with(tracking: str) -> str | None:
    """No public text describes the file: all that is known is how it begins (LY)."""
    try:
        require_file(tracking, tracking)
        with File(tracking) as file:
            head = bytes(file.read(0, min(4, file.size)))
    except DiskError:
        return "cannot be read"
    return None if head == _CTK_MAGIC else "is no change-tracking file"
