# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Reading only what may have changed since an earlier point, as far as the caller knows."""

from __future__ import annotations

import dataclasses
import itertools
import typing as t

from ..._device.device import Device
from ..._device.errors import InvalidRequest, RepositoryDamaged
from ..._device.extent import Extent, Kind
from ..format.map import GROUP, chunk_count

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from ..._device.device import BlockDevice
    from ..access import Access
    from ..format.manifest import PointDisk
    from ..format.map import ChunkMap
    from .index import Index


@dataclasses.dataclass(frozen=True)
class Changes:
    """What may have changed since the state that a point calls `since` (PointDisk.change_id).

    extents() gives (offset, length) in bytes, in any order, aligned to nothing; it is called only
    if there is such a point. A DiskError that it raises means that nobody knows.
    """

    since: str
    extents: Callable[[], Iterable[tuple[int, int]]]


class ChunkSet:
    """Numbers of chunks, as runs that are sorted and do not touch."""

    def __init__(self, runs: Iterable[range]) -> None:
        self.runs = list(_merged(runs))

    @classmethod
    def touched(cls, extents: Iterable[tuple[int, int]], size: int, chunk_size: int) -> ChunkSet:
        """All chunks that any of these bytes lies in. Raises InvalidRequest beyond the disk."""
        runs = []
        for offset, length in extents:
            if offset < 0 or length < 0 or offset + length > size:
                raise InvalidRequest(
                    "a change lies outside of the disk",
                    found=f"{length} bytes at {offset}",
                    expected=f"0..{size}",
                )
            if length:
                runs.append(range(offset // chunk_size, -(-(offset + length) // chunk_size)))
        return cls(runs)

    def groups(self) -> dict[int, list[range]]:
        """The runs in each group that has any, none longer than the group."""
        found: dict[int, list[range]] = {}
        for run in self.runs:
            for group in range(run.start // GROUP, -(-run.stop // GROUP)):
                part = range(max(run.start, group * GROUP), min(run.stop, (group + 1) * GROUP))
                found.setdefault(group, []).append(part)
        return found

    def without(self, other: ChunkSet) -> ChunkSet:
        """Those that are not in `other`."""
        return ChunkSet(_difference(self.runs, other.runs))


def _merged(runs: Iterable[range]) -> Iterator[range]:
    held: range | None = None
    for run in sorted(runs, key=lambda run: run.start):
        if held is not None and run.start <= held.stop:
            held = range(held.start, max(held.stop, run.stop))
            continue
        if held is not None:
            yield held
        held = run
    if held is not None:
        yield held


def _difference(runs: list[range], others: list[range]) -> Iterator[range]:
    number = 0
    for run in runs:
        start = run.start
        while number < len(others) and others[number].stop <= start:
            number += 1
        for other in itertools.islice(others, number, None):
            if other.start >= run.stop:
                break
            if other.start > start:
                yield range(start, other.start)
            start = other.stop
        if start < run.stop:
            yield range(start, run.stop)


class Selection(Device):
    """Some chunks of a device, for scan(): the others count as nothing to read."""

    def __init__(self, device: BlockDevice, runs: Sequence[range], chunk_size: int) -> None:
        self._device, self._runs, self._chunk_size = device, runs, chunk_size
        self.size = device.size

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self._device.readinto(offset, buffer)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        end, done = offset + self.check_range(offset, length), offset
        for run in self._runs:
            start = max(run.start * self._chunk_size, offset)
            stop = min(run.stop * self._chunk_size, end)
            if start < stop:
                if done < start:
                    yield Extent(done, start - done, Kind.ZERO)
                yield from self._device.extents(start, stop - start)
                done = stop
        if done < end:
            yield Extent(done, end - done, Kind.ZERO)


class Base:
    """The disk in an earlier point, and which of its maps can be relied on."""

    def __init__(self, access: Access, index: Index, disk: PointDisk) -> None:
        self._access, self._index, self.disk = access, index, disk

    def is_whole(self, group: int) -> bool:
        """Whether all that the group needs is there, neither quarantined nor about to go."""
        ref = self.disk.maps[group]
        return ref is None or self._index.is_whole(ref.location)

    def chunk_ids(self, group: int) -> list[bytes | None] | None:
        """The id of each chunk, None for zeros; None if the map cannot be relied on."""
        if self.disk.maps[group] is None:
            return [None] * chunk_count(self.disk.size, self._access.config.chunk_size, group)
        if not self.is_whole(group):
            return None
        try:
            chunk_map: ChunkMap = self._access.load_map(self.disk, group)
        except RepositoryDamaged:
            return None
        return [None if entry is None else entry.id for entry in chunk_map]
