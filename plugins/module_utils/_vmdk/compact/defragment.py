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
from .compact import Layout, held_link, measure, open_link, require_sound, sparse_parts
from .rebuild import rebuild

if t.TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from ..._device.progress import Progress
    from ..extents.sparse import SparseExtent
    from ..opening.disk import Link

_Work = list[tuple["SparseExtent", Layout]]


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
        sum((layout for _part, layout in work), Layout()),
        any(_is_worthwhile(part, layout) for part, layout in work),
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
        work = [(part, layout) for part, layout in _measured(link) if _is_worthwhile(part, layout)]
        progress.start(str(path), sum(layout.grains * _grain(part) for part, layout in work))
        for part, layout in work:
            rebuild(link, part, layout, progress)
        progress.finish()
    return bool(work)


def _measured(link: Link) -> _Work:
    work = [(part, measure(part, Silent())) for part in sparse_parts(link)]
    require_sound(link)  # the tables are read by now
    return work


def _is_worthwhile(part: SparseExtent, layout: Layout) -> bool:
    return layout.fragments > 1 or layout.surplus >= _grain(part)


def _grain(part: SparseExtent) -> int:
    return part.header.grain_size * SECTOR
