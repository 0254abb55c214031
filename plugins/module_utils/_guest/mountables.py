# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The volumes of disks as ranges of files, which is what a kernel or a FUSE tool can mount."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import os
import time
import typing as t

from .._device.errors import DiskInUse, InvalidRequest
from .._device.files import File
from .._device.raw import RawDevice
from .daemon import Opened
from .discover import find_volumes
from .luks.secret import read_key_file
from .mount import NEVER_WRITABLE
from .request import GUEST, FlatFile
from .volumes import choose, in_words

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from .._device.device import BlockDevice
    from .filesystems import FileSystem
    from .request import MountRequest, Source
    from .volumes import Volume

_LOCK_SECONDS = 2  # udev looks at block devices for a moment


@dataclasses.dataclass(frozen=True)
class Mountable:
    """A volume, as a range of a file."""

    file: str
    offset: int
    size: int
    shown: dict[str, t.Any]  # Volume.as_dict()
    kind: str
    part_uuid: str | None
    part_label: str | None
    read_only_because: str
    wanted: bool  # by a name that the user gave

    def require_writable(self) -> None:
        """Raises InvalidRequest."""
        require_writable(self.shown, self.read_only_because)


def require_writable(shown: dict[str, t.Any], read_only_because: str) -> None:
    """Raises InvalidRequest. `shown`: Volume.as_dict()."""
    kind = shown["fs"]
    why = f"it is {kind}" if kind in NEVER_WRITABLE else read_only_because
    if why:
        raise InvalidRequest(f"volume {in_words(shown)} can only be mounted read-only: {why}")


def straight(
    request: MountRequest, disks: Sequence[RawDevice], files: Sequence[FlatFile]
) -> list[Mountable] | None:
    """What to mount straight from the files; None where a volume does not lie in one of them."""
    volumes = _wanted(find_volumes(disks), request)
    mountables = []
    for volume in volumes:
        if volume.place is None:
            return None
        number, start = volume.place
        path = disks[number].file.path
        mountables.append(Mountable(path, files[number].offset + start, **_facts(volume, request)))
    return mountables


def opener(request: MountRequest) -> Callable[[], Opened]:
    """What opens the volumes in the daemon, their facts included."""

    def open_volumes() -> Opened:
        disks = _open_disks(request)
        try:
            keys = [] if request.key_file is None else [read_key_file(request.key_file)]
            volumes = _wanted(find_volumes(disks, keys), request)
            devices = [volume.open(disks) for volume in volumes]
        except BaseException:
            for disk in disks:
                disk.close()
            raise
        return Opened(disks, devices, [_facts(volume, request) for volume in volumes])

    return open_volumes


def served(facts: Sequence[dict[str, t.Any]], file_of: Callable[[int], str]) -> list[Mountable]:
    """What the daemon shows."""
    return [Mountable(file_of(number), 0, **told) for number, told in enumerate(facts)]


def _wanted(volumes: list[Volume], request: MountRequest) -> list[Volume]:
    """The one that is meant; for a whole guest everything that may be part of it."""
    if request.layout != GUEST:
        return [choose(volumes, request.volume)]
    mountable = [volume for volume in volumes if volume.mountable]
    if request.volume is not None or not mountable:
        choose(volumes, request.volume)  # says what there is
    return mountable


def _facts(volume: Volume, request: MountRequest) -> dict[str, t.Any]:
    filesystem = t.cast("FileSystem", volume.filesystem)  # else it had not been chosen
    part = volume.partition
    return {
        "size": volume.size,
        "shown": volume.as_dict(),
        "kind": filesystem.kind,
        "part_uuid": part.uuid,
        "part_label": part.name if part.scheme == "gpt" else None,
        "read_only_because": volume.read_only_because,
        "wanted": request.volume is not None and volume.answers_to(request.volume),
    }


def _open_disks(request: MountRequest) -> list[BlockDevice]:
    with contextlib.ExitStack() as undo:
        disks = [
            undo.enter_context(contextlib.closing(_open_disk(source, request)))
            for source in request.sources
        ]
        undo.pop_all()
        return disks


def _open_disk(source: Source, request: MountRequest) -> BlockDevice:
    if isinstance(source, FlatFile):
        return _open_flat(source, writable=not request.read_only)
    return source()


def _open_flat(source: FlatFile, *, writable: bool) -> RawDevice:
    file = locked_file(source.path, writable=writable)
    try:
        source.require_free()
    except BaseException:
        file.close()
        raise
    return RawDevice(file, source.offset, source.size)


@contextlib.contextmanager
def flat_disks(files: Sequence[FlatFile], *, writable: bool) -> Iterator[list[RawDevice]]:
    """All of them under locks that their loop devices keep after us. Raises DiskInUse."""
    with contextlib.ExitStack() as opened:
        yield [
            opened.enter_context(contextlib.closing(_open_flat(file, writable=writable)))
            for file in files
        ]


def locked_file(path: str, *, writable: bool) -> File:
    """Nobody writes to it while it is open; for writing, nobody else has it. Raises DiskInUse."""
    file = File(os.path.realpath(path), writable=writable)
    kind = fcntl.LOCK_EX if writable else fcntl.LOCK_SH
    end = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(file.fileno(), kind | fcntl.LOCK_NB)
            return file
        except BlockingIOError:
            if time.monotonic() > end:
                file.close()
                raise DiskInUse(
                    "somebody else has it open",
                    path=file.path,
                    hint="Wait until that job has ended; if it is mounted elsewhere, unmount that.",
                ) from None
            time.sleep(0.05)
