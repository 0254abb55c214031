# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The steps of one mount. Each is in the journal before it is taken."""

from __future__ import annotations

import contextlib
import os
import typing as t

from .._device.errors import DiskError, InvalidRequest, MountFailed, from_oserror
from . import appliance, daemon, mountables
from .layout import GuestLayout
from .loopset import LoopSet
from .mountinfo import mounted_at
from .parts import Parts
from .request import APPLIANCE, GUEST, FlatFile
from .state import Journal, Part
from .undo import undo

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .mountables import Mountable
    from .processes import Process
    from .request import MountRequest
    from .state import StateFolder

    Warn = Callable[[str], None]


class Mounting:
    """Makes what a request asks for; everything or nothing."""

    def __init__(self, request: MountRequest, point: str, folder: StateFolder, warn: Warn) -> None:
        self.request = request
        self.folder = folder
        self.warn = warn
        self.journal = Journal(
            point,
            request.reference,
            request.volume,
            request.read_only,
            paths=list(request.all_paths),
            subvolume=request.subvolume,
            layout=request.layout,
            isolation=request.isolation,
            transaction=request.transaction,
            lost=request.lost,
        )
        self.loops = LoopSet()

    def run(self) -> Journal:
        """Raises what session.mount() does."""
        try:
            self._make_directories()
            with self._mountables() as found, contextlib.closing(self.loops):
                self._mount(found)
                self.journal.complete = True
                self.folder.save(self.journal)
        except BaseException as error:
            self._undo_after(error)
            raise
        return self.journal

    def _undo_after(self, error: BaseException) -> None:
        try:
            undo(self.folder, self.journal)
        except DiskError as second:
            raise MountFailed(f"{error} And cleaning up failed: {second}") from error

    def _make_directories(self) -> None:
        point = self.journal.mount_point
        self.journal.directories = _missing(point)
        self.folder.save(self.journal)
        try:
            os.makedirs(point, exist_ok=True)
        except OSError as error:
            raise from_oserror(error, "make the mount point", point) from error

    @contextlib.contextmanager
    def _mountables(self) -> Iterator[list[Mountable]]:
        """What there is to mount, with its files open as long as this takes."""
        request = self.request
        files = [source for source in request.sources if isinstance(source, FlatFile)]
        if len(files) == len(request.sources) and self._may_go_straight():
            with mountables.flat_disks(files, writable=not request.read_only) as disks:
                found = mountables.straight(request, disks, files)
                if found is not None:
                    self.loops.files = {disk.file.path: disk.file for disk in disks}
                    yield found
                    return
        yield self._serve()

    def _may_go_straight(self) -> bool:
        """Whether there is no need of a daemon of ours if the disks are flat."""
        request = self.request
        by_kernel = request.isolation != APPLIANCE and not os.geteuid()
        return by_kernel and request.key_file is None

    def _serve(self) -> list[Mountable]:
        self.journal.served = True
        self.folder.save(self.journal)
        os.mkdir(self.folder.fuse, 0o700)
        facts = daemon.start(
            mountables.opener(self.request),
            self.folder.path,
            read_only=self.request.read_only,
            born=self._born,
            leash=self.request.leash,
        )
        return mountables.served(facts, lambda number: daemon.file_of(self.folder.path, number))

    def _born(self, process: Process) -> None:
        self.journal.daemon = process
        self.folder.save(self.journal)

    def _mount(self, found: list[Mountable]) -> None:
        parts = Parts(self.journal, self.folder, self.loops, self.warn)
        if self.request.layout == GUEST:
            GuestLayout(parts, found, self.request.subvolume).mount()
            return
        (volume,) = found
        if not self.request.read_only:
            volume.require_writable()
        if self.request.isolation == APPLIANCE:
            self._mount_by_appliance(volume)
            return
        parts.mount(
            volume,
            self.journal.mount_point,
            read_only=self.request.read_only,
            subvolume=self._subvolume(volume),
        )

    def _subvolume(self, volume: Mountable) -> str | None:
        named = self.request.subvolume
        if named is not None and volume.kind != "btrfs":
            raise InvalidRequest(f"{volume.kind} has no subvolumes", expected="btrfs")
        return None if named is None else f"subvol={named}"

    def _mount_by_appliance(self, volume: Mountable) -> None:
        part = Part(self.journal.mount_point, volume.shown, volume.file, volume.offset)
        self.journal.parts.append(part)
        appliance.start(
            [appliance.Part(volume.file)],
            self.folder.path,
            part.point,
            read_only=self.request.read_only,
            born=self._appliance_born,
        )
        mounted = mounted_at(part.point)
        part.number = mounted.number if mounted else None

    def _appliance_born(self, process: Process) -> None:
        self.journal.appliance = process
        self.folder.save(self.journal)


def _missing(path: str) -> list[str]:
    """The directories that have to be made, outermost first."""
    missing: list[str] = []
    while not os.path.lexists(path):
        missing.insert(0, path)
        path = os.path.dirname(path)
    return missing
