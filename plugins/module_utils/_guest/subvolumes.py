# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What to say to somebody who wants a subvolume of btrfs that is not there."""

from __future__ import annotations

import typing as t

from .._device.errors import DiskError, InvalidRequest
from .command import run
from .mount import mount, unmount

if t.TYPE_CHECKING:
    from .mount import What

TOP = "subvolid=5"  # the root of all others, btrfs-subvolume(8)
_SECONDS = 30
_LISTED = 20  # as many as a message can bear


def explain(what: What, point: str, error: DiskError) -> DiskError:
    """Lists what there is, mounted for that at `point` for a moment."""
    try:
        names = _names(what, point)
    except DiskError:
        return error
    wanted = (what.subvolume or "").partition("=")[2]
    if wanted.strip("/") in names:
        return error
    listed = ", ".join(names[:_LISTED]) + (", …" if len(names) > _LISTED else "")
    return InvalidRequest(
        f"there is no subvolume {wanted!r}. This btrfs has: {listed or 'no subvolumes'}"
    )


def _names(what: What, point: str) -> list[str]:
    mount(what._replace(subvolume=TOP), point, read_only=True)
    try:
        text = run(["btrfs", "subvolume", "list", point], _SECONDS, package="btrfs-progs")
    finally:
        unmount(point)
    return [line.partition(" path ")[2] for line in text.splitlines()]
