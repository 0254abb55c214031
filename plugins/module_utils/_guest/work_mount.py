# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Mounting a volume for a moment, in a place of our own, to have the kernel work on it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t

from .._device.errors import DiskInUse, MountFailed
from . import session
from .lockedfolder import make_directory, name_of, remove_directory, run_directory

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._device.device import BlockDevice


class WorkPlace:
    """The mount point of one disk's jobs. Made by work_place()."""

    def __init__(self, reference: str, folder: str) -> None:
        self.reference, self.folder = reference, folder
        self.point = os.path.join(folder, "volume")

    @contextlib.contextmanager
    def mounted(
        self, open_device: Callable[[], BlockDevice], volume: str
    ) -> Iterator[session.MountState]:
        """A volume, read-write; unmounted and its disk closed in order afterwards.

        That is also done when this process is killed: the server is on a leash. Raises
        MountFailed, MissingTool, MissingLibrary and what opening the disk raises.
        """
        with _leash() as leash:
            request = session.MountRequest(
                open_device, self.reference, self.point, volume, read_only=False, leash=leash
            )
            state = session.mount(request)
            try:
                yield state
            finally:
                session.unmount(self.point)


@contextlib.contextmanager
def _leash() -> Iterator[int]:
    """The reading end of a pipe of which nobody but this process holds the other end."""
    leash, hand = os.pipe()
    try:
        yield leash
    finally:
        os.close(leash)
        os.close(hand)


@contextlib.contextmanager
def work_place(reference: str) -> Iterator[WorkPlace]:
    """The only user of a disk's work place; what a killed one left mounted there is unmounted.

    To be entered before the disk is opened. Raises DiskInUse, MountFailed.
    """
    root = run_directory("work")
    folder = os.path.join(root, name_of(reference))
    make_directory(folder)
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _lock(fd, reference)
        place = WorkPlace(reference, folder)
        _clean(place)
        yield place
    finally:
        remove_directory(folder)
        os.close(fd)


def _clean(place: WorkPlace) -> None:
    """Undo what a killed job left. Whether its disk was closed in order, the disk itself tells."""
    try:
        session.unmount(place.point)
    except MountFailed:
        if session.mounted(place.point) is not None:  # it could not be undone
            raise


def _lock(fd: int, reference: str) -> None:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DiskInUse("another job works on its volumes", path=reference) from None
