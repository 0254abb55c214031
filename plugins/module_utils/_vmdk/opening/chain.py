# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Opening a disk: from the name of its descriptor to one device over the whole chain."""

from __future__ import annotations

import functools
import os
import typing as t

from ..._device.errors import ChainMismatch, InvalidRequest, UnsupportedDisk
from ..._device.memory import ZeroDevice
from ..._device.slice import ConcatDevice, SliceDevice
from ..._device.transaction_mark import refuse_reading
from ..descriptor.support import require_supported
from ..extents.devices import extent_path
from ..extents.header import SECTOR
from ..files.lock import refuse_claimed
from ..files.paths import folder_of, require_file
from . import journal
from .descriptor_file import DescriptorFile
from .disk import Disk, Link
from .family import (
    check_parent,
    find_parent,
    refuse_half_committed,
    refuse_with_children,
)
from .kinds import ExtentRequest, open_extent
from .lazy import LazyExtent, OpenExtents, too_many

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..._device.device import BlockDevice, Device
    from ..descriptor.extent_line import ExtentLine

MAX_LINKS = 64  # VMware stops at 32 snapshots; reading goes down a chain link by link


def open_disk(
    path: str | os.PathLike[str],
    *,
    writable: bool = False,
    single_link: bool = False,
    allow_outside: Sequence[str] = (),
) -> Disk:
    """Open a hosted VMDK with all its parents; with single_link the leaf alone, for reading.

    Extents and parents outside the disk's folder are refused unless below one of allow_outside.
    Raises DiskNotFound, NotADisk, UnsupportedDisk, CorruptDisk, TruncatedDisk, MissingLink,
    ChainMismatch, UnsafePath, DiskInUse, InvalidRequest.
    """
    real = os.path.realpath(path)
    links = _open_links(real, int(writable), single_link, False, allow_outside)
    return Disk(os.fspath(path), links)


def open_apart(
    path: str | os.PathLike[str], *, allow_outside: Sequence[str] = ()
) -> tuple[Disk, Disk]:
    """(a child alone, its parent with all below), both locked and writable: for commit only.

    Nobody else may write to a parent. Raises what open_disk() raises, InvalidRequest without one.
    """
    links = _open_links(os.path.realpath(path), 2, False, True, allow_outside)
    return Disk(os.fspath(path), links[:1]), Disk(links[1].path, links[1:])


def _open_links(
    path: str, writable: int, single_link: bool, apart: bool, allow_outside: Sequence[str]
) -> list[Link]:
    """All links, leaf first, the first `writable` of them for writing."""
    journal.finish(path)
    stores: list[DescriptorFile] = []
    links: list[Link] = []
    try:
        while not _open_descriptors(path, stores, writable, single_link, allow_outside):
            while stores:
                stores.pop().close()
        if apart and len(stores) < 2:
            raise InvalidRequest("has no parent", path=path)
        parent: BlockDevice | None = None
        count = sum(len(store.descriptor.extents) for store in stores)
        pool = OpenExtents() if too_many(count) else None
        for depth, store in reversed(list(enumerate(stores))):
            under = None if apart and depth == 0 else parent
            link = _open_link(store, under, depth < writable, allow_outside, pool)
            links.insert(0, link)
            parent = link.device
        return links
    except BaseException:
        for link in links:
            link.close()
        for store in stores:
            store.close()
        raise


def _open_descriptors(
    path: str,
    stores: list[DescriptorFile],
    writable: int,
    single_link: bool,
    allow_outside: Sequence[str],
) -> bool:
    """The descriptors of all links, leaf first; appended one by one so that they can be closed.

    False: what a killed job had left at a parent was finished, which may have changed the chain.
    """
    stores.append(DescriptorFile(path, writable=writable > 0))
    _refuse_leaf(path, writable, single_link)
    while True:
        store = stores[-1]
        require_supported(store.descriptor)
        if store.descriptor.parent_cid is None:
            return True
        if single_link:
            _refuse_writing_alone(path, writable > 0)
            return True
        parent = find_parent(store.path, store.descriptor, allow_outside)
        if journal.finish(parent):
            return False
        _refuse_endless(stores, parent)
        if len(stores) < writable:
            refuse_claimed(parent)
        stores.append(DescriptorFile(parent, writable=len(stores) < writable))
        refuse_reading(parent)
        check_parent(store.descriptor, stores[-1].descriptor)


def _refuse_leaf(path: str, writable: int, single_link: bool) -> None:
    refuse_reading(path)
    if not single_link and writable < 2:
        refuse_half_committed(path)
    if writable:
        refuse_claimed(path)
    if writable == 1:
        refuse_with_children(path, "write to")  # its content would no longer be theirs (TN p.3)


def _refuse_endless(stores: Sequence[DescriptorFile], parent: str) -> None:
    if any(os.path.samefile(parent, known.path) for known in stores):
        raise ChainMismatch("the chain of parents leads in a circle", path=parent)
    if len(stores) == MAX_LINKS:
        raise UnsupportedDisk(
            f"has a chain of more than {MAX_LINKS} links",
            path=stores[0].path,
            hint="Commit some of its redo logs from the other end (vmdk_snapshot).",
        )


def _refuse_writing_alone(path: str, writable: bool) -> None:
    if writable:
        raise InvalidRequest("a child cannot be written without its parent", path=path)


def _open_link(
    store: DescriptorFile,
    parent: BlockDevice | None,
    writable: bool,
    allow_outside: Sequence[str],
    pool: OpenExtents | None,
) -> Link:
    extents = _extent_paths(store, allow_outside)
    parts: list[Device] = []
    opened: set[str | None] = set()
    offset = 0
    try:
        for line, path in extents:
            length = line.sectors * SECTOR
            under = None if parent is None else part_of_parent(parent, offset, length)
            request = ExtentRequest(
                line=line,
                path=path,
                disk=store.path,
                writable=writable,
                inherits=store.descriptor.parent_cid is not None,
                parent=under,
                embedded=None if store.header is None else (store.file, store.header),
                first=path not in opened,
            )
            opened.add(path)
            parts.append(_lazy(request, pool) if pool else open_extent(request))
            offset += length
    except BaseException:
        for part in parts:
            part.close()
        raise
    device = parts[0] if len(parts) == 1 else ConcatDevice(parts, store.path)
    return Link(store, extents, parts, device)


def _lazy(request: ExtentRequest, pool: OpenExtents) -> Device:
    """That its file is there is known at once. Raises DiskNotFound, NotADisk."""
    if request.embedded is not None:
        return open_extent(request)
    if request.path is not None:
        require_file(request.path, request.disk)
    extent = LazyExtent(
        pool,
        functools.partial(open_extent, request),
        size=request.line.sectors * SECTOR,
        name=request.path or request.disk,
        path=request.path,
    )
    extent.writes_in_parallel = request.line.kind in ("FLAT", "VMFS")
    return extent


def _extent_paths(
    store: DescriptorFile, allow_outside: Sequence[str]
) -> list[tuple[ExtentLine, str | None]]:
    lines = store.descriptor.extents
    if store.is_embedded:
        if len(lines) != 1:
            raise UnsupportedDisk(
                "an embedded descriptor must name one extent",
                path=store.path,
                found=f"{len(lines)} extents",
            )
        # The name in it is often that of a file long renamed; the extent is this file.
        return [(lines[0], store.path)]
    owner, folder = store.path, folder_of(store.path)
    return [
        (line, line.name and extent_path(owner, folder, line.name, allow_outside)) for line in lines
    ]


def part_of_parent(parent: BlockDevice, offset: int, length: int) -> BlockDevice:
    """What lies under an extent, counted from the extent's start; zeros beyond a short parent."""
    inside = max(0, min(length, parent.size - offset))
    if inside == length:
        return SliceDevice(parent, offset, length)
    rest = ZeroDevice(length - inside)
    if inside == 0:
        return rest
    return ConcatDevice([SliceDevice(parent, offset, inside), rest], "parent")
