# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Reading what is left of a damaged disk, and telling what is not. The source is never changed."""

from __future__ import annotations

import os
import typing as t

from ..._device.errors import ChainMismatch, CorruptDisk, DiskError, UnsupportedDisk
from ..._device.files import File
from ..._device.slice import ConcatDevice
from ..check.chain import walk_chain
from ..check.check import find_extents
from ..extents.header import SECTOR
from ..files.lock import lock
from .part import Fault, Gone, SalvagedFlat, SalvagedPart
from .sparse import SalvagedSparse
from .stream import SalvagedStream

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ..._device.extent import Extent
    from ..check.chain import LinkView
    from ..check.check import ExtentView
    from ..descriptor.descriptor import Descriptor


class SalvagedDisk(SalvagedPart):
    """All extents of one link over its parent, as far as they can be read. Owns all of them."""

    def __init__(self, link: LinkView, parent: SalvagedDisk | None) -> None:
        self.name = link.path
        self.descriptor: Descriptor | None = link.descriptor
        self.parent = parent
        self.parts: list[SalvagedPart] = []
        self.whole = ConcatDevice(self.parts, link.path)
        self.size = 0
        self.files = [link.path]

    def add(self, part: SalvagedPart) -> None:
        self.parts.append(part)
        self.size += part.size
        self.whole = ConcatDevice(self.parts, self.name)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.whole.readinto(offset, buffer)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        return self.whole.extents(offset, length)

    def faults(self, offset: int, length: int) -> Iterator[Fault]:
        start = 0
        for part in self.parts:
            first, last = max(offset, start), min(offset + length, start + part.size)
            if first < last:
                for fault in part.faults(first - start, last - first):
                    yield fault._replace(offset=fault.offset + start)
            start += part.size

    def losses(self) -> list[Fault]:
        """Neighbours joined; complete once all of the disk was read."""
        joined: list[Fault] = []
        for fault in self.faults(0, self.size):
            last = joined[-1] if joined else None
            if (
                last is not None
                and last.is_lost == fault.is_lost
                and last.offset + last.length == fault.offset
            ):
                joined[-1] = last._replace(length=last.length + fault.length)
            else:
                joined.append(fault)
        return joined

    def close(self) -> None:
        for part in self.parts:
            part.close()
        if self.parent is not None:
            self.parent.close()


def open_salvaged(
    path: str | os.PathLike[str], *, allow_outside: Sequence[str] = ()
) -> SalvagedDisk:
    """A device over what is left of a disk with its parents.

    Raises CorruptDisk where nothing can be told, ChainMismatch where the parent is another one,
    UnsupportedDisk, DiskNotFound, NotADisk, DiskInUse, DiskIOError.
    """
    links = walk_chain(os.path.realpath(path), allow_outside)
    _require_family(links)
    disk: SalvagedDisk | None = None
    try:
        for link in reversed(links):
            disk = SalvagedDisk(link, disk)
            _fill(disk, link, allow_outside)
    except BaseException:
        if disk is not None:
            disk.close()
        raise
    return t.cast("SalvagedDisk", disk)


def _require_family(links: list[LinkView]) -> None:
    for link in links:
        for finding in link.findings:
            if finding.kind == "cid-mismatch":
                how = "Restore the parent, or first accept it as it is with repair_cid: true."
                raise ChainMismatch(finding.message, path=link.path, hint=how)


def _fill(disk: SalvagedDisk, link: LinkView, allow_outside: Sequence[str]) -> None:
    views = find_extents(link, allow_outside, [])
    if link.descriptor is None and link.header is None:
        disk.add(_headless(link))
        return
    there = {view.line: view for view in views}
    lines = [view.line for view in views] if link.descriptor is None else link.descriptor.extents
    for line in lines:
        view = there.get(line)
        if view is None:
            disk.add(Gone(line.sectors * SECTOR, is_lost=line.kind != "ZERO"))
        else:
            disk.add(_open(disk, link, view))
            disk.files.append(view.path)


def _headless(link: LinkView) -> SalvagedPart:
    file = _locked(link.path)
    try:
        return SalvagedStream.without_header(file)
    except DiskError as error:
        file.close()
        reason = link.findings[0].message if link.findings else "has no header"
        raise CorruptDisk(
            f"{reason}, and {error.message}: nothing can be salvaged",
            path=link.path,
            hint="Restore it from a good copy.",
        ) from error


def _open(disk: SalvagedDisk, link: LinkView, view: ExtentView) -> SalvagedPart:
    file = _locked(view.path)
    try:
        return _part(disk, link, view, file)
    except BaseException:
        file.close()
        raise


def _part(disk: SalvagedDisk, link: LinkView, view: ExtentView, file: File) -> SalvagedPart:
    if view.line.kind in ("FLAT", "VMFS"):
        return SalvagedFlat(file, view.line)
    if view.header is None:
        raise UnsupportedDisk(
            f"extents of kind {view.line.kind} cannot be salvaged", path=view.path
        )
    if view.header.is_stream:
        return SalvagedStream(file, view.header)
    return SalvagedSparse(
        file,
        view.header,
        view.line.sectors * SECTOR,
        inherits=link.inherits,
        has_descriptor=link.descriptor is not None,
        parent=disk.parent,
        base=disk.size,
    )


def _locked(path: str) -> File:
    file = File(path)
    try:
        lock(file, exclusive=False)
    except BaseException:
        file.close()
        raise
    return file
