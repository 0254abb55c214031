# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Removing a disk with all its files."""

from __future__ import annotations

import contextlib
import os
import typing as t

from ..._device.errors import NoSpace
from ..._device.files import remove_if_there, sync_directory
from ..files.lock import refuse_claimed
from ..files.paths import folder_of
from ..opening import journal
from ..opening.descriptor_file import DescriptorFile
from ..opening.family import refuse_with_children
from ..opening.journal_file import may_name
from .own_files import lock_files, require_own_files, require_plain, sweep

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def finish_pending(path: str | os.PathLike[str]) -> bool:
    """Complete what a killed job left of this disk; whether that has removed it.

    To be called where the disk seems not to be there, too: its journal may still be. Raises what
    journal.finish() raises.
    """
    real = os.path.realpath(path)
    finished = journal.finish(real)
    gone = not os.path.lexists(real)
    if gone and os.path.isdir(folder_of(real)):
        sweep(real)
    return finished and gone


def remove_disk(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Remove descriptor and extents; a journal completes it after a crash. Parents stay.

    With force, although children beside it need it, or extents do not look like its own or are
    those of another disk, too. Raises DiskInUse, InvalidRequest, UnsafePath.
    """
    real = os.path.realpath(path)
    journal.finish(real)
    with _held(real, force) as files:
        _remove(real, [*files[1:], real])
        sweep(real)


def check_removal(path: str | os.PathLike[str], *, force: bool = False) -> list[str]:
    """The files that remove_disk() would remove. Raises what it would raise."""
    with _held(os.path.realpath(path), force) as files:
        return [name for name in files if os.path.lexists(name)]


@contextlib.contextmanager
def _held(real: str, force: bool) -> Iterator[list[str]]:
    """The files of the disk, descriptor first, which nobody else has open meanwhile."""
    refuse_claimed(real)
    with DescriptorFile(real, writable=True) as store, contextlib.ExitStack() as locks:
        if not force:
            refuse_with_children(real, "remove")
            require_own_files(store)
        files = store.files()
        require_plain(files)
        lock_files(store, locks)
        yield files


def _remove(disk: str, files: Sequence[str]) -> None:
    """The descriptor last: as long as it is there, it tells what else must go."""
    if all(may_name(disk, os.path.relpath(path, folder_of(disk))) for path in files):
        with contextlib.suppress(NoSpace):  # then without a journal, which needs some
            journal.commit(disk, [], files)
            return
    for path in (*files, disk + journal.SUFFIX):
        remove_if_there(path)
    sync_directory(folder_of(disk))
