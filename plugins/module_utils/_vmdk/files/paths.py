# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which files a disk may name: those in its own folder, and where the user allows more."""

from __future__ import annotations

import os
import stat
import typing as t

from ..._device.errors import DiskNotFound, NotADisk, UnsafePath

if t.TYPE_CHECKING:
    from collections.abc import Iterable


def folder_of(path: str) -> str:
    """The folder in which the files of a disk are looked for; a link to a disk is followed."""
    return os.path.dirname(os.path.realpath(path))


def contained(owner: str, name: str, allow_outside: Iterable[str] = ()) -> str:
    """The path of the file `name` that the disk `owner` names.

    Raises UnsafePath where it leads out of the disk's folder, by whatever road.
    """
    folder = folder_of(owner)
    path = os.path.join(folder, name)
    real = os.path.realpath(path)
    if any(_is_below(real, os.path.realpath(root)) for root in (folder, *allow_outside)):
        return path
    raise UnsafePath(
        f"names the file {name!r}, which lies outside its folder",
        path=owner,
        found=real,
        expected=f"a file below {folder}",
        hint="If you trust this disk, name that folder in allow_outside.",
    )


def _is_below(path: str, folder: str) -> bool:
    return os.path.commonpath([path, folder]) == folder


def require_file(path: str, owner: str) -> None:
    """Raises DiskNotFound, NotADisk where `path`, a part of the disk `owner`, is no plain file."""
    try:
        mode = os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise DiskNotFound(
            f"is missing, and {owner} consists of it",
            path=path,
            hint="Bring the file back beside its descriptor.",
        ) from None
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise NotADisk("is not a plain file", path=path)  # opening a pipe would wait for ever
