# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How the grains of sparse extents lie: what defragment and shrink look at before they begin."""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import itertools
import os
import typing as t
from array import array

from ..._device.errors import CorruptDisk, DiskInUse, TruncatedDisk
from ..._device.zeros import data_runs
from ..extents.grained import ZEROED, alike
from ..extents.header import REDUNDANT_TABLES, SECTOR, SparseHeader
from ..extents.layout import metadata_sectors
from ..files.lock import is_current, lock, refuse_claimed
from ..life.own_files import lock_open_files
from ..opening.chain import open_disk
from ..opening.family import refuse_pending_below
from ..opening.lazy import opened

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._device.device import Device
    from ..._device.progress import Progress
    from ..extents.sparse import SparseExtent
    from ..opening.disk import Link

Ranges = t.Sequence[tuple[int, int]]  # sorted (start, end) in bytes of the disk
_PIECE = 2 << 20  # bytes read at once


@dataclasses.dataclass(frozen=True)
class Layout:
    """How the grains of a file lie, or those of several files together. Sizes are bytes.

    extents: files that hold grains; so many fragments there are at least.
    fragments: runs of grains that are neighbours in the disk and in the file.
    zero_grains: stored grains that hold only zeros, where they were looked for.
    compact_size: what the file would have with all (but these) in order.
    """

    extents: int = 0
    grains: int = 0
    fragments: int = 0
    zero_grains: int = 0
    size: int = 0
    compact_size: int = 0

    @property
    def surplus(self) -> int:
        """Bytes of file that could be given back."""
        return max(0, self.size - self.compact_size)

    def __add__(self, other: Layout) -> Layout:
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Layout(*(a + b for a, b in pairs))


class Run(t.NamedTuple):
    """Grains that are neighbours in the disk and in the file."""

    grain: int
    grains: int
    sector: int


@contextlib.contextmanager
def open_link(path: str | os.PathLike[str], allow_outside: Sequence[str] = ()) -> Iterator[Link]:
    """The disk at `path` without its parents, for reading.

    Raises CorruptDisk where it was not closed in order, DiskInUse, and what open_disk() raises.
    """
    with open_disk(path, single_link=True, allow_outside=allow_outside) as disk:
        refuse_claimed(disk.links[0].path)
        refuse_pending_below(disk.links[0].path)
        require_sound(disk.links[0])
        yield disk.links[0]


@contextlib.contextmanager
def held_link(path: str | os.PathLike[str], allow_outside: Sequence[str] = ()) -> Iterator[Link]:
    """The same, for nobody else to touch. Raises the same."""
    with open_link(path, allow_outside) as link:
        lock_open_files(link)
        if not is_current(link.store.file):  # replaced while the lock changed hands
            raise DiskInUse("is being replaced", path=link.path, hint="Run the job again.")
        yield link


class Placed(t.NamedTuple):
    """An extent that may be written, open now, and the byte of the disk where it begins.

    part: the same as the disk has it, which may be one that opens when it is touched.
    """

    device: Device
    part: Device
    offset: int


class Work(t.NamedTuple):
    """A sparse extent to be laid anew. grain: bytes."""

    part: Device
    layout: Layout
    grain: int


def own_parts(link: Link) -> Iterator[Placed]:
    """The extents of a link that may be written; each is open until the next one."""
    offset = 0
    for (line, _path), part in zip(link.extents, link.parts, strict=True):
        if line.access == "RW":
            with opened(part) as device:
                yield Placed(device, part, offset)
        offset += part.size


@contextlib.contextmanager
def held_extent(work: Work) -> Iterator[SparseExtent]:
    """Open and held within the block, also where the lock went when it was closed."""
    with opened(work.part) as device:
        extent = t.cast("SparseExtent", device)
        lock(extent.file, exclusive=True)
        yield extent


def require_sound(link: Link) -> None:
    """Raises CorruptDisk: what is not sound must not be written anew as if it were."""
    if link.flags:
        raise CorruptDisk(
            "is not sound enough to be laid anew",
            path=link.path,
            found="; ".join(link.flags),
            hint="Check and repair it first (vmdk_check).",
        )


# Measuring


def measure(
    part: SparseExtent,
    progress: Progress,
    *,
    find_zeros: bool = False,
    free: Ranges = (),
) -> Layout:
    """How the grains lie; with find_zeros all of them are read, `free` counting as zeros.

    `free` is in bytes of this extent. Raises CorruptDisk, TruncatedDisk.
    """
    grains = fragments = zeros = 0
    following = -1
    spans: list[tuple[int, int]] = []
    for run in _stored(part):
        _check_end(part, run)
        end = run.sector + run.grains * part.header.grain_size
        if run.sector == following:
            spans[-1] = (spans[-1][0], end)
        else:
            fragments += 1
            spans.append((run.sector, end))
        grains, following = grains + run.grains, end
        if find_zeros:
            zeros += _zero_grains(part, run, free, progress)
    _check_overlap(part, spans)
    stored = (grains - zeros) * part.header.grain_size * SECTOR
    size = compact_header(part.header).overhead * SECTOR + stored
    return Layout(min(1, grains), grains, fragments, zeros, part.file.size, size)


def _stored(part: SparseExtent) -> Iterator[Run]:
    """The grains that have a place in the file, in the order of the disk."""
    for first, entries, empty in part.tables.slices(0, part.header.grains):
        if not empty:
            _check_entries(part, entries)
            yield from runs(first, entries, part.header.grain_size)


def runs(first: int, entries: array[int], step: int) -> Iterator[Run]:
    """The runs in the table entries of the grains from `first` on."""
    for start, stop, entry in alike(entries, step):
        if entry > ZEROED:
            yield Run(first + start, stop - start, entry)


def _check_entries(part: SparseExtent, entries: array[int]) -> None:
    if not part.header.has_zeroed_grains and entries.count(ZEROED):
        raise CorruptDisk(
            "an entry of a grain table points into the header",
            path=part.name,
            found=ZEROED,
            hint="Check and repair the disk first (vmdk_check).",
        )


def _check_end(part: SparseExtent, run: Run) -> None:
    end = run.sector * SECTOR + _length(part.header, run.grain, run.grains)
    if end > part.file.size:
        raise TruncatedDisk(
            f"grain {run.grain + run.grains - 1} lies beyond the end of the file",
            path=part.name,
            offset=run.sector * SECTOR,
            found=f"a file of {part.file.size} bytes",
            expected=f"at least {end} bytes",
            hint="Restore the file from a good copy.",
        )


def _length(header: SparseHeader, grain: int, count: int) -> int:
    """Bytes of disk in some grains; the last grain of a disk may be short."""
    return min(count * header.grain_size, header.capacity - grain * header.grain_size) * SECTOR


def _check_overlap(part: SparseExtent, spans: list[tuple[int, int]]) -> None:
    spans.sort()
    for (_start, end), (start, _end) in itertools.pairwise(spans):
        if start < end:
            raise CorruptDisk(
                "two grains of the disk share a place in the file",
                path=part.name,
                offset=start * SECTOR,
                hint="One of them is wrong, and both would look right afterwards: check the disk"
                " first (vmdk_check).",
            )


def _zero_grains(part: SparseExtent, run: Run, free: Ranges, progress: Progress) -> int:
    grain = part.header.grain_size * SECTOR
    zeros = run.grains
    for first, data in load(part, run):
        blank(data, first * grain, free)
        zeros -= sum((stop - start) // grain for start, stop in data_runs(data, len(data), grain))
        progress.advance(len(data))
    return zeros


def load(part: SparseExtent, run: Run) -> Iterator[tuple[int, bytearray]]:
    """(first grain, content of whole grains) for pieces of a run."""
    step = part.header.grain_size
    most = max(1, _PIECE // (step * SECTOR))
    for done in range(0, run.grains, most):
        count = min(most, run.grains - done)
        data = bytearray(count * step * SECTOR)
        length = _length(part.header, run.grain + done, count)
        part.file.readinto((run.sector + done * step) * SECTOR, memoryview(data)[:length])
        yield run.grain + done, data


def blank(data: bytearray, offset: int, free: Ranges) -> None:
    """Zeros where the disk from `offset` on is free."""
    for start, end in overlapping(free, offset, offset + len(data)):
        data[start - offset : end - offset] = bytes(end - start)


def overlapping(ranges: Ranges, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The parts of sorted ranges between two offsets."""
    first = bisect.bisect_right(ranges, start, key=lambda span: span[1])
    for index in range(first, len(ranges)):
        if ranges[index][0] >= end:
            return
        yield max(start, ranges[index][0]), min(end, ranges[index][1])


def compact_header(old: SparseHeader) -> SparseHeader:
    """The same extent with descriptor, directories and all tables at its front.

    Every table has its place, even if empty: qemu destroys an extent that it writes to otherwise.
    """
    redundant = 1 + old.descriptor_size
    length = metadata_sectors(old)
    primary = redundant + length if old.has_redundant_tables else redundant
    return dataclasses.replace(
        old,
        flags=old.flags if old.has_redundant_tables else old.flags & ~REDUNDANT_TABLES,
        descriptor_offset=1 if old.descriptor_size else 0,
        rgd_offset=redundant if old.has_redundant_tables else 0,
        gd_offset=primary,
        overhead=-(-(primary + length) // old.grain_size) * old.grain_size,
    )
