# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a disk held in the places that a commit is going to write: a checksum of each sector.

A commit that was cut off goes on only where every sector is as before or as after. So it never
goes over a backup that somebody has restored meanwhile.
"""

from __future__ import annotations

import os
import typing as t
import zlib
from array import array

from ..._device.copy import PIECE
from ..._device.device import read
from ..._device.errors import CorruptDisk, DiskNotFound
from ..._device.extent import pieces
from ..._device.files import File, remove_if_there, sync_directory
from ..._device.pipeline import ordered_map
from ..._device.transaction_overlay import BEFORE_SUFFIX

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import BlockDevice
    from ..._device.extent import Extent
    from ..._device.kept_overlay import KeptOverlay

_SECTOR = 512
_ITEM = array("I").itemsize


class Part(t.NamedTuple):
    """A run that lives in the overlay; `place` counts the sectors of all runs before it."""

    extent: Extent
    place: int


def parts_of(overlay: KeptOverlay) -> Iterator[Part]:
    """All of it, in pieces."""
    place = 0
    for piece in pieces(overlay.written_runs(), PIECE):
        yield Part(piece, place)
        place += -(-piece.length // _SECTOR)


def record(disk: BlockDevice, overlay: KeptOverlay, path: str) -> None:
    """Write them down beside the overlay, durably. Raises NoSpace."""

    def look(part: Part) -> array[int]:
        return _sums(read(disk, part.extent.offset, part.extent.length))

    remove_if_there(path + BEFORE_SUFFIX)
    with File.create(path + BEFORE_SUFFIX) as file:
        offset = 0
        for sums in ordered_map(look, parts_of(overlay)):
            data = sums.tobytes()
            file.write(offset, data)
            offset += len(data)
        file.flush()
    sync_directory(os.path.dirname(path))


def require_known(disk: BlockDevice, overlay: KeptOverlay, path: str, name: str, mark: str) -> None:
    """Raises CorruptDisk where a sector is neither as before nor as after."""
    with _opened(path, mark) as file:

        def look(part: Part) -> int | None:
            now = read(disk, part.extent.offset, part.extent.length)
            after = read(overlay, part.extent.offset, part.extent.length)
            if now == after:
                return None
            count = -(-part.extent.length // _SECTOR)
            before = array("I", bytes(file.read(part.place * _ITEM, count * _ITEM)))
            sector = _foreign(now, after, before)
            return None if sector is None else part.extent.offset + sector * _SECTOR

        for foreign in ordered_map(look, parts_of(overlay)):
            if foreign is not None:
                raise _neither(name, foreign, mark)


def _opened(path: str, mark: str) -> File:
    try:
        return File(path + BEFORE_SUFFIX)
    except DiskNotFound:
        raise CorruptDisk(
            "a part of this transaction is missing, so its commit cannot go on",
            path=path + BEFORE_SUFFIX,
            hint=f"Bring it back; or remove {mark}, and then restore the disk.",
        ) from None


def _sums(data: bytearray) -> array[int]:
    view = memoryview(data)
    return array("I", [zlib.crc32(view[at : at + _SECTOR]) for at in range(0, len(data), _SECTOR)])


def _foreign(now: bytearray, after: bytearray, before: array[int]) -> int | None:
    """The first sector that is neither."""
    for sector, found in enumerate(_sums(now)):
        place = slice(sector * _SECTOR, (sector + 1) * _SECTOR)
        if found != before[sector] and now[place] != after[place]:
            return sector
    return None


def _neither(name: str, offset: int, mark: str) -> CorruptDisk:
    return CorruptDisk(
        "was changed by somebody else while its commit was cut off, so it is not finished",
        path=name,
        offset=offset,
        found="neither what was there before the commit nor what it writes there",
        hint=f"If it was restored, remove {mark}; else remove that, and then restore the disk.",
    )
