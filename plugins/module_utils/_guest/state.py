# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The journal of a mount: what there is to undo, written down before it is made."""

from __future__ import annotations

import dataclasses
import json
import os
import typing as t

from .._device.errors import from_oserror
from .._device.files import TEMPORARY_SUFFIX, remove_if_there, write_durably
from .daemon import FUSE
from .detached import CLOSED, LOG
from .lockedfolder import LockedFolder, name_of, remove_directory, run_directory
from .mountinfo import mounts
from .processes import Process, boot_id, holder
from .request import HOST, VOLUME

_STATE = "state.json"
_GONE = Process(0, 0)


@dataclasses.dataclass
class Part:
    """One mount: a volume, as a range of a file, at a directory."""

    point: str
    volume: dict[str, t.Any]
    backing: str
    offset: int
    device: str | None = None  # a loop device over the file; None where a program opens that itself
    number: int | None = None  # of the mount, once it is made
    sequence: str = ""  # of the loop device, whose path is used again


@dataclasses.dataclass
class Journal:
    """Everything made for one mount, in the order of making. Undone from the end."""

    mount_point: str
    reference: str
    wanted: str | None
    read_only: bool
    paths: list[str] = dataclasses.field(default_factory=list)  # all disks
    subvolume: str | None = None
    layout: str = VOLUME
    isolation: str = HOST
    transaction: dict[str, t.Any] | None = None
    lost: str = ""
    boot: str = dataclasses.field(default_factory=boot_id)
    directories: list[str] = dataclasses.field(default_factory=list)
    served: bool = False  # by a daemon of ours, not straight from a file
    daemon: Process | None = None
    appliance: Process | None = None
    parts: list[Part] = dataclasses.field(default_factory=list)  # the root first
    complete: bool = False

    @property
    def volume(self) -> dict[str, t.Any] | None:
        """Of the root."""
        return self.parts[0].volume if self.parts else None


class StateFolder(LockedFolder):
    """The folder of one mount point."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.fuse = os.path.join(path, FUSE)

    @classmethod
    def of(cls, mount_point: str) -> StateFolder:
        return cls(os.path.join(_mounts_directory(), name_of(mount_point)))

    @classmethod
    def all(cls) -> list[StateFolder]:
        folder = _mounts_directory()
        names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
        return [cls(os.path.join(folder, name)) for name in names]

    def is_empty(self) -> bool:
        return self.load() is None

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
        point = next((point for point in points if name_of(point) == self.name), self.path)
        journal = Journal(point, "(its state.json is damaged)", None, True)
        journal.served = True
        journal.daemon = holder(os.path.join(self.path, LOG)) or _GONE
        return journal

    def save(self, journal: Journal) -> None:
        """Durable when it returns."""
        text = json.dumps(dataclasses.asdict(journal), indent=1)
        write_durably(os.path.join(self.path, _STATE), text.encode())

    def clear(self) -> None:
        """Forget the mount; the folder itself goes with its lock. The journal goes last, so that
        a killed clearing is repeated."""
        for name in (LOG, CLOSED, CLOSED + TEMPORARY_SUFFIX, _STATE + TEMPORARY_SUFFIX):
            remove_if_there(os.path.join(self.path, name))
        remove_directory(self.fuse)
        remove_if_there(os.path.join(self.path, _STATE))


def _parse(data: bytes) -> Journal:
    """Raises ValueError, TypeError, KeyError, AttributeError for what is no journal."""
    facts = json.loads(data)
    for name in ("daemon", "appliance"):
        if facts[name] is not None:
            facts[name] = Process(*facts[name])
    facts["parts"] = [Part(**_known(Part, part)) for part in facts["parts"]]
    return Journal(**_known(Journal, facts))


def _known(kind: type, facts: dict[str, t.Any]) -> dict[str, t.Any]:
    """Another version of the collection may have mounted it and know more."""
    known = {field.name for field in dataclasses.fields(kind)}
    return {name: facts[name] for name in known & facts.keys()}


def _mounts_directory() -> str:
    return run_directory("mounts")
