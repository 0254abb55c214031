# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Files on their way to another folder: hard links where they can be, else verified copies."""

from __future__ import annotations

import os
import typing as t

from ..._device.compare import compare
from ..._device.copy import copy
from ..._device.errors import DigestMismatch
from ..._device.files import TEMPORARY_SUFFIX, File, remove_if_there
from ..._device.raw import RawDevice
from ..files.ownership import keep_owner
from ..files.paths import folder_of
from ..opening import journal
from ..opening.lazy import too_many
from .building import new_file, require_space

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._device.progress import Progress


class Relocation:
    """Files under temporary names; after the block they stay only if the disk's journal has them.

    disk: whose journal shall give them their names within the block.
    """

    def __init__(self, disk: str) -> None:
        self._journal = disk + journal.SUFFIX
        self._made: list[str] = []
        self._open: list[File] = []

    def __enter__(self) -> Relocation:
        return self

    def __exit__(self, *_exc: object) -> None:
        for file in self._open:
            file.close()
        if not os.path.exists(self._journal):
            for path in self._made:
                remove_if_there(path)

    def bring(self, pairs: Sequence[tuple[str, str]], progress: Progress, label: str) -> None:
        """(old, new): all content, flushed. Raises NoSpace, DigestMismatch."""
        copied = [pair for pair in pairs if not self._link(*pair)]
        if copied:
            needed = sum(os.stat(old).st_blocks * 512 for old, _new in copied)
            require_space(folder_of(copied[0][1]), needed)
        for old, new in copied:
            self._copy(old, new, progress, label)

    def adopt(self, file: File) -> None:
        """One more file, open under its temporary name."""
        self._open.append(file)
        self._made.append(file.path)

    def _link(self, old: str, new: str) -> bool:
        temporary = new + TEMPORARY_SUFFIX
        if os.path.exists(temporary) and os.path.samefile(temporary, old):
            remove_if_there(temporary)  # of a killed run; no other job has our disk
        try:
            os.link(old, temporary)
        except OSError:  # another file system, or one without links, or something in the way
            return False
        self._made.append(temporary)
        return True

    def _copy(self, old: str, new: str, progress: Progress, label: str) -> None:
        file = new_file(new)
        self.adopt(file)
        with RawDevice.open(old) as source:
            file.truncate(source.size)
            target = RawDevice(file, 0, source.size)
            keep_owner(file, os.fstat(source.file.fileno()))
            copy(source, target, target_is_zero=True, progress=progress, label=label)
            file.flush()
            place = compare(source, target)
        if place is not None:
            raise DigestMismatch(
                "the copy is not like the original; the disk stays where it is",
                path=new,
                offset=place,
                hint="Check that file system and the memory of this host.",
            )
        if too_many(len(self._open)):  # of so many, the first ones keep their locks
            self._open.pop().close()
