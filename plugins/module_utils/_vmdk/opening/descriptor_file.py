# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The file that holds a descriptor, alone or inside a sparse extent: read, locked, rewritten."""

from __future__ import annotations

import dataclasses
import os
import re

from ..._device.errors import (
    CorruptDisk,
    DiskInUse,
    NotADisk,
    TruncatedDisk,
    UnsupportedDisk,
)
from ..._device.files import TEMPORARY_SUFFIX, File, remove_if_there, replace_durably
from ..descriptor.descriptor import MAX_BYTES, Descriptor
from ..descriptor.support import encrypted, is_encrypted
from ..extents.header import SECTOR, SparseHeader
from ..extents.probe import sparse_header
from ..files.lock import is_current, lock
from ..files.ownership import keep_owner
from ..files.paths import contained, require_file

MAX_SECTORS = (1 << 54) - 1  # so that bytes fit a signed 64-bit offset
_LONG_ID = re.compile(rb'(?<=ddb\.longContentID = ")[0-9a-fA-F]+')
_TRIES = 10  # another job may replace the file just while it is being opened


class DescriptorFile:
    """Open and locked: shared for reading, for writing alone."""

    def __init__(self, path: str, *, writable: bool = False) -> None:
        """Raises DiskNotFound, NotADisk, DiskInUse, CorruptDisk, UnsupportedDisk."""
        self.path = path
        self.file = _open_locked(path, writable)
        try:
            self.header, self.descriptor = read_descriptor(self.file)
        except BaseException:
            self.file.close()
            raise

    @property
    def is_embedded(self) -> bool:
        """The file is the extent as well."""
        return self.header is not None

    def files(self) -> list[str]:
        """The descriptor first, then the extents, each file once. Raises UnsafePath."""
        if self.is_embedded:
            return [self.path]
        names = [line.name for line in self.descriptor.extents if line.name is not None]
        return list(dict.fromkeys([self.path, *(contained(self.path, name) for name in names)]))

    def save(self) -> None:
        """Write the descriptor back, durably. A reader sees the old one or the new one."""
        if self.header is None:
            self._replace(self.descriptor.to_bytes())
        else:
            self._save_embedded(self.header, self.descriptor.to_bytes())

    def _replace(self, data: bytes) -> None:
        temporary = self.path + TEMPORARY_SUFFIX
        remove_if_there(temporary)
        new = File.create(temporary)
        try:
            lock(new, exclusive=True)  # before it has the disk's name, so that nobody slips in
            keep_owner(new, os.fstat(self.file.fileno()))
            new.write(0, data)
            new.flush()
            replace_durably(temporary, self.path)
        except BaseException:
            new.close()
            remove_if_there(temporary)
            raise
        new.path = self.path
        self.file.close()
        self.file = new

    def _save_embedded(self, header: SparseHeader, data: bytes) -> None:
        place, room = embedded_place(self.file, header)
        text = data.ljust(room, b"\0")
        if header.is_stream:
            require_room(self.file, header, data)
        elif len(data) > room:
            self.save_header(append_descriptor(self.file, header, data))
            return
        elif not _is_whole_if_torn(self.file.read(place, room), text):
            self._save_by_detour(header, place, text)
            return
        self.file.write(place, text)
        self.file.flush()

    def _save_by_detour(self, header: SparseHeader, place: int, text: bytes) -> None:
        """A crash within many sectors would mix both texts: so the header leads past them."""
        end = self.file.size
        self.save_header(append_descriptor(self.file, header, text))
        self.file.write(place, text)
        self.file.flush()
        self.save_header(header)
        self.file.truncate(end)

    def save_header(self, header: SparseHeader) -> None:
        """One sector, so it is written as a whole or not at all."""
        self.file.write(0, header.pack())
        self.file.flush()
        self.header = header

    def close(self) -> None:
        self.file.close()

    def __enter__(self) -> DescriptorFile:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def _open_locked(path: str, writable: bool) -> File:
    for _try in range(_TRIES):
        if os.path.exists(path):
            require_file(path, path)
        file = File(path, writable=writable)
        try:
            lock(file, exclusive=writable)
            if is_current(file):
                return file
        except BaseException:
            file.close()
            raise
        file.close()
    raise DiskInUse("is being replaced again and again", path=path)


def _is_whole_if_torn(old: bytes | bytearray, new: bytes) -> bool:
    """Whether they differ in one sector alone, but for the long content id: a mixture is fine."""
    one, other = (_LONG_ID.sub(lambda found: b"0" * len(found[0]), text) for text in (old, new))
    places = range(0, len(new), SECTOR)
    return sum(one[at : at + SECTOR] != other[at : at + SECTOR] for at in places) <= 1


def read_descriptor(file: File) -> tuple[SparseHeader | None, Descriptor]:
    """The descriptor, and the header where it is embedded.

    Raises NotADisk, CorruptDisk, UnsupportedDisk.
    """
    header = sparse_header(file)
    start, length = (0, file.size) if header is None else embedded_place(file, header)
    if length > MAX_BYTES:
        raise CorruptDisk("is too long for a descriptor", path=file.path, found=f"{length} bytes")
    descriptor = Descriptor(bytes(file.read(start, length)), file.path)
    if not descriptor.create_type or not descriptor.extents:
        if is_encrypted(descriptor.to_bytes()):
            raise encrypted(file.path)
        raise CorruptDisk(
            "the descriptor is not complete",
            path=file.path,
            expected="a createType and at least one extent",
            hint="Restore the descriptor from a good copy.",
        )
    if descriptor.sectors > MAX_SECTORS:
        raise CorruptDisk(
            "the extents make an impossible size",
            path=file.path,
            found=f"{descriptor.sectors} sectors",
            expected=f"at most {MAX_SECTORS}",
        )
    return header, descriptor


def embedded_place(file: File, header: SparseHeader) -> tuple[int, int]:
    """(offset, length) in bytes."""
    if header.descriptor_offset == 0 or header.descriptor_size == 0:
        raise NotADisk(
            "is one extent of a disk of several files",
            path=file.path,
            hint="Name the small descriptor file (.vmdk) of the disk instead.",
        )
    start, length = header.descriptor_offset * SECTOR, header.descriptor_size * SECTOR
    if start + length > file.size:
        raise TruncatedDisk(
            "the descriptor lies beyond the end of the file",
            path=file.path,
            offset=start,
            found=f"a file of {file.size} bytes",
            expected=f"{length} bytes of descriptor",
        )
    return start, length


def append_descriptor(file: File, header: SparseHeader, data: bytes) -> SparseHeader:
    """Store a descriptor at the end of the file; the header that leads to it."""
    sector, sectors = -(-file.size // SECTOR), -(-len(data) // SECTOR)
    file.write(sector * SECTOR, data.ljust(sectors * SECTOR, b"\0"))
    file.flush()
    return dataclasses.replace(header, descriptor_offset=sector, descriptor_size=sectors)


def require_room(file: File, header: SparseHeader, data: bytes) -> None:
    """A stream ends where its footer is looked for, so nothing can be added to it."""
    if len(data) > embedded_place(file, header)[1]:
        raise UnsupportedDisk(
            "the descriptor has no room for more, and nothing can be added to a stream",
            path=file.path,
            hint="Convert the disk to monolithicSparse first (vmdk_convert).",
        )
