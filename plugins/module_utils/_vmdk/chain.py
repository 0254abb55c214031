# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Opening a disk: from the name of its descriptor to one device over the whole chain."""

from __future__ import annotations

import os
import typing as t

from .._device.errors import ChainMismatch, InvalidRequest, UnsupportedDisk
from .._device.memory import ZeroDevice
from .._device.slice import ConcatDevice, SliceDevice
from . import journal
from .descriptor_file import DescriptorFile
from .disk import Disk, Link
from .family import check_parent, find_parent, refuse_with_children
from .header import SECTOR
from .kinds import ExtentRequest, open_extent
from .lock import refuse_vmware_lock
from .paths import contained
from .types import UNSUPPORTED_TYPES

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.device import BlockDevice, Device
    from .descriptor import Descriptor
    from .extent_line import ExtentLine


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
    journal.finish(real)
    stores: list[DescriptorFile] = []
    links: list[Link] = []
    try:
        _open_descriptors(real, stores, writable, single_link, allow_outside)
        parent: BlockDevice | None = None
        for store in reversed(stores):
            is_leaf = store is stores[0]
            link = _open_link(store, parent, writable and is_leaf, allow_outside)
            links.insert(0, link)
            parent = link.device
        return Disk(os.fspath(path), links)
    except BaseException:
        for link in links:
            link.close()
        for store in stores:
            store.close()
        raise


def _open_descriptors(
    path: str,
    stores: list[DescriptorFile],
    writable: bool,
    single_link: bool,
    allow_outside: Sequence[str],
) -> None:
    """The descriptors of all links, leaf first; appended one by one so that they can be closed."""
    stores.append(DescriptorFile(path, writable=writable))
    if writable:
        refuse_vmware_lock(path)
        refuse_with_children(path, "write to")  # its content would no longer be theirs (TN p.3)
    while True:
        store = stores[-1]
        _require_supported(store.descriptor)
        if store.descriptor.parent_cid is None:
            return
        if single_link:
            _refuse_writing_alone(path, writable)
            return
        parent = find_parent(store.path, store.descriptor, allow_outside)
        if any(os.path.samefile(parent, known.path) for known in stores):
            raise ChainMismatch("the chain of parents leads in a circle", path=parent)
        stores.append(DescriptorFile(parent))
        check_parent(store.descriptor, stores[-1].descriptor)


def _refuse_writing_alone(path: str, writable: bool) -> None:
    if writable:
        raise InvalidRequest("a child cannot be written without its parent", path=path)


def _require_supported(descriptor: Descriptor) -> None:
    what = UNSUPPORTED_TYPES.get(descriptor.create_type.lower())
    if descriptor.get("encryptionKeys") is not None or descriptor.get("version") == "2":
        what = "encrypted"
    if what is not None:
        raise UnsupportedDisk(
            f"is {what}, which cannot be opened here",
            path=descriptor.path,
            found=f"createType {descriptor.create_type}",
            hint="Clone it to an ordinary disk with the product that owns it.",
        )


def _open_link(
    store: DescriptorFile,
    parent: BlockDevice | None,
    writable: bool,
    allow_outside: Sequence[str],
) -> Link:
    extents = _extent_paths(store, allow_outside)
    parts: list[Device] = []
    opened: set[str | None] = set()
    offset = 0
    try:
        for line, path in extents:
            length = line.sectors * SECTOR
            under = None if parent is None else _part_of_parent(parent, offset, length)
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
            parts.append(open_extent(request))
            offset += length
    except BaseException:
        for part in parts:
            part.close()
        raise
    device = parts[0] if len(parts) == 1 else ConcatDevice(parts, store.path)
    return Link(store, extents, parts, device)


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
    return [
        (line, None if line.name is None else contained(store.path, line.name, allow_outside))
        for line in lines
    ]


def _part_of_parent(parent: BlockDevice, offset: int, length: int) -> BlockDevice:
    """What lies under an extent, counted from the extent's start; zeros beyond a short parent."""
    inside = max(0, min(length, parent.size - offset))
    if inside == length:
        return SliceDevice(parent, offset, length)
    rest = ZeroDevice(length - inside)
    if inside == 0:
        return rest
    return ConcatDevice([SliceDevice(parent, offset, inside), rest], "parent")
