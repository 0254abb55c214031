# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The loop devices of one mount while it is made: one for each volume.

Two over the same bytes would not know of each other's writes.
"""

from __future__ import annotations

import contextlib
import os
import stat
import typing as t

from .._device.files import File
from . import loop

if t.TYPE_CHECKING:
    from .mountables import Mountable

_FREE_SECONDS = 10


class LoopSet:
    """Held open until close(); what is mounted by then stays.

    files: some that are open already, under locks that the loop devices shall keep.
    """

    def __init__(self) -> None:
        self.files: dict[str, File] = {}
        self._held: dict[tuple[str, int], tuple[str, contextlib.ExitStack]] = {}

    def device(self, volume: Mountable, *, read_only: bool) -> str:
        """The one that there is, or a new one. Raises MountFailed, DiskIOError."""
        key = (volume.file, volume.offset)
        if key not in self._held:
            with contextlib.ExitStack() as stack:
                file = self.files.get(volume.file)
                if file is None:
                    file = stack.enter_context(File(volume.file, writable=not read_only))
                path = stack.enter_context(
                    loop.attached(
                        file.fileno(),
                        volume.offset,
                        volume.size,
                        read_only=read_only,
                        direct=not (read_only and self._is_plain_file(volume.file)),
                    )
                )
                self._held[key] = (path, stack.pop_all())
        return self._held[key][0]

    def _is_plain_file(self, path: str) -> bool:
        """Not one of ours in FUSE, nor a block device, whose page cache could be out of date."""
        file = self.files.get(path)
        return file is not None and stat.S_ISREG(os.fstat(file.fileno()).st_mode)

    def let_go(self, volume: Mountable) -> None:
        """Of what is not mounted any more; waits until it is gone."""
        path, stack = self._held.pop((volume.file, volume.offset))
        stack.close()
        for device in loop.find(volume.file, volume.offset):
            if device.path == path:
                loop.wait_free(device, _FREE_SECONDS)

    def close(self) -> None:
        for _path, stack in self._held.values():
            stack.close()
        self._held.clear()
