# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk of a restore point, as a device."""

from __future__ import annotations

import typing as t

from ..._device.device import Device
from ..._device.errors import DiskError, InvalidRequest, RepositoryDamaged
from ..._device.extent import Extent, Kind, clip, merge
from ..._device.recent import Recent
from ..format.map import GROUP
from .ahead import ChunkCache

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..access import Access
    from ..format.manifest import PointDisk, RestorePoint
    from ..format.map import ChunkMap
    from ..format.pack import Location

RUN = 4 << 20  # bytes of disk that are read with one request, or a little more
CACHED_MAPS = 64  # 76 KiB each


class PointDevice(Device):
    """Read-only. Every chunk is proven by its id before a byte of it is handed out."""

    def __init__(self, access: Access, point: RestorePoint, disk: PointDisk) -> None:
        self._access, self._disk = access, disk
        self._chunk_size = access.config.chunk_size
        self.size = disk.size
        self.facts = disk.facts  # what was known of the disk when it was backed up
        self.name = f"{point.source_name}@{point.id}#{disk.name}"
        self._maps: Recent[int, ChunkMap] = Recent(CACHED_MAPS)
        self._chunks = ChunkCache(self._chunk_size, self._load_into, self._length_ahead)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Raises RepositoryDamaged naming the pack and the bytes of the disk that are hit."""
        self.check_range(offset, buffer.nbytes)
        while buffer.nbytes:
            number, start = divmod(offset, self._chunk_size)
            count = 0 if start else self._read_run(number, buffer)
            if not count:
                count = min(buffer.nbytes, self._chunk_length(number) - start)
                self._read_part(number, start, buffer[:count])
            offset, buffer = offset + count, buffer[count:]

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        return merge(clip(self._runs(offset, offset + length), offset, offset + length))

    def close(self) -> None:
        """Lets go of threads and memory; it can be read again all the same."""
        self._chunks.close()

    @property
    def chunk_size(self) -> int:
        return self._chunk_size

    def holds(self, number: int, content: memoryview | None) -> bool:
        """Whether this is what a chunk holds (None: zeros), by its id; nothing of it is fetched."""
        where = self._where(number)
        if where is None or content is None:
            return where is None and content is None
        return self._access.subkeys.identify(content) == where.id

    def _chunk_length(self, number: int) -> int:
        return min(self._chunk_size, self.size - number * self._chunk_size)

    def _read_run(self, number: int, buffer: memoryview) -> int:
        """Bytes that could be had with one request: several whole chunks, neighbours in a pack."""
        run: list[tuple[Location, memoryview]] = []
        begin = end = number * self._chunk_size
        while end < self.size and end + self._chunk_length(number) - begin <= buffer.nbytes:
            where = None if number in self._chunks else self._where(number)
            if where is None or (run and not where.follows(run[-1][0])) or end - begin > RUN:
                break
            length = self._chunk_length(number)
            run.append((where, buffer[end - begin : end - begin + length]))
            number, end = number + 1, end + length
        if len(run) < 2:
            return 0
        try:
            self._access.packs.read_run(run)
        except DiskError:  # one by one: each may be read elsewhere, or told for itself
            return 0
        return end - begin

    def _read_part(self, number: int, start: int, target: memoryview) -> None:
        if number not in self._chunks and self._where(number) is None:
            target[:] = bytes(target.nbytes)
        else:
            self._chunks.read(number, self._chunk_length(number), start, target)

    def _length_ahead(self, number: int) -> int:
        """Bytes of a chunk that may be asked for soon; 0 where there is nothing to decode."""
        try:
            is_data = number * self._chunk_size < self.size and self._where(number) is not None
        except DiskError:  # it will be told to who asks for it
            return 0
        return self._chunk_length(number) if is_data else 0

    def _load_into(self, number: int, target: memoryview) -> None:
        where = self._where(number)
        if where is None:
            raise InvalidRequest(f"chunk {number} is all zeros and is stored nowhere")
        try:
            self._access.read_chunk_into(where, target)
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
