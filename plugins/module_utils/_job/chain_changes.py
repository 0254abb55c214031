# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What changed in a hosted disk since it was backed up: its redo logs know."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import typing as t

from .._device.errors import DiskError, DiskInUse
from .._device.extent import Kind
from .._repository.write.changes import Changes
from .._vmdk.opening.chain import open_disk
from .._vmdk.opening.state import files_state, is_settled

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._vmdk.opening.disk import Disk, Link
    from .._vmdk.opening.state import FileState

    Files = tuple[FileState, ...]


class ChainChanges:
    """Made right after a chain was opened, before anything of it is read. `began` is the time, in
    nanoseconds, before it was opened: opening reads its tables, and may take long.

    The state of a link is that of all its files, and of all links below it. A link that a point
    knows in this very state has not changed since; so what differs lies in the links above it.
    """

    def __init__(
        self, disk: Disk, host: tuple[str, ...], allow_outside: Sequence[str], began: int
    ) -> None:
        self._disk, self._host, self._allow_outside = disk, host, allow_outside
        self._began = began
        self._files = self._look()
        self.warnings: list[str] = []

    def known(self) -> tuple[Changes, ...]:
        """One for each link whose state can be told, from the top down."""
        found = []
        for depth, link in enumerate(self._disk.links):
            state = _state_of(self._host, self._disk.links[depth:], self._files[depth:])
            # A shorter or longer link below shows other bytes than it did when it was the top.
            if state is None or link.device.size != self._disk.size:
                break
            found.append(Changes(state, functools.partial(self._above, depth)))
        return tuple(found)

    def change_id(self) -> str | None:
        """The state of the whole disk, if it was the same all the time and a write would show."""
        files = self._files
        if self._look() != files:
            self.warnings.append(
                f"{self._disk.name}: somebody wrote to it while it was read; the restore point may "
                "be a mixture of old and new"
            )
            return None
        if not all(each is not None and is_settled(each, self._began) for each in files):
            return None
        return _state_of(self._host, self._disk.links, files)

    def _look(self) -> list[Files | None]:
        try:
            return [files_state(link) for link in self._disk.links]
        except DiskError:  # a lazy extent that is gone; whoever reads it will say so
            return [None for _link in self._disk.links]

    def _above(self, depth: int) -> list[tuple[int, int]]:
        """Where the links above `depth` hold anything. Raises DiskError."""
        found = []
        for link, files in zip(self._disk.links[:depth], self._files, strict=False):
            with open_disk(link.path, single_link=True, allow_outside=self._allow_outside) as alone:
                if files_state(alone.links[0]) != files:
                    raise DiskInUse("somebody changes it at this moment", path=link.path)
                found += [
                    (run.offset, run.length)
                    for run in alone.extents()
                    if run.kind is not Kind.INHERITED
                ]
        return found


def _state_of(
    host: tuple[str, ...], links: Sequence[Link], files: Sequence[Files | None]
) -> str | None:
    """A text that no other state has; None if the state of a link cannot be told."""
    if any(each is None for each in files):
        return None
    facts = [
        [os.path.realpath(link.path), link.descriptor.cid, each]
        for link, each in zip(links, files, strict=True)
    ]
    text = json.dumps([*host, facts], ensure_ascii=True)
    return f"vmdk:{hashlib.sha256(text.encode()).hexdigest()}"
