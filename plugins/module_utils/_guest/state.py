# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The journal of a mount: what there is to undo, written down before it is made."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import time
import typing as t

from .._device.errors import MountFailed, from_oserror
from .._device.files import TEMPORARY_SUFFIX, remove_if_there, write_durably
from .daemon import CLOSED, FUSE, LOG, disk_file
from .mountinfo import mounts
from .processes import Process, boot_id, holder

if t.TYPE_CHECKING:
    from collections.abc import Iterator

RUN_DIRECTORY = "/run/vdisk-lifecycle"  # VDISK_RUN_DIR says another
_STATE = "state.json"
_GLANCE_SECONDS = 0.2  # what was killed a moment ago has let go by then
_GONE = Process(0, 0)
_LOCK_SECONDS = 300  # as long as another run may take to mount or unmount


@dataclasses.dataclass
class Journal:
    """Everything made for one mount, in the order of making. Undone from the end."""

    mount_point: str
    reference: str
    wanted: str | None
    read_only: bool
    boot: str = dataclasses.field(default_factory=boot_id)
    directories: list[str] = dataclasses.field(default_factory=list)
    served: bool = False  # by a daemon of ours, not straight from a file
    daemon: Process | None = None
    backing: str | None = None  # the file under the loop device, and where in it
    offset: int = 0
    volume: dict[str, t.Any] | None = None
    mount_number: int | None = None
    device: str | None = None
    complete: bool = False


class StateFolder:
    """The folder of one mount point. Being inside locked() gives the right to change it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = os.path.basename(path)
        self.fuse = os.path.join(path, FUSE)

    @classmethod
    def of(cls, mount_point: str) -> StateFolder:
        return cls(os.path.join(_mounts_directory(), _name_of(mount_point)))

    @classmethod
    def all(cls) -> list[StateFolder]:
        folder = _mounts_directory()
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return [cls(os.path.join(folder, name)) for name in names]

    def load(self) -> Journal | None:
        """None where nothing was made, or is left."""
        try:
            with open(os.path.join(self.path, _STATE), "rb") as stream:
                data = stream.read()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise from_oserror(error, "read the state of the mount", self.path) from error
        try:
            return _parse(data)
        except (ValueError, TypeError, KeyError, AttributeError):
            return self._guess()

    def _guess(self) -> Journal:
        """A half-made mount, as far as can be told without its journal.

        The folder's name is made of the mount point's, and a disk that a daemon of ours shows is
        inside of it. A file of the user's under a loop device is not known any more: that is let
        go when somebody unmounts it.
        """
        points = (mount.point for mount in mounts())
        point = next((point for point in points if _name_of(point) == self.name), self.path)
        journal = Journal(point, "(its state.json is damaged)", None, True)
        journal.served, journal.backing = True, disk_file(self.path)
        journal.daemon = holder(os.path.join(self.path, LOG)) or _GONE
        return journal

    def save(self, journal: Journal) -> None:
        """Durable when it returns."""
        text = json.dumps(dataclasses.asdict(journal), indent=1)
        write_durably(os.path.join(self.path, _STATE), text.encode())

    def closing_report(self) -> dict[str, t.Any] | None:
        """What the daemon left when it closed the disk; None when it did not get that far."""
        try:
            with open(os.path.join(self.path, CLOSED), "rb") as stream:
                return t.cast("dict[str, t.Any]", json.load(stream))
        except FileNotFoundError:
            return None

    def clear(self) -> None:
        """Forget the mount; the folder itself goes with its lock. The journal goes last, so that
        a killed clearing is repeated."""
        for name in (LOG, CLOSED, CLOSED + TEMPORARY_SUFFIX, _STATE + TEMPORARY_SUFFIX):
            remove_if_there(os.path.join(self.path, name))
        remove_directory(self.fuse)
        remove_if_there(os.path.join(self.path, _STATE))

    @contextlib.contextmanager
    def locked(self, *, wait: bool = True) -> Iterator[bool]:
        """Keep other runs out; the folder is made if need be.

        False: another run has it, and we did not want to wait. Raises MountFailed.
        """
        end = time.monotonic() + (_LOCK_SECONDS if wait else _GLANCE_SECONDS)
        fd = self._try_lock()
        while fd is None and time.monotonic() < end:
            time.sleep(0.02)
            fd = self._try_lock()
        if fd is None and wait:
            reason = f"another run has been busy with it for {_LOCK_SECONDS} seconds"
            raise MountFailed(reason, path=self.path)
        try:
            yield fd is not None
        finally:
            if fd is not None:
                if self.load() is None:
                    self.clear()
                    remove_directory(self.path)
                os.close(fd)

    def _try_lock(self) -> int | None:
        """A lock on the folder itself, unless it was removed meanwhile."""
        # It may be removed between any two of these calls; makedirs() stumbles over that as well.
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if os.path.samestat(os.fstat(fd), os.stat(self.path)):
                    return fd
            except (BlockingIOError, FileNotFoundError):
                pass
            os.close(fd)
        return None


def remove_directory(path: str) -> None:
    """Remove it if it is there and empty."""
    with contextlib.suppress(OSError):
        os.rmdir(path)


def _name_of(mount_point: str) -> str:
    return hashlib.sha256(os.fsencode(mount_point)).hexdigest()[:16]


def _parse(data: bytes) -> Journal:
    """Raises ValueError, TypeError, KeyError, AttributeError for what is no journal."""
    facts = json.loads(data)
    if facts["daemon"] is not None:
        facts["daemon"] = Process(*facts["daemon"])
    known = {field.name for field in dataclasses.fields(Journal)}
    # Another version of the collection may have mounted it and know more.
    return Journal(**{name: facts[name] for name in known & facts.keys()})


def _mounts_directory() -> str:
    return os.path.join(os.environ.get("VDISK_RUN_DIR", RUN_DIRECTORY), "mounts")
