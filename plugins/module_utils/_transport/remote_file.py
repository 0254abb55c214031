# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A file of a datastore where the disk engine expects one of this host. Read-only."""

from __future__ import annotations

import typing as t

from .._device.errors import TruncatedDisk
from .._device.extent import Extent, Kind
from .._device.files import File
from .._device.recent import Recent

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .._vsphere.disks.folder import DatastoreFiles
    from .._vsphere.disks.paths import Place

_BLOCK = 256 << 10  # bytes of a request for less; a grain of a redo log has 4 KiB
_BLOCKS = 128  # kept


class RemoteFile(File):
    """Its holes are not told. It shares the connections of `files`, which stay open.

    Tables, grains, and what of a base shows between grains lie close to each other: one request is
    made for many of them.
    """

    def __init__(self, files: DatastoreFiles, place: Place) -> None:
        """Raises DiskNotFound, DiskInUse, and TransportUnavailable where there are no ranges."""
        self.path, self.writable, self.is_block_device = str(place), False, False
        self._files, self._place = files, place
        self._size = files.probe(place)
        self._blocks: Recent[int, bytes] = Recent(_BLOCKS)

    @property
    def size(self) -> int:
        return self._size

    def fileno(self) -> int:
        """It has none: as if it were closed already."""
        return -1

    def readinto(self, offset: int, buffer: memoryview) -> None:
        """Fill the buffer. Raises TruncatedDisk where the file ends before, DiskInUse, …"""
        end = offset + buffer.nbytes
        if end > self._size:
            raise TruncatedDisk(
                "the file ends too early",
                path=self.path,
                offset=offset,
                found=f"a file of {self._size} bytes",
                expected=f"{buffer.nbytes} bytes from there",
            )
        if buffer.nbytes >= _BLOCK:
            self._files.readinto(self._place, offset, buffer)
            return
        done = offset
        while done < end:
            number, skip = divmod(done, _BLOCK)
            part = self._blocks.get(number, self._load)[skip : skip + end - done]
            buffer[done - offset : done - offset + len(part)] = part
            done += len(part)

    def _load(self, number: int) -> bytes:
        start = number * _BLOCK
        block = bytearray(min(_BLOCK, self._size - start))
        self._files.readinto(self._place, start, memoryview(block))
        return bytes(block)

    def extents(self, start: int, end: int) -> Iterator[Extent]:
        if start < end:
            yield Extent(start, end - start, Kind.DATA)

    def end_of_hole(self, start: int, end: int) -> int:
        return start

    def flush(self) -> None:
        """Nothing is written."""

    def close(self) -> None:
        """Nothing of its own."""
