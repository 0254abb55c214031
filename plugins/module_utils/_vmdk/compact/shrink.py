# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Shrinking a disk: the space of zeros goes back to the host.

The content stays as it is, and so does the CID. That is why a parent may be shrunk although
children need it: every byte that they inherit is still there.
"""

from __future__ import annotations

import os
import typing as t

from ..._device.device import read
from ..._device.extent import Kind, pieces
from ..._device.files import File, punch_hole
from ..._device.progress import Silent
from ..._device.raw import RawDevice
from ..._device.zeros import data_runs
from ..extents.header import SECTOR
from ..extents.sparse import SparseExtent
from .compact import (
    Ranges,
    Work,
    blank,
    held_extent,
    held_link,
    measure,
    open_link,
    overlapping,
    own_parts,
    require_sound,
)
from .rebuild import rebuild, require_room

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._device.progress import Progress
    from ..opening.disk import Link

_WINDOW = 64 << 10  # bytes; zeros in flat files are looked for in runs of this many
_PIECE = 2 << 20  # bytes read at once
_BLOCK = 4096  # what a file system can give back; a hole that ends inside one frees nothing


def surplus(
    path: str | os.PathLike[str],
    *,
    free: Ranges = (),
    allow_outside: Sequence[str] = (),
    progress: Progress | None = None,
) -> int:
    """Bytes that shrink() would give back for the one link at `path`; reads all that it stores.

    free: sorted (start, end) of the disk that count as zeros, whatever they hold. Raises
    CorruptDisk, TruncatedDisk, NoSpace and what opening the disk raises.
    """
    progress = progress or Silent()
    total = 0
    with open_link(path, allow_outside) as link:
        progress.start(str(path), _stored(link))
        work = _loose(link, free, progress)
        require_room(work)
        total += sum(each.layout.surplus for each in work)
        for flat, offset in _flat_parts(link):
            total += _flat_surplus(flat, _within(free, offset, flat.size), progress)
        progress.finish()
    return total


def shrink(
    path: str | os.PathLike[str],
    *,
    allow_outside: Sequence[str] = (),
    progress: Progress | None = None,
) -> int:
    """Give back the zeros of the one link at `path`; how many bytes its files are smaller.

    Sparse extents are laid anew, in order, which needs room for the largest of them; flat ones
    get holes. Raises NoSpace, DiskInUse, CorruptDisk.
    """
    progress = progress or Silent()
    with held_link(path, allow_outside) as link:
        progress.start(str(path), _stored(link))
        freed = 0
        loose = _loose(link, (), progress)
        require_room(loose)
        for work in loose:
            with held_extent(work) as extent:
                rebuild(link, extent, work.layout, Silent(), drop_zeros=True)
            freed += work.layout.surplus
        for flat, _offset in _flat_parts(link):
            freed += _punch(flat, progress)
        progress.finish()
    return freed


def _stored(link: Link) -> int:
    """Bytes of files that have to be read."""
    paths = dict.fromkeys(path for _line, path in link.extents if path is not None)
    return sum(os.stat(path).st_blocks * 512 for path in paths if os.path.exists(path))


def _loose(link: Link, free: Ranges, progress: Progress) -> list[Work]:
    """The sparse extents that would be smaller by a grain at least."""
    found = []
    for device, part, offset in own_parts(link):
        if isinstance(device, SparseExtent):
            inside = _within(free, offset, device.size)
            layout = measure(device, progress, find_zeros=True, free=inside)
            work = Work(part, layout, device.header.grain_size * SECTOR)
            if layout.surplus >= work.grain:
                found.append(work)
    require_sound(link)  # the tables are read by now
    return found


def _within(ranges: Ranges, offset: int, length: int) -> Ranges:
    """Ranges of the disk as ranges of a part of it."""
    parts = overlapping(ranges, offset, offset + length)
    return [(start - offset, end - offset) for start, end in parts]


# Flat extents


def _flat_parts(link: Link) -> Iterator[tuple[RawDevice, int]]:
    """Those in plain files that may be written, with their places in the disk."""
    for device, _part, offset in own_parts(link):
        if isinstance(device, RawDevice) and not device.file.is_block_device:
            yield device, offset


def _flat_surplus(part: RawDevice, free: Ranges, progress: Progress) -> int:
    """Bytes of zeros that take space, and bytes that are reserved and were never written."""
    zeros = sum(end - start for start, end in _zero_runs(part, free, progress))
    return zeros + _reserved(part)


def _zero_runs(part: RawDevice, free: Ranges, progress: Progress) -> Iterator[tuple[int, int]]:
    """(start, end) in the file of whole blocks that are stored and hold zeros."""
    stored = (run for run in part.extents() if run.kind is Kind.DATA)
    for piece in pieces(stored, _PIECE):
        data = read(part, piece.offset, piece.length)
        blank(data, piece.offset, free)
        done = 0
        for begin, end in [*data_runs(data, piece.length, _WINDOW), (piece.length, 0)]:
            start, stop = _whole_blocks(part, piece.offset + done, piece.offset + begin)
            if start < stop:
                yield start, stop
            done = end
        progress.advance(piece.length)


def _whole_blocks(part: RawDevice, start: int, end: int) -> tuple[int, int]:
    """A run of the extent as blocks of its file. The last one may reach beyond the file's end."""
    start, end = part.offset + start, part.offset + end
    last = _up(end) if end == part.file.size else end // _BLOCK * _BLOCK
    return _up(start), last


def _reserved(part: RawDevice) -> int:
    """Bytes reserved and never written; the file system shows them only as blocks too many."""
    if part.offset or part.size < part.file.size:
        return 0  # they may be those of another extent in the same file
    written = sum(_up(run.length) for run in part.extents() if run.kind is Kind.DATA)
    spare = part.file.allocated() - written
    # What the file system notes about the file counts, too: at most 16 bytes for each block.
    return spare if spare > _WINDOW + written // 256 else 0


def _punch(part: RawDevice, progress: Progress) -> int:
    """Make holes of zeros; the bytes that the file takes less."""
    runs = list(_zero_runs(part, (), progress))
    if _reserved(part):
        holes = (run for run in part.extents() if run.kind is Kind.ZERO)
        runs += [_whole_blocks(part, run.offset, run.end) for run in holes]
    if not runs:
        return 0
    with File(part.file.path, writable=True) as file:
        file.flush()  # what is not on disk yet may take no blocks
        before = file.allocated()
        for start, end in runs:
            if start < end and not punch_hole(file.fileno(), start, end - start):
                break  # this file system has no holes: nothing to be had
        file.flush()
        return max(0, before - file.allocated())


def _up(offset: int) -> int:
    return -(-offset // _BLOCK) * _BLOCK
