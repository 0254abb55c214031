# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Files of a disk that are still being made: hidden names, a magic that no reader takes."""

from __future__ import annotations

import dataclasses
import os
import stat
from array import array

from ..._device.errors import DiskExists, DiskNotFound, NoSpace, ReadOnlyDisk, from_oserror
from ..._device.files import TEMPORARY_SUFFIX, File, remove_if_there
from ..._device.raw import RawDevice
from ..extents.header import SECTOR, TEMPORARY_MAGIC, SparseHeader
from ..extents.layout import directory_sectors, table_sectors
from ..extents.sparse import SparseExtent
from ..extents.tables import little_endian
from ..files.lock import lock
from ..files.paths import folder_of


def new_file(path: str) -> File:
    """An empty file under the temporary name of `path`; what a killed job left is replaced.

    Raises DiskInUse where the job that makes it is alive, DiskExists where it is no plain file.
    """
    temporary = path + TEMPORARY_SUFFIX
    if os.path.lexists(temporary):
        if not stat.S_ISREG(os.lstat(temporary).st_mode):
            raise DiskExists("is in the way of a new file", path=temporary, hint="Move it away.")
        with File(temporary) as stale:
            lock(stale, exclusive=True)
            remove_if_there(temporary)
    file = File.create(temporary)
    lock(file, exclusive=True)
    return file


def require_space(folder: str, size: int) -> None:
    """Raises NoSpace before anything is written."""
    status = os.statvfs(folder)
    free = status.f_bavail * status.f_frsize
    if free < size:
        raise NoSpace(
            "the file system is too full",
            path=folder,
            found=f"{free} bytes free",
            expected=f"{size} bytes",
            hint="Free some space there, or choose another place.",
        )


def require_folder(path: str) -> None:
    """Raises DiskNotFound where the folder for a new file is missing."""
    folder = folder_of(path)
    if not os.path.isdir(folder):
        raise DiskNotFound("the folder for it is not there", path=folder, hint="Create it first.")


def require_writable(folder: str) -> None:
    """Raises ReadOnlyDisk for a folder where nothing can be made."""
    if os.statvfs(folder).f_flag & os.ST_RDONLY:
        raise ReadOnlyDisk(
            "the file system is read-only", path=folder, hint="Mount it for writing first."
        )


def new_flat(file: File, size: int, *, preallocate: bool = False) -> RawDevice:
    """A flat extent of holes, or of reserved blocks. Raises NoSpace."""
    file.truncate(size)
    if preallocate:
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise from_oserror(error, f"reserve {size} bytes", file.path) from error
    return RawDevice(file, 0, size)


def new_sparse(file: File, header: SparseHeader, descriptor: bytes = b"") -> SparseExtent:
    """An empty sparse extent; its finish() makes it one that others recognise."""
    file.truncate(header.overhead * SECTOR)
    file.write(0, dataclasses.replace(header, magic=TEMPORARY_MAGIC).pack() + descriptor)
    write_directories(file, header)
    return SparseExtent(file, header, fresh=True)


def write_directories(file: File, header: SparseHeader) -> None:
    """Both grain directories, each with its tables right behind it."""
    for offset in (header.rgd_offset, header.gd_offset):
        first = offset + directory_sectors(header)
        step = table_sectors(header)
        entries = array("I", range(first, first + header.directory_entries * step, step))
        file.write(offset * SECTOR, little_endian(entries))
