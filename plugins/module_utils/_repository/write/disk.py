# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""One disk of a backup: its chunks go into packs, its maps into the manifest."""

from __future__ import annotations

import contextlib
import typing as t

from ..._device.errors import DiskError
from ..format.manifest import PointDisk
from ..format.map import GROUP, chunk_count
from ..format.pack import BlobKind
from .changes import Base, ChunkSet, Selection
from .draft import DiskDraft
from .scan import scan
from .selfcheck import SelfCheck
from .source import Reading

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice
    from ..format.chunk import Encoded
    from .index import Index
    from .plan import DiskPlan
    from .run import Run
    from .scan import Chunk
    from .source import DiskSource
    from .stream import PackStream


class DiskBackup:
    """One disk of a backup."""

    def __init__(
        self, backup: Run, disk: DiskSource, plan: DiskPlan, index: Index, packs: PackStream
    ) -> None:
        self.backup, self.disk, self.plan = backup, disk, plan
        self.index, self.packs = index, packs
        self.size = disk.device.size
        base = plan.base.maps if plan.base else None
        self.draft = DiskDraft(backup.access, index, self.size, base)
        self._base = Base(backup.access, index, plan.base) if plan.base else None
        self.change_id: str | None = None
        self.facts = disk.facts
        self._distrusted = False
        self.bytes_read = self.bytes_data = self.bytes_new = 0

    def run(self) -> None:
        progress, transfer = self.backup.progress, self.backup.transfer
        progress.start(self.disk.shown, self.size)
        changed = self._changed()
        if changed is None or self._base is None:
            self._scan(self.disk.device, 0, self.size)
        else:
            self._take_changes(changed, self._base)
        self.draft.close()
        progress.finish()
        if self.disk.change_id is not None:
            self.change_id = self.disk.change_id()
        if self.disk.judge is not None:
            self.facts = {**self.facts, **self.disk.judge(self._reading())}
        transfer.bytes_total += self.size
        transfer.bytes_read += self.bytes_read
        transfer.bytes_zero += self.size - self.bytes_data
        transfer.bytes_reused += self.bytes_data - self.bytes_new

    def _reading(self) -> Reading:
        if self._base is None:
            return Reading(None, None, self._distrusted)
        differing = self.draft.differing(self._base) if self.plan.changes is None else None
        return Reading(self._base.disk.change_id, differing, self._distrusted)

    def _changed(self) -> ChunkSet | None:
        """What has to be read; None: everything."""
        if self.plan.changes is None or self._base is None:
            return None
        chunk_size = self.backup.access.config.chunk_size
        try:
            changed = ChunkSet.touched(self.plan.changes.extents(), self.size, chunk_size)
        except DiskError as error:
            self._distrust(f"what changed cannot be told: {error.message}")
            return None
        if self.disk.self_check:
            wrong = self._first_wrong(changed, self._base)
            if wrong is not None:
                self._distrust(f"byte {wrong} lies in a change that was not listed")
                return None
        return changed

    def _first_wrong(self, changed: ChunkSet, base: Base) -> int | None:
        check = SelfCheck(self.backup.access, self.disk.device, base, changed, self.disk.self_check)
        wrong = check.first_wrong()
        self.bytes_read += check.bytes_read
        return wrong

    def _distrust(self, why: str) -> None:
        """Read everything, and say so where anybody may look."""
        self._distrusted = True
        self.plan = self.plan._replace(reason=f"everything was read: {why}", changes=None)
        self.backup.warnings.append(f"{self.disk.shown}: {self.plan.reason}")
        if self.disk.distrust is not None:
            self.disk.distrust(why)

    def _take_changes(self, changed: ChunkSet, base: Base) -> None:
        """Group by group: take its map over, or read its chunks that changed, or all of it."""
        chunk_size = self.backup.access.config.chunk_size
        touched = changed.groups()
        for group, ref in enumerate(base.disk.maps):
            count = chunk_count(self.size, chunk_size, group)
            start = group * GROUP * chunk_size
            length = min(self.size - start, count * chunk_size)
            if group not in touched and base.is_whole(group):
                if ref is not None:
                    self.draft.take_over(group, ref)
                    self.bytes_data += length
                self.backup.progress.advance(length)
                continue
            runs = touched.get(group, [])
            if not self._keep(group, runs, base):
                runs = [range(group * GROUP, group * GROUP + count)]
            self._scan(Selection(self.disk.device, runs, chunk_size), start, start + length)

    def _keep(self, group: int, runs: list[range], base: Base) -> bool:
        """Enter the chunks of a group that did not change; False: all have to be read."""
        ids = base.chunk_ids(group) if runs else None
        if ids is None:
            return False
        first = group * GROUP
        changed = {number for run in runs for number in run}
        kept = [
            (first + inside, chunk_id, self.index.find(chunk_id))
            for inside, chunk_id in enumerate(ids)
            if chunk_id is not None and first + inside not in changed
        ]
        if any(place is None for _number, _id, place in kept):
            return False
        chunk_size = self.backup.access.config.chunk_size
        for number, chunk_id, place in kept:
            self.draft.set(number, chunk_id, t.cast("bytes", place))
            self.bytes_data += min(chunk_size, self.size - number * chunk_size)
        return True

    def _scan(self, device: BlockDevice, done: int, stop: int) -> None:
        """`done` and `stop`: the bytes that this is about, for the progress."""
        chunk_size = self.backup.access.config.chunk_size
        chunks = scan(self.backup.access, device, self._prepare, self.backup.budget)
        with contextlib.closing(chunks):  # after an error nobody reads on
            for chunk in chunks:
                self._take(chunk)
                end = chunk.number * chunk_size + chunk.length
                self.backup.progress.advance(end - done)
                done = end
        self.backup.progress.advance(stop - done)

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
            method=self.plan.method,
            reason=self.plan.reason,
            bytes_read=self.bytes_read,
            bytes_new=self.bytes_new,
            root=self.draft.root,
            maps=self.draft.maps(),
            facts=self.facts,
            change_id=self.change_id,
        )
