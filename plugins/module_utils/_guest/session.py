# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Mounting and unmounting volumes of disks: what vmdk_mount calls."""

from __future__ import annotations

import dataclasses
import errno
import os
import typing as t

from .._device.errors import DiskError, InvalidRequest, MountFailed
from . import command
from .making import Mounting
from .mountinfo import mounted_at
from .processes import boot_id
from .request import HOST, VOLUME, FlatFile, MountRequest
from .state import Journal, StateFolder
from .undo import our_mounts, undo
from .volumes import in_words

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Warn = Callable[[str], None]

__all__ = ("FlatFile", "MountRequest", "MountState")

_ANSWER_SECONDS = 5


@dataclasses.dataclass(frozen=True)
class MountState:
    """A mount as it was found. `problem` says why one is not healthy."""

    reference: str
    mount_point: str
    read_only: bool
    volume: dict[str, t.Any] | None  # of the root
    device: str | None
    daemon: int | None
    problem: str | None = None
    wanted: str | None = None  # how somebody called the volume
    paths: tuple[str, ...] = ()  # all disks
    subvolume: str | None = None
    layout: str = VOLUME
    isolation: str = HOST
    transaction: dict[str, t.Any] | None = None
    lost: str = ""  # what of the disk cannot be read
    parts: tuple[dict[str, t.Any], ...] = ()  # volumes with their mount_point, the root first

    @property
    def healthy(self) -> bool:
        return self.problem is None

    def satisfies(self, request: MountRequest) -> bool:
        """Whether it is what a request asks for."""
        return (
            self.healthy
            and self.reference == request.reference
            and self.paths == request.all_paths
            and self.mount_point == _resolved(request.mount_point)
            and self.read_only == request.read_only
            and (self.layout, self.isolation) == (request.layout, request.isolation)
            and (self.subvolume, self.lost) == (request.subvolume, request.lost)
            and (self.transaction is None) == (request.transaction is None)
            and self._is_volume(request.volume)
        )

    def _is_volume(self, wanted: str | None) -> bool:
        if wanted in (None, self.wanted):
            return True
        volume = self.volume or {}
        names = [volume.get(key) for key in ("number", "name", "label")]
        uuid = volume.get("uuid") or ""
        return wanted in [str(name) for name in names if name is not None] or (
            str(wanted).lower() == uuid.lower()
        )


def mounted(mount_point: str) -> MountState | None:
    """What we mounted there, alive or dead; None for nothing. Never waits.

    Raises InvalidRequest for what can never be a mount point of ours.
    """
    folder = StateFolder.of(_resolved(mount_point))
    journal = folder.load()
    return None if journal is None else _state(folder, journal)


def find(request: MountRequest) -> MountState | None:
    """The mount that a request asks for; None where it can be made. Never waits.

    Raises MountFailed where something else is mounted, InvalidRequest where nothing can be.
    """
    request.check()
    point = _resolved(request.mount_point)
    state = mounted(point)
    if state is None:
        _require_free(point)
    elif state.satisfies(request):
        return state
    elif state.healthy:
        volume = in_words(state.volume) if state.volume else "unknown"
        raise _occupied(point, f"volume {volume} of {state.reference}")
    return None


def mount(request: MountRequest, warn: Warn | None = None) -> MountState:
    """Mount it, or find it mounted; what a dead one left there is cleaned up first.

    `warn` is told in words what the dead one has lost.
    Raises InvalidRequest, MountFailed, MissingTool, MissingLibrary and what opening the disk
    raises. Then everything is as before.
    """
    point = _resolved(request.mount_point)
    folder = StateFolder.of(point)
    with folder.locked():
        state = find(request)
        if state is not None:
            return state
        journal = folder.load()
        if journal is not None:
            lost = _clean(folder, journal)
            if lost and warn:
                warn(lost)
            _require_free(point)
        journal = Mounting(request, point, folder, warn or (lambda _text: None)).run()
        return _state(folder, journal)


def unmount(mount_point: str) -> bool:
    """Take a mount down, dead or alive; False where there was none.

    Raises MountFailed: naming its users when it is busy (nothing is undone then), or when it is
    gone but the disk was not closed in order.
    """
    folder = StateFolder.of(_resolved(mount_point))
    if folder.load() is None:
        return False
    with folder.locked():
        journal = folder.load()
        if journal is None:
            return False
        undo(folder, journal)
        return True


def dead() -> list[str]:
    """The mount points of what sweep() would clean up."""
    return [journal.mount_point for _folder, journal in _dead_ones()]


def sweep(warn: Warn | None = None) -> list[str]:
    """Clean up every dead or half-made mount; their mount points. Others at work are let be.

    `warn` is told in words what was lost, and what could not be cleaned up: dead() goes on to
    name that, and nobody who wants another mount is kept from it.
    """
    cleaned = []
    for folder, journal in _dead_ones():
        try:
            problem = _clean(folder, journal)
            cleaned.append(journal.mount_point)
        except DiskError as error:
            problem = f"{journal.mount_point} could not be cleaned up: {error}"
        if problem and warn:
            warn(problem)
    return cleaned


def _dead_ones() -> Iterator[tuple[StateFolder, Journal]]:
    """Each is locked while it is looked at."""
    for folder in StateFolder.all():
        with folder.locked(wait=False) as ours:
            journal = folder.load() if ours else None
            if journal is not None and not _state(folder, journal).healthy:
                yield folder, journal


def _clean(folder: StateFolder, journal: Journal) -> str | None:
    """Undo a dead mount; in words what it has lost. Raises MountFailed if it cannot be undone."""
    try:
        undo(folder, journal)
    except MountFailed as error:
        if folder.load() is not None:
            raise
        return str(error)
    return None


def _state(folder: StateFolder, journal: Journal) -> MountState:
    return MountState(
        reference=journal.reference,
        mount_point=journal.mount_point,
        read_only=journal.read_only,
        volume=journal.volume,
        device=journal.parts[0].device if journal.parts else None,
        daemon=journal.daemon.pid if journal.daemon else None,
        problem=_problem(folder, journal),
        wanted=journal.wanted,
        paths=tuple(journal.paths),
        subvolume=journal.subvolume,
        layout=journal.layout,
        isolation=journal.isolation,
        transaction=journal.transaction,
        lost=journal.lost,
        parts=tuple({**part.volume, "mount_point": part.point} for part in journal.parts),
    )


def _problem(folder: StateFolder, journal: Journal) -> str | None:
    if journal.boot != boot_id():
        return "the machine was started again since"
    if not journal.complete:
        return "it was never finished"
    if journal.daemon is not None and not journal.daemon.alive:
        return "the process that serves its disk is gone"
    found = our_mounts(folder, journal)
    if {part.point for part in journal.parts} - {mount.point for mount in found}:
        return "it was unmounted by somebody else"
    if not all(_answers(mount.point) for mount in found if mount.fs.startswith("fuse")):
        return "the program that serves its file system is gone"
    return None


def _answers(point: str) -> bool:
    """Whether its server is there. One that takes its time is, and keeps nobody waiting."""
    try:
        command.run(["stat", point], _ANSWER_SECONDS, package="coreutils")
    except command.ProgramFailed as error:
        return os.strerror(errno.ENOTCONN) not in error.output
    return True


def _resolved(mount_point: str) -> str:
    """Without links. Raises InvalidRequest for what can never be a mount point of ours."""
    if not mount_point:  # os.path takes it for the working directory
        raise InvalidRequest("the mount point is empty", expected="the path of a directory")
    parent, name = os.path.split(mount_point)
    point = os.path.join(os.path.realpath(parent), name)
    if name in ("", ".", "..") or mounted_at(point) is None:  # else looking at it could hang
        point = os.path.realpath(mount_point)
    if point == "/":
        raise InvalidRequest("the root directory cannot be a mount point", path=mount_point)
    return point


def _require_free(point: str) -> None:
    other = mounted_at(point)
    if other is not None:
        raise _occupied(point, f"{other.source} ({other.fs})")
    existing = point
    while not os.path.lexists(existing):
        existing = os.path.dirname(existing)
    if not os.path.isdir(existing):
        expected = "a directory, or nothing yet"
        raise InvalidRequest("the mount point is not a directory", path=existing, expected=expected)


def _occupied(point: str, found: str) -> MountFailed:
    hint = "Unmount that first, or choose another mount point."
    return MountFailed("something else is mounted there", path=point, found=found, hint=hint)
