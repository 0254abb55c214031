# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Defragmenting a disk: grains in the order of the disk, files as short as can be.

Flat extents and streams are in order by nature. An extent of a split disk holds its own part of
the disk and no other, so each is put in order for itself.
"""

from __future__ import annotations

import typing as t

from ..._device.progress import Silent
from ..extents.header import SECTOR
from ..extents.sparse import SparseExtent
from .compact import (
    Layout,
    Work,
    held_extent,
    held_link,
    measure,
    open_link,
    own_parts,
    require_sound,
)
from .rebuild import rebuild, require_room

if t.TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from ..._device.progress import Progress
    from ..opening.disk import Link


class Fragmentation(t.NamedTuple):
    """How the grains of a link lie, and whether ordering them would gain something."""

    layout: Layout
    worthwhile: bool


def fragmentation(
    path: str | os.PathLike[str], *, allow_outside: Sequence[str] = ()
) -> Fragmentation:
    """Of the one link at `path`. Raises CorruptDisk and what opening it raises."""
    with open_link(path, allow_outside) as link:
        work = _measured(link)
    return Fragmentation(
        sum((each.layout for each in work), Layout()),
        any(map(_is_worthwhile, work)),
    )


def defragment(
    path: str | os.PathLike[str],
    *,
    allow_outside: Sequence[str] = (),
    progress: Progress | None = None,
) -> bool:
    """Put the grains of the one link at `path` in order; False if there is nothing to gain.

    Content, CID and descriptor stay, so parents and children do not notice. Needs room for the
    largest extent. Raises NoSpace, DiskInUse, CorruptDisk.
    """
    progress = progress or Silent()
    with held_link(path, allow_outside) as link:
        work = list(filter(_is_worthwhile, _measured(link)))
        require_room(work)
        progress.start(str(path), sum(each.layout.grains * each.grain for each in work))
        for each in work:
            with held_extent(each) as extent:
                rebuild(link, extent, each.layout, progress)
        progress.finish()
    return bool(work)


def check_defragment(path: str | os.PathLike[str], *, allow_outside: Sequence[str] = ()) -> None:
    """Raises what defragment() would raise before it writes anything."""
    with held_link(path, allow_outside) as link:
        require_room(filter(_is_worthwhile, _measured(link)))


def _measured(link: Link) -> list[Work]:
    work = [
        Work(part, measure(device, Silent()), device.header.grain_size * SECTOR)
        for device, part, _offset in own_parts(link)
        if isinstance(device, SparseExtent)
    ]
    require_sound(link)  # the tables are read by now
    return work


def _is_worthwhile(work: Work) -> bool:
    return work.layout.fragments > 1 or work.layout.surplus >= work.grain
