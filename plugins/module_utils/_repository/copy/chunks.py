# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The chunks of a group from one repository to another, without compressing them again."""

from __future__ import annotations

import typing as t

from ..._device.errors import RepositoryDamaged
from ..._device.pipeline import ordered_map
from ..format.chunk import Encoded
from ..format.map import GROUP
from ..format.pack import BlobKind, pack_key

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..access import Access
    from ..format.manifest import PointDisk
    from ..format.pack import Location
    from ..write.index import Index
    from ..write.stream import PackStream


class _Job(t.NamedTuple):
    number: int  # in its group
    where: Location
    length: int  # of the content


class _Fetched(t.NamedTuple):
    number: int
    id: bytes  # in the target
    encoded: Encoded | None  # None: the target has it


class ChunkMover:
    """Reads in the source on threads, writes in the target."""

    def __init__(self, source: Access, target: Access, index: Index, packs: PackStream) -> None:
        self._source, self._target = source, target
        self._index, self._packs = index, packs
        self.same_ids = source.subkeys.master == target.subkeys.master

    def move(
        self, disk: PointDisk, group: int, ids: Mapping[bytes, bytes]
    ) -> Iterator[tuple[int, bytes, bytes]]:
        """(number in the group, id, place) in the target of every chunk that is not zeros.

        `ids` are ids of the target by those of the source, as far as known.

        Raises RepositoryDamaged.
        """
        for fetched in ordered_map(lambda job: self._fetch(job, ids), self._jobs(disk, group)):
            place = self._index.find(fetched.id)  # again: it may have come in between
            if place is None:
                # _fetch() has read it, since what the index once knew it knows for ever
                encoded = t.cast("Encoded", fetched.encoded)
                place = self._packs.add(BlobKind.DATA, fetched.id, encoded)
                self._index.add(fetched.id, place)
            yield fetched.number, fetched.id, place

    def _jobs(self, disk: PointDisk, group: int) -> Iterator[_Job]:
        size = self._source.config.chunk_size
        for number, where in enumerate(self._source.load_map(disk, group)):
            if where is not None:
                start = (group * GROUP + number) * size
                yield _Job(number, where, min(size, disk.size - start))

    def _fetch(self, job: _Job, ids: Mapping[bytes, bytes]) -> _Fetched:
        known = job.where.id if self.same_ids else ids.get(job.where.id)
        if known is not None and self._index.find(known) is not None:
            return _Fetched(job.number, known, None)
        try:
            return self._as_stored(job)
        except RepositoryDamaged:
            return self._from_elsewhere(job)

    def _as_stored(self, job: _Job) -> _Fetched:
        frame = self._source.packs.frame(job.where)
        if self.same_ids and self._source.subkeys.encrypted:
            # Decryption has proven that it is what was stored as this chunk.
            self._check_length(job, self._source.codec.length(frame, job.where.raw))
            return _Fetched(job.number, job.where.id, Encoded(frame, job.where.raw))
        content = self._source.packs.expand(job.where, frame, job.length)
        return _Fetched(job.number, self._id_of(job, content), Encoded(frame, job.where.raw))

    def _from_elsewhere(self, job: _Job) -> _Fetched:
        """Another pack may hold the same chunk; raises RepositoryDamaged if none does."""
        content = self._source.read_blob(job.where, job.length)
        encoded = self._target.codec.compress(memoryview(content))
        return _Fetched(job.number, self._id_of(job, content), encoded)

    def _id_of(self, job: _Job, content: bytearray) -> bytes:
        """In the target; the content is proven by its id in the source."""
        self._check_length(job, len(content))
        return job.where.id if self.same_ids else self._target.subkeys.identify(content)

    def _check_length(self, job: _Job, length: int) -> None:
        if length != job.length:
            raise RepositoryDamaged(
                "a chunk has the wrong length",
                path=pack_key(job.where.pack),
                offset=job.where.offset,
                found=length,
                expected=job.length,
            )
