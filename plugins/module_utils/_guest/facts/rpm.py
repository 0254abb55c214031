# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The packages of Red Hat, SUSE and others: rpm's database, in SQLite or Berkeley DB."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tempfile
import typing as t

from ..._device.errors import UnsupportedDisk
from . import berkeley
from .rpm_header import package_of

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .package import Package
    from .root import GuestRoot

FOLDERS = ("/var/lib/rpm", "/usr/lib/sysimage/rpm")
_SQLITE, _BERKELEY, _NDB = "rpmdb.sqlite", "Packages", "Packages.db"
_JOURNALS = ("", "-wal")
_LARGEST = 1 << 30  # bytes
_STEPS = 1_000_000_000  # of SQLite's machine: some minutes; a database can be made never to end
_STEPS_AT_ONCE = 1_000_000


def packages(root: GuestRoot) -> list[Package]:
    """Raises UnsupportedDisk for a database that is damaged, or of another kind; DiskIOError."""
    for folder in FOLDERS:
        names = root.names(folder)
        if _SQLITE in names:
            return _found(root, f"{folder}/{_SQLITE}", _from_sqlite(root, folder))
        if _BERKELEY in names:
            data = root.read(f"{folder}/{_BERKELEY}", _LARGEST) or b""
            return _found(root, f"{folder}/{_BERKELEY}", berkeley.values(data))
        if _NDB in names:
            raise UnsupportedDisk(
                "rpm's own database format is not read", path=root.folder + folder
            )
    return []


def _found(root: GuestRoot, path: str, blobs: Iterable[bytes]) -> list[Package]:
    try:
        return [package for blob in blobs if (package := package_of(blob)) is not None]
    except (ValueError, TypeError, sqlite3.Error) as error:
        raise UnsupportedDisk(
            "the database of rpm cannot be read", path=root.folder + path, found=str(error)
        ) from error


def _from_sqlite(root: GuestRoot, folder: str) -> Iterator[bytes]:
    """From a copy: SQLite wants to write beside what it reads."""
    with tempfile.TemporaryDirectory(prefix="vdisk-rpm-") as place:
        for suffix in _JOURNALS:
            _copy(root, f"{folder}/{_SQLITE}{suffix}", os.path.join(place, _SQLITE + suffix))
        with contextlib.closing(sqlite3.connect(os.path.join(place, _SQLITE))) as database:
            left = iter(range(_STEPS // _STEPS_AT_ONCE))
            database.set_progress_handler(lambda: next(left, None) is None, _STEPS_AT_ONCE)
            database.execute("PRAGMA trusted_schema = OFF")
            for (blob,) in database.execute("SELECT blob FROM Packages"):
                yield blob


def _copy(root: GuestRoot, path: str, target: str) -> None:
    with root.opened(path) as source:
        if source is None:
            return
        if os.fstat(source.fileno()).st_size > _LARGEST:
            raise ValueError(f"larger than {_LARGEST} bytes")
        with open(target, "wb") as copy:
            shutil.copyfileobj(source, copy, 1 << 20)
