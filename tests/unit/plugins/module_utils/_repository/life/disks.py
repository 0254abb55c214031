# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that change as a machine runs: mostly shared and empty chunks, some noise, some text."""

from __future__ import annotations

import functools
import random

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import Device, read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind

CHUNK = 256 << 10  # the smallest that a repository may have
POOL = 12  # different contents of whole chunks, so that disks share some


@functools.lru_cache(maxsize=POOL)
def noise(seed):
    return random.Random(seed).randbytes(CHUNK)


class Disk:
    """`chunks` are the chunks that are not zeros; a content is never changed, but replaced."""

    def __init__(self, size, chunks):
        self.size, self.chunks = size, dict(chunks)

    @classmethod
    def new(cls, rng):
        """Most are small and end within a chunk; some are sparse and have several maps."""
        if rng.random() < 0.1:
            disk = cls(rng.randrange(256 << 20, 600 << 20), {})
        else:
            disk = cls(
                rng.choice((rng.randrange(1, 2 * CHUNK), CHUNK, rng.randrange(8 * CHUNK))), {}
            )
        for _time in range(rng.randrange(6)):
            disk.change(rng)
        return disk

    def copy(self):
        return Disk(self.size, self.chunks)

    def change(self, rng):
        """Something is written; where, as (offset, length)."""
        if not self.size:
            return 0, 0
        start = rng.randrange(self.size)
        number = start // CHUNK
        if rng.random() < 0.5:  # a few bytes
            length = min(rng.randrange(1, 3000), self.size - start, (number + 1) * CHUNK - start)
            self.write(number, start - number * CHUNK, rng.randbytes(length))
            return start, length
        start, length = number * CHUNK, min(CHUNK, self.size - number * CHUNK)
        self._put(number, rng.choice((bytes(CHUNK), noise(rng.randrange(POOL))))[:length])
        return start, length

    def changed_since(self, old):
        """(offset, length) of each chunk that is not as it was."""
        numbers = sorted({*self.chunks, *old.chunks})
        changed = [n for n in numbers if self.chunks.get(n) != old.chunks.get(n)]
        starts = [number * CHUNK for number in changed if number * CHUNK < self.size]
        return [(start, min(CHUNK, self.size - start)) for start in starts]

    def resize(self, size):
        end = -(-size // CHUNK)
        self.chunks = {number: data for number, data in self.chunks.items() if number < end}
        self.size = size
        for number in list(self.chunks):
            length = min(CHUNK, size - number * CHUNK)
            self._put(number, self.chunks[number][:length].ljust(length, b"\0"))

    def write(self, number, at, data):
        old = self.chunks.get(number) or bytes(min(CHUNK, self.size - number * CHUNK))
        self._put(number, old[:at] + data + old[at + len(data) :])

    def holds(self, file):
        """Whether a raw image holds just this disk."""
        if file.seek(0, 2) != self.size:
            return False
        for start in range(0, self.size, CHUNK):
            file.seek(start)
            number, length = start // CHUNK, min(CHUNK, self.size - start)
            if file.read(length) != self.chunks.get(number, bytes(length)):
                return False
        return True

    def _put(self, number, data):
        self.chunks.pop(number, None)
        if data.strip(b"\0"):
            self.chunks[number] = data

    def __eq__(self, other):
        return (self.size, self.chunks) == (other.size, other.chunks)

    __hash__ = None

    def __repr__(self):
        return f"Disk({self.size}, chunks {sorted(self.chunks)})"


class DiskDevice(Device):
    """A disk as it was when the device was made."""

    name = "disk"

    def __init__(self, disk):
        self._disk = disk.copy()
        self.size = disk.size

    def readinto(self, offset, buffer):
        self.check_range(offset, buffer.nbytes)
        while buffer.nbytes:
            number, at = divmod(offset, CHUNK)
            data = self._disk.chunks.get(number, bytes(CHUNK))[at : at + buffer.nbytes]
            buffer[: len(data)] = data
            offset, buffer = offset + len(data), buffer[len(data) :]

    def extents(self, offset=0, length=None):
        end = offset + self.check_range(offset, length)
        while offset < end:
            number = offset // CHUNK
            stop = min(end, (number + 1) * CHUNK)
            kind = Kind.DATA if number in self._disk.chunks else Kind.ZERO
            yield Extent(offset, stop - offset, kind)
            offset = stop


def read_disk(device):
    """The disk that a device holds, every byte of it but those it says are zeros."""
    disk = Disk(device.size, {})
    for extent in device.extents():
        if extent.kind is Kind.ZERO:
            continue
        for start in range(extent.offset, extent.end, CHUNK):
            assert start % CHUNK == 0
            data = bytes(read(device, start, min(CHUNK, extent.end - start)))
            if data.strip(b"\0"):
                disk.chunks[start // CHUNK] = data
    return disk
