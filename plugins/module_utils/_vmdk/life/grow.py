# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Making a disk larger, so that a crash leaves it as it was or as it shall be."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t
from array import array

from ..._device.errors import CorruptDisk, DiskError, DiskExists, InvalidRequest, UnsupportedDisk
from ..._device.files import TEMPORARY_SUFFIX, remove_if_there
from ..._device.raw import RawDevice
from ..descriptor.geometry import geometry_for
from ..descriptor.types import (
    CREATABLE_TYPES,
    FLAT_TYPES,
    SPARSE_TYPES,
    SPLIT_FLAT,
    SPLIT_SPARSE,
    VMFS,
    VMFS_SPARSE,
    VMFS_THIN,
)
from ..extents.cowd import MAX_BYTES as MAX_COWD_BYTES
from ..extents.cowd import CowdExtent
from ..extents.header import SECTOR, SparseHeader
from ..extents.layout import (
    SPLIT_SECTORS,
    DiskSpec,
    directory_sectors,
    sparse_header,
    split_lines,
    table_sectors,
)
from ..extents.sparse import GrainedExtent, SparseExtent
from ..extents.tables import FileSpace, little_endian
from ..files.lock import refuse_claimed
from ..files.ownership import keep_owner
from ..files.paths import folder_of
from ..opening import journal
from ..opening.chain import open_disk
from ..opening.family import refuse_with_children
from ..opening.info import lookup
from ..opening.lazy import opened
from .building import new_file, new_flat, new_sparse

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ..descriptor.extent_line import ExtentLine
    from ..opening.disk import Disk, Link

_VMFS_FLAT = (VMFS_THIN, "vmfsPreallocated", "vmfsEagerZeroedThick", "vmfsThick")
_GROWABLE = (*SPARSE_TYPES, *FLAT_TYPES, *_VMFS_FLAT, VMFS_SPARSE)


def grow_disk(
    path: str | os.PathLike[str], size: int, *, allow_outside: Sequence[str] = ()
) -> bool:
    """Make a disk `size` bytes; what is new reads as zeros. False if it has that size already.

    Raises InvalidRequest for a smaller size, a child or a disk with children; UnsupportedDisk for
    streams.
    """
    real = os.path.realpath(path)
    with open_disk(real, allow_outside=allow_outside) as disk:
        if size == disk.size:
            return False
        check_growth(disk, size)
    with open_disk(real, writable=True, allow_outside=allow_outside) as disk:
        _grow(disk, size // SECTOR)
    return True


def check_growth(disk: Disk, size: int) -> None:
    """Raises what grow_disk() would raise for another size than the disk has."""
    if size < disk.size:
        raise InvalidRequest(
            "a disk cannot be made smaller",
            path=disk.path,
            found=f"a request for {size} bytes",
            expected=f"at least its {disk.size} bytes",
            hint="Create a smaller disk and copy the files.",
        )
    _require_type(disk)
    if len(disk.links) > 1:
        raise InvalidRequest(
            "a child cannot be larger than its parent",
            path=disk.path,
            hint="Clone it to a disk of its own first (vmdk_clone).",
        )
    refuse_with_children(disk.path, "grow")
    _require_addressable(disk, size)
    refuse_claimed(disk.links[0].path)
    _require_sound(disk)


def grow_parent(disk: Disk, size: int) -> None:
    """Make room for all that a larger child holds. For commit only, which has both disks open."""
    _require_type(disk)
    _require_addressable(disk, size)
    _require_sound(disk)
    _grow(disk, size // SECTOR)


def _require_type(disk: Disk) -> None:
    if disk.disk_type not in _GROWABLE:
        raise UnsupportedDisk(
            f"a {disk.disk_type} disk cannot grow in place",
            path=disk.path,
            hint="Convert it to monolithicSparse first (vmdk_convert).",
        )


def _require_addressable(disk: Disk, size: int) -> None:
    known = disk.disk_type in CREATABLE_TYPES
    DiskSpec(size, disk.disk_type if known else VMFS).check()
    if disk.disk_type == VMFS_SPARSE and size > MAX_COWD_BYTES:
        raise UnsupportedDisk(
            "a vmfsSparse disk ends before 2 TiB",
            path=disk.path,
            found=f"a request for {size} bytes",
            expected=f"at most {MAX_COWD_BYTES}",
            hint="Convert it to twoGbMaxExtentSparse or vmfs first (vmdk_convert).",
        )


def _require_sound(disk: Disk) -> None:
    if disk.flags:
        raise CorruptDisk(
            "is not sound enough to grow",
            path=disk.path,
            found="; ".join(disk.flags),
            hint="Clone it first; the clone is sound (vmdk_clone).",
        )


def _grow(disk: Disk, sectors: int) -> None:
    link = disk.links[0]
    descriptor = link.descriptor
    more = sectors - descriptor.sectors
    last = descriptor.extents[-1]
    room = more
    if disk.disk_type in (SPLIT_SPARSE, SPLIT_FLAT):
        room = min(more, max(0, _split_size(link) - last.sectors))
    if room:
        grown = dataclasses.replace(last, sectors=last.sectors + room)
        _grow_last(link, grown)
        descriptor.replace_extent(len(descriptor.extents) - 1, grown)
    _set_geometry(disk, sectors)
    if more == room:
        link.store.save()
    else:
        _add_extents(disk, more - room)


def _split_size(link: Link) -> int:
    """Every product has its own size of a split; a disk keeps the one it was made with."""
    return max(SPLIT_SECTORS, link.descriptor.extents[0].sectors)


def _set_geometry(disk: Disk, sectors: int) -> None:
    shape = geometry_for(sectors, lookup(disk, "adapterType") or "lsilogic")
    for name, value in shape._asdict().items():
        if disk.descriptor.get(f"ddb.geometry.{name}") is not None:
            disk.descriptor.set(f"ddb.geometry.{name}", str(value))


# The last extent. A reader goes by the descriptor, which is still the old one: nothing shows yet.


def _grow_last(link: Link, line: ExtentLine) -> None:
    with opened(link.parts[-1]) as part:
        if isinstance(part, GrainedExtent):
            part.forget_beyond()
            part.complete_last_grain()
        if isinstance(part, SparseExtent):
            _grow_sparse(link, part, line.sectors)
        elif isinstance(part, CowdExtent):
            part.grow(line.sectors)
        elif isinstance(part, RawDevice):
            _grow_flat(link, part, line)
        else:
            raise UnsupportedDisk("its last extent cannot grow", path=link.path, found=str(line))


def _grow_flat(link: Link, part: RawDevice, line: ExtentLine) -> None:
    paths = [path for _line, path in link.extents]
    if paths.count(paths[-1]) > 1:
        raise UnsupportedDisk("several extents share the last file", path=link.path)
    old_end, end = part.offset + part.size, part.offset + line.sectors * SECTOR
    size = part.file.size
    if size > old_end:  # never show what happens to lie behind the extent
        part.file.zero(old_end, min(size, end) - old_end)
    if size < end:
        part.file.truncate(end)
    part.file.flush()


def _grow_sparse(link: Link, part: SparseExtent, capacity: int) -> None:
    header = dataclasses.replace(part.header, capacity=max(capacity, part.header.capacity))
    if header.directory_entries > part.header.directory_entries:
        header = _move_directories(part, header)
    if link.store.is_embedded:
        link.store.save_header(header)
    else:
        part.file.write(0, header.pack())
        part.file.flush()


def _move_directories(part: SparseExtent, header: SparseHeader) -> SparseHeader:
    """Longer directories, and room for the new tables, at the end of the file."""
    file, space = part.file, FileSpace(part.file)
    places = []
    for directory in part.tables.directories():
        step = table_sectors(header)
        new_tables = header.directory_entries - len(directory)
        start = space.take(directory_sectors(header) + new_tables * step)
        first = start + directory_sectors(header)
        longer = directory + array("I", range(first, first + new_tables * step, step))
        file.write(start * SECTOR, little_endian(longer))
        places.append(start)
    file.truncate(space.end * SECTOR)
    file.flush()
    if len(places) == 1:
        return dataclasses.replace(header, gd_offset=places[0])
    return dataclasses.replace(header, rgd_offset=places[0], gd_offset=places[1])


# Further extents of a split disk


def _add_extents(disk: Disk, sectors: int) -> None:
    link = disk.links[0]
    stem, suffix = os.path.splitext(os.path.basename(link.path))
    first = len(link.descriptor.extents) + 1
    lines = split_lines(stem, suffix, disk.disk_type, sectors, first, _split_size(link))
    paths = [os.path.join(folder_of(link.path), line.name or "") for line in lines]
    for path in paths:
        if os.path.lexists(path):
            raise DiskExists(
                "is in the way of a new extent", path=path, hint="Move it somewhere else."
            )
    like = os.fstat(link.store.file.fileno())
    try:
        for path, line in zip(paths, lines, strict=True):
            _make_extent(path, line, like)
            link.descriptor.append_extent(line)
        _write_new(link.path, like, link.descriptor.to_bytes())
        journal.commit(link.path, [*paths, link.path])
    except BaseException:
        if not os.path.exists(link.path + journal.SUFFIX):
            for path in (*paths, link.path):
                with contextlib.suppress(DiskError):
                    remove_if_there(path + TEMPORARY_SUFFIX)
        raise


def _make_extent(path: str, line: ExtentLine, like: os.stat_result) -> None:
    with new_file(path) as file:
        keep_owner(file, like)
        if line.kind == "SPARSE":
            new_sparse(file, sparse_header(line.sectors, 0)).finish()
        else:
            new_flat(file, line.sectors * SECTOR).flush()


def _write_new(path: str, like: os.stat_result, data: bytes) -> None:
    with new_file(path) as file:
        keep_owner(file, like)
        file.write(0, data)
        file.flush()
