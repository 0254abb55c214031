# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Repairing what a check can prove. Only metadata is ever written, one copy of it is always whole.

Content stays as it was or as the sound copy of the tables has it. A crash in between leaves
faults that the next repair finds and mends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from ..._device.errors import DiskError, DiskInUse
from ..._device.files import File, remove_if_there
from ..files.lock import lock, refuse_claimed
from ..opening import journal
from ..opening.descriptor_file import DescriptorFile
from ..opening.family import find_parent, peek, refuse_pending_below
from ..opening.leftovers import leftovers
from .beside import check_beside
from .chain import LinkView, walk_chain
from .check import find_extents, sparse_check
from .geometry_witness import fits_headers_only
from .table_repair import unclean_write

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from ..descriptor.descriptor import Descriptor
    from .check import ExtentView
    from .table_repair import Write


@dataclasses.dataclass(frozen=True)
class Change:
    """One thing that is, or would be, different afterwards."""

    path: str
    what: str
    before: str
    after: str
    offset: int | None = None


def repair_disk(
    path: str | os.PathLike[str],
    *,
    allow_outside: Sequence[str] = (),
    proven: bool = True,
    cid: bool = False,
    dry_run: bool = False,
) -> list[Change]:
    """Mend a disk and its parents; the changes, in the order in which they became durable.

    proven: everything that is proven. cid: make each child name the CID that its parent has now.
    Raises DiskInUse, UnsafePath, DiskIOError, NoSpace and what check_disk() raises.
    """
    real = os.path.realpath(path)
    changes: list[Change] = []
    if proven:
        changes += _finish_journals(real, allow_outside, dry_run)
    links = walk_chain(real, allow_outside)
    for index, link in enumerate(links):
        job = _LinkRepair(link, allow_outside, dry_run, changes)
        if proven:
            job.mend()
        if cid and index + 1 < len(links):
            job.adopt_parent(links[index + 1])
    return changes


def _finish_journals(path: str, allow_outside: Sequence[str], dry_run: bool) -> list[Change]:
    """Of the disk and its parents; one that is finished may have changed the chain."""
    changes: list[Change] = []
    known: list[str] = []
    disk: str | None = path
    while disk is not None and disk not in known:
        known.append(disk)
        place = disk + journal.SUFFIX
        if os.path.exists(place):
            changes.append(Change(place, "an interrupted job", "finished work", "completed"))
            if not dry_run:
                journal.finish(disk)
                disk, known = path, []
                continue
        disk = _parent_of(disk, allow_outside)
    return changes


def _parent_of(path: str, allow_outside: Sequence[str]) -> str | None:
    descriptor = peek(path)
    if descriptor is None or descriptor.parent_cid is None:
        return None
    try:
        return os.path.realpath(find_parent(path, descriptor, allow_outside))
    except DiskError:
        return None


class _LinkRepair:
    def __init__(
        self, link: LinkView, allow_outside: Sequence[str], dry_run: bool, changes: list[Change]
    ) -> None:
        self.link = link
        self.allow_outside = allow_outside
        self.dry_run = dry_run
        self.changes = changes
        self.extents = find_extents(link, allow_outside, [])

    def mend(self) -> None:
        for path in leftovers(self.link.path):
            self._remove(path)
        for extent in self.extents:
            if extent.header is not None and not extent.header.is_stream:
                self._mend_extent(extent)
        if self.link.descriptor is not None:
            self._mend_descriptor(self.link.descriptor)

    def _remove(self, path: str) -> None:
        """Unless a job that is alive holds it."""
        with File(path) as file:
            try:
                lock(file, exclusive=True)
            except DiskInUse:
                return
            self.changes.append(Change(path, "what a killed job left", "there", "removed"))
            if not self.dry_run:
                remove_if_there(path)

    # Tables

    def _mend_extent(self, extent: ExtentView) -> None:
        header = extent.header
        if header is None:
            return
        with self._opened(extent.path) as file:
            check = sparse_check(file, header, self.link)
            if check.repair is None:
                return
            for stage in check.repair.stages():
                self._write(file, stage)
            if header.unclean and check.can_be_clean:
                self._write(file, [unclean_write()])

    def _refuse_claimed(self) -> None:
        refuse_claimed(self.link.path)
        refuse_pending_below(self.link.path)

    @contextlib.contextmanager
    def _opened(self, path: str) -> Iterator[File]:
        if not self.dry_run:
            self._refuse_claimed()
            refuse_claimed(path)
        with File(path, writable=not self.dry_run) as file:
            lock(file, exclusive=not self.dry_run)
            yield file

    def _write(self, file: File, stage: list[Write]) -> None:
        for write in stage:
            change = Change(file.path, write.what, write.before, write.after, write.offset)
            self.changes.append(change)
            if not self.dry_run:
                file.write(write.offset, write.data)
        if not self.dry_run:
            file.flush()

    # The descriptor

    def _mend_descriptor(self, descriptor: Descriptor) -> None:
        if fits_headers_only(descriptor, self.extents):
            self._edit("the extent lines", self._set_sizes)
        files = [extent.path for extent in self.extents]
        beside = check_beside(self.link.path, descriptor, files, self.allow_outside)
        if any(finding.kind == "change-tracking" and finding.repairable for finding in beside):
            self._edit("change tracking", _drop_change_tracking)

    def _set_sizes(self, descriptor: Descriptor) -> None:
        for index, (line, _path, header) in enumerate(self.extents):
            if header is not None and header.capacity != line.sectors:
                right = dataclasses.replace(line, sectors=header.capacity)
                descriptor.replace_extent(index, right)

    def adopt_parent(self, parent: LinkView) -> None:
        """The child names the CID that its parent has now (fault 14): only that."""
        if self.link.descriptor is None or parent.descriptor is None:
            return
        cid = parent.descriptor.cid
        if cid is not None and cid != self.link.descriptor.parent_cid:
            self._edit("parentCID", lambda descriptor: descriptor.set("parentCID", f"{cid:08x}"))

    def _edit(self, what: str, edit: Callable[[Descriptor], None]) -> None:
        if not self.dry_run:
            self._refuse_claimed()
        with DescriptorFile(self.link.path, writable=not self.dry_run) as store:
            before = store.descriptor.to_bytes().splitlines()
            edit(store.descriptor)
            after = store.descriptor.to_bytes().splitlines()
            gone = b"\n".join(line for line in before if line not in after)
            new = b"\n".join(line for line in after if line not in before)
            if not self.dry_run:
                store.save()
        was, now = gone.decode("utf-8", "replace"), new.decode("utf-8", "replace")
        self.changes.append(Change(self.link.path, what, was, now))


def _drop_change_tracking(descriptor: Descriptor) -> None:
    """VDDK guide: drop the line, and the version that says that there is one."""
    descriptor.delete("changeTrackPath")
    if descriptor.get("version") == "3":
        descriptor.set("version", "1")
