# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""All pages of an answer of QueryChangedDiskAreas as one list of runs."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError
from ..._device.extent import Extent, Kind, clip, merge

if t.TYPE_CHECKING:
    from collections.abc import Callable


class ChangesUnknown(DiskError):
    """What vSphere says about the changes of a disk cannot be relied on."""


class Area(t.Protocol):
    """vim.VirtualMachine.DiskChangeInfo.DiskChangeExtent, in bytes."""

    start: int
    length: int


class Page(t.Protocol):
    """vim.VirtualMachine.DiskChangeInfo: what is known of one part of the disk, in bytes."""

    startOffset: int  # noqa: N815
    length: int
    changedArea: list[Area]  # noqa: N815


def all_areas(query: Callable[[int], Page], capacity: int) -> list[Extent]:
    """Sorted runs of DATA that do not touch, within `capacity`; query() takes a start offset.

    An empty page says only that its own part did not change, and a query at the end of the disk is
    an error: so the part that a page speaks of decides what comes next. Raises ChangesUnknown.
    """
    found: list[Extent] = []
    start = 0
    while start < capacity:
        page = query(start)
        if page.startOffset != start:
            raise _nonsense("answers about another part of the disk", page.startOffset, start)
        if page.length <= 0:
            raise _nonsense("answers about no part of the disk", page.length, "more than 0", start)
        found.extend(_run(area) for area in page.changedArea or ())
        start += page.length
    return _arranged(found, capacity)


def _run(area: Area) -> Extent:
    if area.start < 0 or area.length <= 0:
        raise _nonsense("names an impossible area", f"{area.length} bytes at {area.start}", "a run")
    return Extent(area.start, area.length, Kind.DATA)


def _arranged(found: list[Extent], capacity: int) -> list[Extent]:
    found.sort()
    for index in range(1, len(found)):
        if found[index].offset < found[index - 1].end:
            raise _nonsense("names an area twice", found[index].offset, found[index - 1].end)
    return list(merge(clip(found, 0, capacity)))


def _nonsense(
    what: str, found: object, expected: object, offset: int | None = None
) -> ChangesUnknown:
    return ChangesUnknown(
        f"changed block tracking {what}", offset=offset, found=found, expected=expected
    )
