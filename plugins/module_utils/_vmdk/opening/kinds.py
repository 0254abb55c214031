# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""From an extent line to a device: one entry here for each kind of extent."""

from __future__ import annotations

import typing as t

from ..._device.errors import CorruptDisk, UnsupportedDisk
from ..._device.files import File
from ..descriptor.types import UNSUPPORTED_EXTENTS
from ..extents.cowd import HEADER_BYTES, CowdExtent, CowdHeader
from ..extents.cowd import MAGIC as COWD
from ..extents.flat import flat_extent
from ..extents.header import SECTOR, SparseHeader
from ..extents.opaque import no_access, raw_device_mapping
from ..extents.sesparse import MAGIC_BYTES as SE_SPARSE
from ..extents.sesparse import SeSparseExtent, SeSparseHeader
from ..extents.sparse import SparseExtent
from ..extents.zero import ZeroExtent
from ..files.lock import lock
from ..files.paths import require_file
from ..stream.stream import StreamExtent

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice, Device
    from ..descriptor.extent_line import ExtentLine


class ExtentRequest(t.NamedTuple):
    """One extent of a disk, and how it shall be opened.

    parent: the part of the parent disk that lies under this extent.
    embedded: the file that is open already because the descriptor is in it.
    first: no earlier extent of the disk lies in the same file.
    """

    line: ExtentLine
    path: str | None
    disk: str
    writable: bool
    inherits: bool
    parent: BlockDevice | None
    embedded: tuple[File, SparseHeader] | None
    first: bool = True


def open_extent(request: ExtentRequest) -> Device:
    """Raises DiskNotFound, TruncatedDisk, CorruptDisk, UnsupportedDisk."""
    kind = request.line.kind
    opener = _OPENERS.get(kind)
    if opener is None:
        raise UnsupportedDisk(
            f"has an extent that is {UNSUPPORTED_EXTENTS.get(kind, 'of an unknown kind')}",
            path=request.disk,
            found=kind,
            expected=", ".join(_OPENERS),
            hint="Clone the disk on the host that runs it to a kind that can be opened here.",
        )
    if request.line.access == "NOACCESS" and kind != "ZERO":
        return no_access(request.line.sectors * SECTOR, request.disk, str(request.line))
    return opener(request)


def _open_zero(request: ExtentRequest) -> Device:
    return ZeroExtent(request.line.sectors * SECTOR)


def _open_mapping(request: ExtentRequest) -> Device:
    return raw_device_mapping(request.line.sectors * SECTOR, request.disk)


def _open_flat(request: ExtentRequest) -> Device:
    if request.inherits:
        raise UnsupportedDisk("a flat extent cannot have a parent", path=request.disk)
    file = _open_file(request)
    try:
        return flat_extent(file, request.line)
    except BaseException:
        file.close()
        raise


def _open_sparse(request: ExtentRequest) -> Device:
    if request.embedded is not None:
        return _sparse_device(request, *request.embedded)
    file = _open_file(request)
    try:
        return sparse_extent(request, file)
    except BaseException:
        file.close()
        raise


def sparse_extent(request: ExtentRequest, file: File) -> Device:
    """By what the file is: products have used these words for each other's formats.

    Raises CorruptDisk, TruncatedDisk, UnsupportedDisk, NotADisk; the file stays open then.
    """
    head = file.read(0, min(HEADER_BYTES, file.size))
    if head.startswith(COWD):
        return _cowd_device(request, file, CowdHeader.parse(head, file.path))
    if head.startswith(SE_SPARSE):
        return _sesparse_device(request, file, SeSparseHeader.parse(head, file.path))
    return _sparse_device(request, file, SparseHeader.parse(head, file.path))


def _cowd_device(request: ExtentRequest, file: File, header: CowdHeader) -> Device:
    return CowdExtent(
        file,
        header,
        size=request.line.sectors * SECTOR,  # the header's is often rounded
        parent=request.parent,
        inherits=request.inherits,
    )


def _sesparse_device(request: ExtentRequest, file: File, header: SeSparseHeader) -> Device:
    if request.writable:
        raise UnsupportedDisk(
            "a seSparse disk cannot be changed, only read",
            path=request.disk,
            hint="Convert it to monolithicSparse or vmfs first (vmdk_convert).",
        )
    _check_capacity(request, file.path, header.capacity)
    return SeSparseExtent(
        file,
        header,
        size=request.line.sectors * SECTOR,
        parent=request.parent,
        inherits=request.inherits,
    )


def _sparse_device(request: ExtentRequest, file: File, header: SparseHeader) -> Device:
    if header.is_stream and request.writable:
        raise UnsupportedDisk(
            "a streamOptimized disk cannot be changed in place",
            path=request.disk,
            hint="Convert it to monolithicSparse first (vmdk_convert).",
        )
    device = (StreamExtent if header.is_stream else SparseExtent)(
        file,
        header,
        size=request.line.sectors * SECTOR,
        parent=request.parent,
        inherits=request.inherits,
    )
    _check_capacity(request, file.path, device.header.capacity)
    return device


def _check_capacity(request: ExtentRequest, path: str, capacity: int) -> None:
    if capacity < request.line.sectors:
        raise CorruptDisk(
            "descriptor and extent disagree about the size",
            path=path,
            found=f"{capacity} sectors in the extent's header",
            expected=f"{request.line.sectors} sectors",
            hint="Restore descriptor and extent from the same good copy.",
        )


def _open_file(request: ExtentRequest) -> File:
    if request.path is None:
        raise CorruptDisk("an extent has no file name", path=request.disk, found=str(request.line))
    require_file(request.path, request.disk)
    file = File(request.path, writable=request.writable and request.line.access == "RW")
    if request.first:
        _lock(file)
    return file


def _lock(file: File) -> None:
    """The file itself, too: somebody may have a flat extent open without its descriptor."""
    try:
        lock(file, exclusive=file.writable)
    except BaseException:
        file.close()
        raise


_OPENERS = {
    "SPARSE": _open_sparse,
    "FLAT": _open_flat,
    "VMFS": _open_flat,
    "VMFSSPARSE": _open_sparse,
    "SESPARSE": _open_sparse,
    "VMFSRDM": _open_mapping,
    "VMFSRAW": _open_mapping,
    "ZERO": _open_zero,
}
