# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Mounting and unmounting volumes of disks: what vmdk_mount calls."""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import fcntl
import os
import time
import typing as t

from .._device.errors import DiskError, DiskInUse, InvalidRequest, MountFailed, from_oserror
from .._device.files import File
from .._device.raw import RawDevice
from . import daemon, loop
from .mount import NEVER_WRITABLE
from .mount import mount as mount_volume
from .mountinfo import mounted_at
from .processes import Process, boot_id
from .state import Journal, StateFolder
from .undo import our_mount, undo
from .volumes import Volume, choose, in_words, list_volumes

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._device.device import BlockDevice
    from .filesystems import FileSystem

    Warn = Callable[[str], None]

_LOCK_SECONDS = 2  # udev looks at block devices for a moment


class FlatFile(t.NamedTuple):
    """A disk whose bytes lie in a file as they are, from `offset` on."""

    path: str
    offset: int
    size: int


@dataclasses.dataclass(frozen=True)
class MountRequest:
    """What shall be where. Anything but a FlatFile is opened, and closed, by a daemon.

    leash: see daemon.start(); a mount without one stays until somebody unmounts it.
    """

    source: FlatFile | Callable[[], BlockDevice]
    reference: str  # the disk, in the words of the user
    mount_point: str
    volume: str | None = None  # number, label or UUID
    read_only: bool = True
    leash: int | None = None


@dataclasses.dataclass(frozen=True)
class MountState:
    """A mount as it was found. `problem` says why one is not healthy."""

    reference: str
    mount_point: str
    read_only: bool
    volume: dict[str, t.Any] | None
    device: str | None
    daemon: int | None
    problem: str | None = None

    @property
    def healthy(self) -> bool:
        return self.problem is None

    def satisfies(self, request: MountRequest) -> bool:
        """Whether it is what a request asks for."""
        if not self.healthy or self.volume is None:
            return False
        known = {str(self.volume[key]).lower() for key in ("number", "label", "uuid")}
        return (
            self.reference == request.reference
            and self.mount_point == _resolved(request.mount_point)
            and self.read_only == request.read_only
            and (request.volume is None or request.volume.lower() in known)
        )


def mounted(mount_point: str) -> MountState | None:
    """What we mounted there, alive or dead; None for nothing. Never waits.

    Raises InvalidRequest for what can never be a mount point of ours.
    """
    journal = StateFolder.of(_resolved(mount_point)).load()
    return None if journal is None else _state(journal)


def find(request: MountRequest) -> MountState | None:
    """The mount that a request asks for; None where it can be made. Never waits.

    Raises MountFailed where something else is mounted, InvalidRequest where nothing can be.
    """
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
        return _Mounting(request, point, folder).run()


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
            if journal is not None and not _state(journal).healthy:
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


def _state(journal: Journal) -> MountState:
    return MountState(
        reference=journal.reference,
        mount_point=journal.mount_point,
        read_only=journal.read_only,
        volume=journal.volume,
        device=journal.device,
        daemon=journal.daemon.pid if journal.daemon else None,
        problem=_problem(journal),
    )


def _problem(journal: Journal) -> str | None:
    if journal.boot != boot_id():
        return "the machine was started again since"
    if not journal.complete:
        return "it was never finished"
    if journal.daemon is not None and not journal.daemon.alive:
        return "the process that serves its disk is gone"
    found = our_mount(journal)
    if found is None:
        return "it was unmounted by somebody else"
    if found.fs.startswith("fuse") and not _answers(journal.mount_point):
        return "the program that serves its file system is gone"
    return None


def _answers(point: str) -> bool:
    try:
        os.stat(point)
    except OSError as error:
        return error.errno != errno.ENOTCONN
    return True


def _resolved(mount_point: str) -> str:
    """Without links. Raises InvalidRequest for what can never be a mount point of ours."""
    if not mount_point:  # os.path takes it for the working directory
        raise InvalidRequest("the mount point is empty", expected="the path of a directory")
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


class _Mounting:
    """The steps of one mount. Each is in the journal before it is taken."""

    def __init__(self, request: MountRequest, point: str, folder: StateFolder) -> None:
        self.request = request
        self.folder = folder
        self.journal = Journal(point, request.reference, request.volume, request.read_only)

    def run(self) -> MountState:
        try:
            self._make_directories()
            if isinstance(self.request.source, FlatFile):
                self._mount_flat(self.request.source)
            else:
                self._mount_served(self.request.source)
        except BaseException as error:
            self._undo_after(error)
            raise
        return _state(self.journal)

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

    def _mount_flat(self, source: FlatFile) -> None:
        path = os.path.realpath(source.path)
        with _locked_file(path, writable=not self.request.read_only) as file:
            volume = self._choose(RawDevice(file, source.offset, source.size))
            self._mount(file, source.offset, volume)

    def _mount_served(self, open_device: Callable[[], BlockDevice]) -> None:
        self.journal.served = True
        self.journal.backing = daemon.disk_file(self.folder.path)
        self.folder.save(self.journal)
        os.mkdir(self.folder.fuse, 0o700)
        daemon.start(
            open_device,
            self.folder.path,
            read_only=self.request.read_only,
            born=self._born,
            leash=self.request.leash,
        )
        with File(self.journal.backing, writable=not self.request.read_only) as file:
            self._mount(file, 0, self._choose(RawDevice(file)))

    def _born(self, process: Process) -> None:
        self.journal.daemon = process
        self.folder.save(self.journal)

    def _choose(self, device: RawDevice) -> Volume:
        volume = choose(list_volumes(device), self.request.volume)
        kind = volume.filesystem.kind if volume.filesystem else ""
        if kind in NEVER_WRITABLE and not self.request.read_only:
            raise InvalidRequest(f"{kind} can only be mounted read-only", path=device.name)
        return volume

    def _mount(self, file: File, offset: int, volume: Volume) -> None:
        part, read_only = volume.partition, self.request.read_only
        filesystem = t.cast("FileSystem", volume.filesystem)  # else it had not been chosen
        self.journal.backing = file.path
        self.journal.offset = offset + part.start
        self.journal.volume = volume.as_dict()
        with loop.attached(
            file.fileno(), self.journal.offset, part.size, read_only=read_only
        ) as device:
            self.journal.device = device
            self.folder.save(self.journal)
            mount_volume(device, filesystem, self.journal.mount_point, read_only=read_only)
            found = mounted_at(self.journal.mount_point)
            self.journal.mount_number = found.number if found else None
            self.journal.complete = True
            self.folder.save(self.journal)


def _missing(path: str) -> list[str]:
    """The directories that have to be made, outermost first."""
    missing: list[str] = []
    while not os.path.lexists(path):
        missing.insert(0, path)
        path = os.path.dirname(path)
    return missing


@contextlib.contextmanager
def _locked_file(path: str, *, writable: bool) -> Iterator[File]:
    """The file under a lock that the loop device keeps after us. Raises DiskInUse."""
    with File(path, writable=writable) as file:
        kind = fcntl.LOCK_EX if writable else fcntl.LOCK_SH
        end = time.monotonic() + _LOCK_SECONDS
        while True:
            try:
                fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise DiskInUse("somebody else has it open", path=path) from None
                time.sleep(0.05)
        yield file
