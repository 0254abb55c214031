# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Taking infected files out of a mounted disk, into a folder of this host.

Each becomes a file that nobody may open but root, with a JSON file beside it that tells how to put
it back. What it was on the disk is overwritten before its name goes, so that it is not found again
as a deleted one.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import time
import typing as t

from ..._device.errors import InvalidRequest, from_oserror
from ..._device.files import write_durably
from .walk import parent_of, shown

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .tree import Infected

_CHUNK = 1 << 20
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def quarantine(
    folder: str, infected: Iterable[Infected], place: str, disk: str
) -> list[dict[str, t.Any]]:
    """Move them to `place`; what was moved, and where. Raises DiskError.

    All are kept before the first is removed: two of them may be names of one file.
    """
    _prepare(place, folder)
    infected = list(infected)
    kept = [_keep(folder, each, place, disk) for each in infected]
    for each in infected:
        _remove(folder, each)
    return kept


def _prepare(place: str, folder: str) -> None:
    """Raises InvalidRequest for a place inside the disk, or where others may write."""
    inside = os.path.realpath(folder)
    if os.path.commonpath((os.path.realpath(place), inside)) == inside:
        raise InvalidRequest("the quarantine would lie inside the disk", path=place)
    try:
        os.makedirs(place, mode=0o700, exist_ok=True)
        mode = stat.S_IMODE(os.stat(place).st_mode)
    except OSError as error:
        raise from_oserror(error, "make the quarantine", place) from error
    if mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise InvalidRequest(
            "others may write to the quarantine", path=place, expected="0700", found=f"{mode:04o}"
        )


@contextlib.contextmanager
def _found(folder: str, infected: Infected) -> Iterator[tuple[int, bytes]]:
    """The open folder that it is in, and its name. Raises DiskError for every OSError."""
    try:
        parent, name = parent_of(folder, infected.path)
        try:
            yield parent, name
        finally:
            os.close(parent)
    except OSError as error:
        path = shown(infected.path)["path"]
        raise from_oserror(error, "move it to the quarantine", path) from error


def _keep(folder: str, infected: Infected, place: str, disk: str) -> dict[str, t.Any]:
    """What was kept, and where, once that is durable."""
    with _found(folder, infected) as (parent, name):
        fd = os.open(name, os.O_RDONLY | _FLAGS, dir_fd=parent)
        with os.fdopen(fd, "rb") as source:
            path = _copy(source, infected, place, disk)
    return {**shown(infected.path), "signature": infected.signature, "quarantined": path}


def _remove(folder: str, infected: Infected) -> None:
    with _found(folder, infected) as (parent, name):
        fd = os.open(name, os.O_WRONLY | _FLAGS, dir_fd=parent)
        with os.fdopen(fd, "wb") as victim:
            _wipe(victim)
        os.unlink(name, dir_fd=parent)
        os.fsync(parent)


def _copy(source: t.BinaryIO, infected: Infected, place: str, disk: str) -> str:
    """The path of the copy."""
    info = os.fstat(source.fileno())
    if not stat.S_ISREG(info.st_mode):
        raise OSError(0, "it is no file any more")
    name = hashlib.sha256(infected.path + b"\0" + os.fsencode(disk)).hexdigest()[:16]
    path = os.path.join(place, f"{name}-{int(time.time())}.quarantined")
    digest = _copy_bytes(source, path)
    facts = {
        **shown(infected.path),
        "disk": disk,
        "signature": infected.signature,
        "sha256": digest,
        "size": info.st_size,
        "mode": f"{stat.S_IMODE(info.st_mode):04o}",
        "uid": info.st_uid,
        "gid": info.st_gid,
        "mtime_ns": info.st_mtime_ns,
        "links": info.st_nlink,
    }
    write_durably(f"{path}.json", json.dumps(facts, indent=1, sort_keys=True).encode())
    return path


def _copy_bytes(source: t.BinaryIO, path: str) -> str:
    """Durably, or not at all; their digest."""
    digest = hashlib.sha256()
    with open(path, "xb", opener=_nobody) as copy:
        try:
            while piece := source.read(_CHUNK):
                digest.update(piece)
                copy.write(piece)
            copy.flush()
            os.fsync(copy.fileno())
        except BaseException:
            os.unlink(path)
            raise
    return digest.hexdigest()


def _wipe(source: t.BinaryIO) -> None:
    """Other names of it, which are infected as well, read as zeros from now on."""
    size = os.fstat(source.fileno()).st_size
    for at in range(0, size, _CHUNK):
        source.write(bytes(min(_CHUNK, size - at)))
    source.flush()
    os.fsync(source.fileno())


def _nobody(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0)
