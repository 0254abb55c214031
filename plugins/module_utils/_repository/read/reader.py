# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk of a restore point, as a device."""

from __future__ import annotations

import collections
import threading
import typing as t

from ..._device.device import Device
from ..._device.errors import RepositoryDamaged
from ..._device.extent import Extent, Kind, clip, merge
from ..format.map import GROUP

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..access import Access
    from ..format.manifest import PointDisk, RestorePoint
    from ..format.map import ChunkMap
    from ..format.pack import Location

CACHED_BYTES = 32 << 20  # of decoded chunks
CACHED_MAPS = 64  # 76 KiB each
Value = t.TypeVar("Value")


class _Cache(t.Generic[Value]):
    """The most recently used values. Two threads may load the same one; both get a good one."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._values: collections.OrderedDict[int, Value] = collections.OrderedDict()

    def peek(self, key: int) -> Value | None:
        with self._lock:
            value = self._values.get(key)
            if value is not None:
                self._values.move_to_end(key)
            return value

    def get(self, key: int, load: Callable[[int], Value]) -> Value:
        value = self.peek(key)
        if value is None:
            value = load(key)
            with self._lock:
                self._values[key] = value
                while len(self._values) > self._most:
                    self._values.popitem(last=False)
        return value


class PointDevice(Device):
    """Read-only. Every chunk is proven by its id before a byte of it is handed out."""

    def __init__(self, access: Access, point: RestorePoint, disk: PointDisk) -> None:
        self._access, self._disk = access, disk
        self._chunk_size = access.config.chunk_size
        self.size = disk.size
        self.facts = disk.facts  # what was known of the disk when it was backed up
        self.name = f"{point.source_name}@{point.id}#{disk.name}"
        self._maps: _Cache[ChunkMap] = _Cache(CACHED_MAPS)
        self._chunks: _Cache[bytearray] = _Cache(max(4, CACHED_BYTES // self._chunk_size))

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Raises RepositoryDamaged naming the pack and the bytes of the disk that are hit."""
        self.check_range(offset, buffer.nbytes)
        while buffer.nbytes:
            number, start = divmod(offset, self._chunk_size)
            count = min(buffer.nbytes, self._chunk_length(number) - start)
            self._read_part(number, start, buffer[:count])
            offset, buffer = offset + count, buffer[count:]

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        return merge(clip(self._runs(offset, offset + length), offset, offset + length))

    def _chunk_length(self, number: int) -> int:
        return min(self._chunk_size, self.size - number * self._chunk_size)

    def _read_part(self, number: int, start: int, target: memoryview) -> None:
        held = self._chunks.peek(number)
        if held is None:
            where = self._where(number)
            if where is None:
                target[:] = bytes(target.nbytes)
                return
            if target.nbytes == self._chunk_length(number):  # whole: no need to keep it
                self._load_into(number, where, target)
                return
            held = self._chunks.get(number, self._load)
        target[:] = memoryview(held)[start : start + target.nbytes]

    def _load(self, number: int) -> bytearray:
        content = bytearray(self._chunk_length(number))
        where = self._where(number)
        if where is not None:
            self._load_into(number, where, memoryview(content))
        return content

    def _load_into(self, number: int, where: Location, target: memoryview) -> None:
        try:
            self._access.packs.read_into(where, target)
        except RepositoryDamaged as error:
            start = number * self._chunk_size
            raise self._damaged(error, start, start + self._chunk_length(number)) from error

    def _where(self, number: int) -> Location | None:
        group, inside = divmod(number, GROUP)
        if self._disk.maps[group] is None:
            return None
        return self._map(group).entry(inside)

    def _map(self, group: int) -> ChunkMap:
        return self._maps.get(group, self._load_map)

    def _load_map(self, group: int) -> ChunkMap:
        try:
            return self._access.load_map(self._disk, group)
        except RepositoryDamaged as error:
            start = group * GROUP * self._chunk_size
            end = min(self.size, start + GROUP * self._chunk_size)
            raise self._damaged(error, start, end) from error

    def _damaged(self, error: RepositoryDamaged, start: int, end: int) -> RepositoryDamaged:
        return RepositoryDamaged(
            error.message,
            path=error.path,
            offset=error.offset,
            hint=f"This hits bytes {start} to {end - 1} of {self.name}; the rest of it, and points "
            "that do not share this pack, can still be restored.",
        )

    def _runs(self, start: int, end: int) -> Iterator[Extent]:
        """Whole groups and chunks; starts and ends outside of the asked range."""
        group_size = GROUP * self._chunk_size
        for group in range(start // group_size, -(-end // group_size)):
            first = group * group_size
            if self._disk.maps[group] is None:
                yield Extent(first, min(group_size, self.size - first), Kind.ZERO)
                continue
            yield from self._runs_in(group)

    def _runs_in(self, group: int) -> Iterator[Extent]:
        for inside, count, zero in self._map(group).runs():
            first = (group * GROUP + inside) * self._chunk_size
            end = min(first + count * self._chunk_size, self.size)
            yield Extent(first, end - first, Kind.ZERO if zero else Kind.DATA)
