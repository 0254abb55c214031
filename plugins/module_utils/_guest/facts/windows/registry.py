# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The registry of a Windows guest, read from its files."""

from __future__ import annotations

import typing as t

from .hive import Hive

if t.TYPE_CHECKING:
    from ..root import GuestRoot
    from .hive import Key

FOLDER = "Windows/System32/config"
_LARGEST = 1 << 30  # bytes of a hive


class Registry:
    """The hives of a guest, each read when it is first needed. Raises DiskIOError, CorruptDisk."""

    def __init__(self, root: GuestRoot, folder: str) -> None:
        self._root = root
        self._folder = folder
        self._hives: dict[str, Hive | None] = {}

    @classmethod
    def of(cls, root: GuestRoot) -> Registry | None:
        """None for a guest that is no Windows."""
        folder = found(root, FOLDER)
        return None if folder is None else cls(root, folder)

    def hive(self, name: str) -> Hive | None:
        if name not in self._hives:
            path = found(self._root, name, self._folder)
            data = None if path is None else self._root.read(path, _LARGEST)
            self._hives[name] = None if data is None else Hive(data, f"{self._root.folder}{path}")
        return self._hives[name]

    def software(self, path: str) -> Key | None:
        """A key of HKEY_LOCAL_MACHINE\\SOFTWARE."""
        hive = self.hive("SOFTWARE")
        return None if hive is None else hive.key(path)

    def control(self, path: str) -> Key | None:
        """A key of the control set with which the system starts."""
        hive = self.hive("SYSTEM")
        if hive is None:
            return None
        chosen = hive.key("Select")
        number = (chosen and chosen.number("Current")) or 1
        return hive.key(f"ControlSet{number:03}\\{path}")

    def accounts(self, path: str) -> Key | None:
        """A key of the accounts of this machine."""
        hive = self.hive("SAM")
        return None if hive is None else hive.key(f"SAM\\Domains\\Account\\{path}")

    def left_open(self) -> list[str]:
        """In words, which of the hives that were read may be behind their logs."""
        return [
            f"{self._folder}/{name}: Windows had not written all of it when it stopped; what it "
            "changed last may be missing here"
            for name, hive in self._hives.items()
            if hive is not None and not hive.was_closed
        ]


def found(root: GuestRoot, path: str, folder: str = "") -> str | None:
    """The path as the file system spells it: Windows cares for no case, its drivers here do."""
    for wanted in path.split("/"):
        names = root.names(folder or "/")
        name = next((name for name in names if name.lower() == wanted.lower()), None)
        if name is None:
            return None
        folder = f"{folder}/{name}"
    return folder
