# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One disk of a backup: its chunks go into packs, its maps into the manifest."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError
from ..format.manifest import PointDisk
from ..format.pack import BlobKind
from .draft import DiskDraft
from .scan import scan

if t.TYPE_CHECKING:
    from ..format.chunk import Encoded
    from .backup import Backup
    from .index import Index
    from .plan import DiskPlan
    from .scan import Chunk
    from .source import DiskSource
    from .stream import PackStream


class DiskBackup:
    """One disk of a backup."""

    def __init__(
        self, backup: Backup, disk: DiskSource, plan: DiskPlan, index: Index, packs: PackStream
    ) -> None:
        self.backup, self.disk, self.plan = backup, disk, plan
        self.index, self.packs = index, packs
        self.size = disk.device.size
        base = plan.base.maps if plan.base else None
        self.draft = DiskDraft(backup.access, index, self.size, base)
        self.bytes_read = self.bytes_data = self.bytes_new = 0

    def run(self) -> None:
        progress, transfer = self.backup.progress, self.backup.transfer
        chunk_size = self.backup.access.config.chunk_size
        progress.start(self.disk.label, self.size)
        done = 0
        for chunk in scan(self.backup.access, self.disk.device, self._prepare):
            self._take(chunk)
            end = chunk.number * chunk_size + chunk.length
            progress.advance(end - done)
            done = end
        self.draft.close()
        progress.finish()
        transfer.bytes_total += self.size
        transfer.bytes_read += self.bytes_read
        transfer.bytes_zero += self.size - self.bytes_data
        transfer.bytes_reused += self.bytes_data - self.bytes_new

    def _prepare(self, chunk_id: bytes, content: memoryview) -> Encoded | None:
        """On a thread: compress what is not known yet, or is known but damaged."""
        place = self.index.find(chunk_id)
        if place is not None and self._is_good(chunk_id, place, content.nbytes):
            return None
        return self.backup.access.codec.compress(content)

    def _is_good(self, chunk_id: bytes, place: bytes, length: int) -> bool:
        """Whether a stored chunk can be used again. Only mode full reads it back, once."""
        if self.backup.mode != "full" or chunk_id in self.backup.proven:
            return True
        where = self.index.location(chunk_id, place)
        try:
            self.backup.access.packs.read_into(where, memoryview(bytearray(length)))
        except DiskError:  # damaged, or the storage cannot read it any more
            return False
        self.backup.proven.add(chunk_id)
        return True

    def _take(self, chunk: Chunk) -> None:
        self.bytes_read += chunk.length
        if chunk.id is None:
            return
        self.bytes_data += chunk.length
        place = self.index.find(chunk.id)  # again: an equal chunk may have come in between
        if place is None or (chunk.encoded is not None and chunk.id not in self.backup.proven):
            # _prepare() compressed it, since what the index once knew it knows for ever
            encoded = t.cast("Encoded", chunk.encoded)
            place = self.packs.add(BlobKind.DATA, chunk.id, encoded)
            self.backup.proven.add(chunk.id)  # first: who finds the place must know it is good
            self.index.add(chunk.id, place)
            self.bytes_new += chunk.length
        self.draft.set(chunk.number, chunk.id, place)

    def entry(self) -> PointDisk:
        """For the manifest; all packs must be finished."""
        return PointDisk(
            name=self.disk.name,
            key=self.disk.key,
            label=self.disk.label,
            uuid=self.disk.uuid,
            path=self.disk.path,
            size=self.size,
            method="incremental" if self.plan.base else "full",
            reason=self.plan.reason,
            bytes_read=self.bytes_read,
            bytes_new=self.bytes_new,
            root=self.draft.root,
            maps=self.draft.maps(),
            facts=self.disk.facts,
        )
