# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Changing several files as one: a list of renames and removals that survives a crash."""

from __future__ import annotations

import fcntl
import json
import os
import typing as t

from .._device.errors import CorruptDisk, DiskError, from_oserror
from .._device.files import (
    TEMPORARY_SUFFIX,
    File,
    remove_if_there,
    replace_durably,
    sync_directory,
)
from .paths import contained, folder_of

if t.TYPE_CHECKING:
    from collections.abc import Sequence

SUFFIX = ".vdisk-journal"


def commit(disk: str, finished: Sequence[str], removed: Sequence[str] = ()) -> None:
    """Give the files `finished` their names, then remove others, in that order, all or none.

    Each finished file waits, flushed, as `<name>.vdisk-tmp`. Paths lie in the disk's folder.
    """
    folder = folder_of(disk)
    plan = {
        "finished": [os.path.relpath(path, folder) for path in finished],
        "removed": [os.path.relpath(path, folder) for path in removed],
    }
    path = disk + SUFFIX
    temporary = path + TEMPORARY_SUFFIX
    remove_if_there(temporary)
    with File.create(temporary) as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)  # finish() elsewhere waits until we are through
        file.write(0, json.dumps(plan, indent=1).encode())
        file.flush()
        replace_durably(temporary, path)
        _apply(disk, plan)


def finish(disk: str) -> None:
    """Complete what a killed job had committed. Nothing to do is the normal case."""
    if not os.path.exists(disk + SUFFIX):
        return
    with File(disk + SUFFIX) as file:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX)
        if os.fstat(file.fileno()).st_nlink:  # else somebody else has just finished it
            _apply(disk, _parse(file))


def _parse(file: File) -> dict[str, list[str]]:
    try:
        plan = json.loads(bytes(file.read(0, file.size)))
        names = {key: [str(name) for name in plan[key]] for key in ("finished", "removed")}
        if "\0" in "".join(names["finished"] + names["removed"]):
            raise ValueError("no file has such a name")
        return names
    except (ValueError, KeyError, TypeError):
        raise CorruptDisk(
            "this journal of an interrupted job cannot be read",
            path=file.path,
            hint="Check the files of the disk, then remove the journal.",
        ) from None


def _apply(disk: str, plan: dict[str, list[str]]) -> None:
    """Every step may have been done before."""
    finished = [contained(disk, name) for name in plan["finished"]]
    removed = [contained(disk, name) for name in plan["removed"]]
    for path in finished:
        try:
            os.replace(path + TEMPORARY_SUFFIX, path)
        except FileNotFoundError:
            _require(path)
        except OSError as error:
            raise from_oserror(error, "move the finished file into place", path) from error
    _sync(disk)
    for path in removed:
        remove_if_there(path)
    remove_if_there(disk + SUFFIX)
    _sync(disk)


def _sync(disk: str) -> None:
    try:
        sync_directory(folder_of(disk))
    except OSError as error:
        raise from_oserror(error, "flush its folder", disk) from error


def _require(path: str) -> None:
    if not os.path.exists(path):
        raise DiskError(
            "is missing: an interrupted job had finished it",
            path=path,
            hint="Restore the disk from a good copy, then remove the journal beside it.",
        )
