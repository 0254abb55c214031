# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The parts of a mount while it is made, in the journal before they are there."""

from __future__ import annotations

import os
import typing as t

from .._device.errors import DiskError
from .loop import sequence_of
from .mount import What, unmount
from .mount import mount as mount_volume
from .mountinfo import mounted_at
from .state import Part
from .subvolumes import TOP, explain

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .loopset import LoopSet
    from .mountables import Mountable
    from .state import Journal, StateFolder


class Parts:
    """The volumes that are mounted for one mount point, the root first."""

    def __init__(
        self, journal: Journal, folder: StateFolder, loops: LoopSet, warn: Callable[[str], None]
    ) -> None:
        self.journal = journal
        self.warn = warn
        self._folder = folder
        self._loops = loops

    def mount(
        self, volume: Mountable, point: str, *, read_only: bool, subvolume: str | None = None
    ) -> None:
        """One more; subvolume is an option of btrfs. After an error it is not there.

        Raises MountFailed, MissingTool, InvalidRequest for a wrong subvolume.
        """
        device = None if os.geteuid() else self._loops.device(volume, read_only=read_only)
        part = Part(point, volume.shown, volume.file, volume.offset, device)
        part.sequence = sequence_of(device) if device else ""
        self.journal.parts.append(part)
        self._folder.save(self.journal)
        what = What(device or volume.file, volume.kind, subvolume)
        try:
            _mount(what, point, read_only)
        except DiskError:
            self.take_back(volume)
            raise
        mounted = mounted_at(point)
        part.number = mounted.number if mounted else None

    def take_back(self, volume: Mountable) -> None:
        """The last one, which is this volume. Raises MountFailed."""
        part = self.journal.parts[-1]
        if part.number is not None:
            unmount(part.point)
        self.journal.parts.pop()
        if part.device is not None and part.device not in self._devices():
            self._loops.let_go(volume)

    def _devices(self) -> list[str | None]:
        return [part.device for part in self.journal.parts]


def _mount(what: What, point: str, read_only: bool) -> None:
    try:
        mount_volume(what, point, read_only=read_only)
    except DiskError as error:
        if what.subvolume in (None, TOP):
            raise
        raise explain(what, point, error) from error
