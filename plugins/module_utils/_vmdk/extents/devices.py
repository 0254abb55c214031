# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Extents that are block devices (fullDevice, partitionedDevice, custom; TN p.3-4)."""

from __future__ import annotations

import os
import stat
import typing as t

from ..._device.errors import UnsafePath
from ..files.paths import contained

if t.TYPE_CHECKING:
    from collections.abc import Sequence


def extent_path(owner: str, folder: str, name: str, allow_outside: Sequence[str]) -> str:
    """The path of an extent of the disk `owner`, whose real folder is `folder`.

    A device must have been allowed by its own name or its folder's: a node beside the descriptor
    is as good a road to a host's disk as a path to it. Raises UnsafePath.
    """
    if _is_plain_file(folder, name):  # nearly always; a large disk has thousands
        return os.path.join(folder, name)
    path = contained(owner, name, allow_outside)
    if not _is_block_device(path):
        return path
    real = os.path.realpath(path)
    for root in map(os.path.realpath, allow_outside):
        if os.path.commonpath([real, root]) == root:
            return path
    raise UnsafePath(
        f"names the block device {name!r}",
        path=owner,
        found=real,
        hint="If you trust this disk, name that device in allow_outside.",
    )


def _is_plain_file(folder: str, name: str) -> bool:
    """Whether it lies in the folder itself, and is no link to elsewhere."""
    if os.sep in name or not name:
        return False
    try:
        return stat.S_ISREG(os.lstat(os.path.join(folder, name)).st_mode)
    except (OSError, ValueError):
        return False


def _is_block_device(path: str) -> bool:
    try:
        return stat.S_ISBLK(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
