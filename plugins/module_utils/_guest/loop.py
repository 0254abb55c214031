# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Loop devices, through the kernel's own calls (linux/loop.h).

Every device frees itself when its last user closes it (LO_FLAGS_AUTOCLEAR): whoever attaches
holds it open until it is mounted, so that a process that dies in between leaves nothing.
The file stays open inside the kernel, and with it any lock taken on it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
import time
import typing as t

from .._device.errors import MountFailed, from_oserror

if t.TYPE_CHECKING:
    from collections.abc import Iterator

_GET_FREE, _CONFIGURE, _CLEAR = 0x4C82, 0x4C0A, 0x4C01
_CONFIG = struct.Struct("=II QQQQQ IIII 64s64s32s QQ 64x")  # struct loop_config
_READ_ONLY, _AUTOCLEAR, _DIRECT_IO = 1, 4, 16
_READ_AHEAD_KIB = 1024  # with 128, the default, a FUSE file is read at a fifth of the speed
_ATTEMPTS = 100  # others may take the free device first
_CONTROL = "/dev/loop-control"


class Loop(t.NamedTuple):
    """An attached loop device, as sysfs shows it. `sequence` differs each time it is attached."""

    path: str
    backing: str
    offset: int
    sequence: str


@contextlib.contextmanager
def attached(
    fd: int, offset: int, size: int, *, read_only: bool, direct: bool = True
) -> Iterator[str]:
    """The path of a device that shows bytes of a file; gone afterwards unless then mounted.

    direct: past the page cache of that file; without it, small reads of real files are much faster.
    Raises MountFailed.
    """
    try:
        flags = _AUTOCLEAR | (_DIRECT_IO if direct else 0) | (_READ_ONLY if read_only else 0)
        path, device = _attach(fd, offset, size, flags)
    except OSError as error:
        reason = f"cannot attach a loop device: {error.strerror}"
        hint = "Linux 5.8 or newer, the loop module and root's rights are needed."
        raise MountFailed(reason, hint=hint) from error
    try:
        _read_ahead(path)
        yield path
    finally:
        os.close(device)


def _attach(fd: int, offset: int, size: int, flags: int) -> tuple[str, int]:
    mode = os.O_RDONLY if flags & _READ_ONLY else os.O_RDWR
    for _attempt in range(_ATTEMPTS):
        path = f"/dev/loop{_free_number()}"
        device = os.open(path, mode | os.O_CLOEXEC)
        info = (0, 0, 0, offset, size, 0, 0, 0, flags, b"", b"", b"", 0, 0)
        try:
            fcntl.ioctl(device, _CONFIGURE, _CONFIG.pack(fd, 0, *info))
            return path, device
        except OSError as error:
            os.close(device)
            if error.errno != errno.EBUSY:
                raise
    raise OSError(errno.EBUSY, "no loop device is free")


def _free_number() -> int:
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, _GET_FREE)
    finally:
        os.close(control)


def _read_ahead(path: str) -> None:
    name = f"/sys/block/{os.path.basename(path)}/queue/read_ahead_kb"
    with contextlib.suppress(OSError), open(name, "w") as stream:
        stream.write(str(_READ_AHEAD_KIB))


def loops() -> list[Loop]:
    """Every attached device. Asks sysfs only, which never waits for the file's server."""
    found = [_describe(name) for name in os.listdir("/sys/block") if name.startswith("loop")]
    return [loop for loop in found if loop is not None]


def find(backing: str, offset: int) -> list[Loop]:
    """The devices over what begins at one place of a file."""
    return [loop for loop in loops() if loop.backing == backing and loop.offset == offset]


def below(prefix: str) -> list[Loop]:
    """The devices over files whose paths begin so."""
    return [loop for loop in loops() if loop.backing.startswith(prefix)]


def _describe(name: str) -> Loop | None:
    try:
        backing = _attribute(name, "loop/backing_file")
        offset = int(_attribute(name, "loop/offset"))
    except (OSError, ValueError):  # not attached, or just let go
        return None
    return Loop(f"/dev/{name}", backing, offset, sequence_of(name))


def sequence_of(device: str) -> str:
    """Another one each time it is attached; empty before Linux 5.15."""
    try:
        return _attribute(os.path.basename(device), "diskseq")
    except OSError:
        return ""


def _attribute(name: str, attribute: str) -> str:
    with open(f"/sys/block/{name}/{attribute}", errors="surrogateescape", newline="\n") as stream:
        return stream.read().rstrip("\n")


def wait_free(loop: Loop, seconds: float) -> bool:
    """Whether a device that nobody should use any more is let go in time."""
    end = time.monotonic() + seconds
    pause = 0.01
    while loop in loops():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
        pause = min(2 * pause, 0.5)
    return True


def frees_itself(loop: Loop) -> bool:
    """Whether the kernel lets it go with its last user."""
    try:
        return _attribute(os.path.basename(loop.path), "loop/autoclear") == "1"
    except OSError:  # gone
        return True


def detach(loop: Loop) -> None:
    """Let it go as soon as nobody has it open. Raises DiskIOError."""
    try:
        device = os.open(loop.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(device, _CLEAR)
        finally:
            os.close(device)
    except OSError as error:
        if error.errno != errno.ENXIO:  # it is free already
            raise from_oserror(error, "detach the loop device", loop.path) from error
