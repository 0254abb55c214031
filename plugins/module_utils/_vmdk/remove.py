# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Removing a disk with all its files."""

from __future__ import annotations

import os
import stat
import typing as t

from .._device.errors import NotADisk
from . import journal
from .descriptor_file import DescriptorFile
from .family import refuse_with_children
from .lock import refuse_vmware_lock

if t.TYPE_CHECKING:
    from collections.abc import Iterable


def disk_files(path: str | os.PathLike[str]) -> list[str]:
    """The files of this disk alone, descriptor first, whether they are there or not.

    Raises NotADisk, UnsafePath and what reading a descriptor raises.
    """
    real = os.path.realpath(path)
    journal.finish(real)
    with DescriptorFile(real) as store:
        return store.files()


def remove_disk(path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Remove descriptor and extents; a journal completes it after a crash. Parents stay.

    With force, although children beside it need it. Raises DiskInUse, InvalidRequest, UnsafePath.
    """
    real = os.path.realpath(path)
    journal.finish(real)
    refuse_vmware_lock(real)
    with DescriptorFile(real, writable=True) as store:
        if not force:
            refuse_with_children(real, "remove")
        files = store.files()
        _require_plain(files)
        journal.commit(real, [], files)


def _require_plain(files: Iterable[str]) -> None:
    for path in files:
        if os.path.lexists(path) and stat.S_ISDIR(os.lstat(path).st_mode):
            raise NotADisk("is a directory, not an extent", path=path)
