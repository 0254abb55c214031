# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams made byte by byte, without the engine."""

from __future__ import annotations

import os
import random
import struct
import zlib
from pathlib import Path

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.stream.stream import (
    StreamExtent,
)

REPOSITORY = Path(__file__).resolve().parents[5]
CORPUS = Path(os.environ.get("VDISK_CORPUS", REPOSITORY.parent / "shared" / "corpus"))

GRAIN = 8  # sectors: small disks, the same code
BYTES = GRAIN * 512
GTES = 128
AT_END = 2**64 - 1
HEADER = "<4sIIQQQQIQQQB4sH"


def pack_header(capacity, gd, *, flags=0x30001, grain=GRAIN, gtes=GTES, version=3):
    fields = (b"KDMV", version, flags, capacity, grain, 1, 1, gtes, 0, gd, 8, 0, b"\n \r\n", 1)
    return struct.pack(HEADER, *fields).ljust(512, b"\0")


def sectors(data):
    return data.ljust(-(-len(data) // 512) * 512, b"\0")


def marker(kind, count):
    return sectors(struct.pack("<QII", count, 0, kind))


class Image:
    """A stream put together by hand, so that each of its parts can be wrong."""

    def __init__(self, capacity, grains, *, flags=0x30001, gtes=GTES, compress=zlib.compress):
        self.capacity, self.flags, self.gtes = capacity, flags, gtes
        self.body = bytearray(8 * 512)
        self.places = {}
        tables = -(-capacity // (GRAIN * gtes))
        self.entries = [0] * (tables * gtes)
        for number, content in sorted(grains.items()):
            stream = compress(content)
            prefix = struct.pack("<QI", number * GRAIN, len(stream))
            self.places[number] = len(self.body)
            self.entries[number] = len(self.body) // 512
            self.body += sectors((prefix if flags & 0x20000 else prefix[8:]) + stream)
        self.tables = [self._put_table(index) for index in range(tables)]
        self.gd = self._put(2, struct.pack(f"<{tables}I", *self.tables))

    def _put_table(self, index):
        entries = self.entries[index * self.gtes : (index + 1) * self.gtes]
        return self._put(1, struct.pack(f"<{self.gtes}I", *entries)) if any(entries) else 0

    def _put(self, kind, content):
        content = sectors(content)
        self.body += marker(kind, len(content) // 512) + content
        return (len(self.body) - len(content)) // 512

    def patch(self, offset, layout, *values):
        struct.pack_into(layout, self.body, offset, *values)

    def patch_entry(self, grain, value):
        index, place = divmod(grain, self.gtes)
        self.patch(self.tables[index] * 512 + place * 4, "<I", value)

    def header(self, gd):
        return pack_header(self.capacity, gd, flags=self.flags, gtes=self.gtes)

    def with_footer(self, gd_in_header=AT_END):
        end = marker(3, 1) + self.header(self.gd) + marker(0, 0)
        return self.header(gd_in_header) + bytes(self.body[512:]) + end

    def with_directory_in_header(self):
        return self.header(self.gd) + bytes(self.body[512:]) + marker(0, 0)


class CountingFile(File):
    """Counts reads of the file."""

    reads = 0

    def readinto(self, offset, buffer):
        self.reads += 1
        super().readinto(offset, buffer)


def open_stream(path, kind=File, **options):
    file = kind(path)
    return StreamExtent(file, SparseHeader.parse(file.read(0, 512), path), **options)


def content_of(grains, capacity):
    content = bytearray(capacity * 512)
    for number, data in grains.items():
        content[number * BYTES : number * BYTES + len(data)] = data
    return content


def noise(seed, size=BYTES):
    return random.Random(seed).randbytes(size)


# Two tables, the second begins with grain 128; the last grain has 2 of its 8 sectors.
CAPACITY = 200 * GRAIN + 2
GRAINS = {
    0: noise(0),
    1: b"text " * 819 + b"!",
    5: noise(5),
    127: noise(127),
    128: noise(128),
    200: noise(200),
}
GRAINS_CUT = {**GRAINS, 200: GRAINS[200][:1024]}
CONTENT = content_of(GRAINS_CUT, CAPACITY)


def whole(device):
    return read(device, 0, device.size)
