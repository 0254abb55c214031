# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading a disk in every way there is; all of them must tell the same."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

from .limits import require

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import BlockDevice

PIECE = 2048  # bytes: half of the smallest grain of a hosted disk, so that cut ones show
_MOST_PIECES, _MOST_RUNS = 96, 2000
_NEAR = 3001  # bytes around the border of a run that are read in odd parts
_ODD = ((0, 1), (1, 512), (511, 2999), (2999, 3003), (3001, 6002))


@dataclasses.dataclass
class Look:
    """pieces: what could be read, by byte of the disk; None where that is an error."""

    size: int
    pieces: dict[int, bytes | None]
    runs: list[Extent]
    complete: bool  # extents() came to its end


def look_at(path: Path, places: Iterable[int] = ()) -> Look | None:
    """None where the disk cannot be opened. `places`: more to read. Raises Violation."""
    try:
        with open_disk(path) as disk:
            return _look(disk, places)
    except DiskError:
        return None


def _look(disk: BlockDevice, places: Iterable[int]) -> Look:
    runs, complete = _runs(disk)
    _check_runs(runs, disk.size, complete)
    wanted = sorted({*_places(runs, disk.size), *places})
    pieces = {place: _piece(disk, place) for place in wanted if place < disk.size}
    for run in runs:
        if run.kind is Kind.ZERO:
            _check_zeros(disk, run)
    for run in runs[:16]:
        _check_odd_reads(disk, run.end)
    return Look(disk.size, pieces, runs, complete)


def _runs(disk: BlockDevice) -> tuple[list[Extent], bool]:
    runs: list[Extent] = []
    try:
        runs.extend(itertools.islice(disk.extents(), _MOST_RUNS))
    except DiskError:
        return runs, False
    return runs, len(runs) < _MOST_RUNS


def _check_runs(runs: list[Extent], size: int, complete: bool) -> None:
    end = 0
    for run in runs:
        require(run.offset == end and run.length > 0, f"{run} follows byte {end}")
        require(run.kind is not Kind.INHERITED, f"{run} in a whole chain")
        end = run.end
    require(end <= size and (end == size or not complete), f"runs end at {end} of {size}")


def _places(runs: list[Extent], size: int) -> Iterator[int]:
    """Pieces at both ends, at the start of each run, and as many of the data as may be."""
    yield 0
    yield max(0, size - 1) // PIECE * PIECE
    for run in runs[:_MOST_PIECES]:
        yield run.offset // PIECE * PIECE
    data = (run for run in runs if run.kind is Kind.DATA)
    starts = (start for run in data for start in range(run.offset, run.end, PIECE))
    for start in itertools.islice(starts, _MOST_PIECES):
        yield start // PIECE * PIECE


def _piece(disk: BlockDevice, place: int) -> bytes | None:
    try:
        return bytes(read(disk, place, min(PIECE, disk.size - place)))
    except DiskError:
        return None


def _check_zeros(disk: BlockDevice, run: Extent) -> None:
    length = min(run.length, 32 * PIECE)
    for start in (run.offset, run.end - length):
        require(read(disk, start, length) == bytes(length), f"{run} is not zero")


def _check_odd_reads(disk: BlockDevice, border: int) -> None:
    start, end = max(0, border - _NEAR), min(disk.size, border + _NEAR)
    try:
        whole = read(disk, start, end - start)
    except DiskError:
        return
    for first, stop in _ODD:
        part = whole[first:stop]
        again = read(disk, start + first, len(part)) if part else part
        require(again == part, f"{len(part)} bytes at {start + first} are not those of the whole")
