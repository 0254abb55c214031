# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A checksum of each grain of an overlay, so that nobody commits what has rotted meanwhile."""

from __future__ import annotations

import typing as t
import zlib
from array import array

from .device import read
from .errors import CorruptDisk
from .extent import Extent, Kind, merge, pieces
from .files import File
from .overlay import GRAIN
from .pipeline import ordered_map

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .kept_overlay import KeptOverlay

SUMS_SUFFIX = ".sums"
_PIECE = 32 * GRAIN
_ITEM = array("I").itemsize


def make_sums(path: str, size: int) -> None:
    """None yet. Durable but for its name."""
    with File.create(path + SUMS_SUFFIX) as file:
        file.truncate(-(-size // GRAIN) * _ITEM)
        file.flush()


def note_sums(overlay: KeptOverlay, path: str, grains: Iterable[int]) -> None:
    """Of grains that were written, durably. Raises NoSpace."""
    runs = merge(_extent(grain, overlay.size) for grain in sorted(grains))
    with File(path + SUMS_SUFFIX, writable=True) as file:
        for piece, sums in ordered_map(lambda piece: (piece, _sums(overlay, piece)), _cut(runs)):
            file.write(piece.offset // GRAIN * _ITEM, sums.tobytes())
        file.flush()


def require_sums(overlay: KeptOverlay, path: str) -> None:
    """Raises CorruptDisk where a grain is not what was noted."""
    with File(path + SUMS_SUFFIX) as file:

        def look(piece: Extent) -> int | None:
            sums = _sums(overlay, piece)
            noted = file.read(piece.offset // GRAIN * _ITEM, len(sums) * _ITEM)
            if sums.tobytes() == noted:
                return None
            pairs = enumerate(zip(sums, array("I", bytes(noted)), strict=True))
            wrong = [number for number, (found, wanted) in pairs if found != wanted]
            return piece.offset + wrong[0] * GRAIN

        for offset in ordered_map(look, _cut(overlay.written_runs())):
            if offset is not None:
                raise CorruptDisk(
                    "the overlay of this transaction is damaged, nothing of it was applied",
                    path=path,
                    offset=offset,
                    found="another checksum than when it was closed",
                    hint="Discard the transaction (vmdk_mount, state: discarded); look at the disk"
                    " that holds the overlay.",
                )


def _extent(grain: int, size: int) -> Extent:
    return Extent(grain * GRAIN, min(GRAIN, size - grain * GRAIN), Kind.DATA)


def _cut(runs: Iterable[Extent]) -> Iterable[Extent]:
    return pieces(runs, _PIECE)


def _sums(overlay: KeptOverlay, piece: Extent) -> array[int]:
    view = memoryview(read(overlay, piece.offset, piece.length))
    return array("I", [zlib.crc32(view[at : at + GRAIN]) for at in range(0, piece.length, GRAIN)])
