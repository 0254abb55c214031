# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The places of a disk where something deleted may be: volumes, and what lies between them."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError
from ..._device.slice import SliceDevice
from ..discover import find_volumes
from ..volumes import choose
from .deleted import Area

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import BlockDevice
    from ..volumes import Volume

_ENCRYPTED = "crypto_LUKS"
_SMALLEST_GAP = 4096  # bytes
Range = tuple[int, int]


def areas(device: BlockDevice, wanted: str | None) -> Iterator[Area | tuple[str, str]]:
    """Each as an Area, or as (name, why it cannot be looked at). `wanted` picks a volume.

    What other volumes lie on is not looked at but where they are not.
    Raises CorruptDisk, InvalidRequest.
    """
    volumes = find_volumes([device])
    named = [volume for volume in volumes if wanted is None or volume.answers_to(wanted)]
    if not named and wanted is not None:
        choose(volumes, wanted)  # says what there is
    for volume in named:
        inner = [_range(each) for each in volumes if _is_inside(each, volume)]
        if inner:
            yield from _between(device, *_range(volume), inner, _name(volume))
        else:
            yield _area(device, volume)
    if wanted is None:
        placed = [_range(volume) for volume in volumes if volume.place is not None]
        yield from _between(device, 0, device.size, placed, "unpartitioned")


def _area(device: BlockDevice, volume: Volume) -> Area | tuple[str, str]:
    kind = volume.filesystem.kind if volume.filesystem else None
    name = _name(volume)
    if kind == _ENCRYPTED:
        return name, "encrypted: what was deleted in it cannot be looked for"
    try:
        content = volume.open([device])
    except DiskError as error:
        return name, str(error)
    return Area(name, content, kind, volume.place[1] if volume.place else None)


def _between(
    device: BlockDevice, start: int, end: int, used: list[Range], name: str
) -> Iterator[Area]:
    """What of a range no used one covers."""
    for first, last in sorted([*used, (end, end)]):
        if first - start >= _SMALLEST_GAP:
            yield Area(name, SliceDevice(device, start, first - start), None, start)
        start = max(start, last)


def _range(volume: Volume) -> Range:
    start = volume.place[1] if volume.place else 0
    return start, start + volume.size


def _is_inside(inner: Volume, outer: Volume) -> bool:
    if inner is outer or inner.place is None or outer.place is None or inner == outer:
        return False
    (first, last), (start, end) = _range(inner), _range(outer)
    return start <= first and last <= end and (last - first) < (end - start)


def _name(volume: Volume) -> str:
    return (volume.goes_by_name and volume.name) or str(volume.partition.number)
