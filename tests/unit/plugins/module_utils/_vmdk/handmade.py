# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks laid down byte by byte, by the book and without the engine: of any mixture of extents."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

SECTOR = 512
HEADER = struct.Struct("<4sIIQQQQIQQQB4sH")
DESCRIPTOR_SECTORS = 20
FLAT_KINDS = ("flat", "shared", "rdonly")


ZEROED = None  # in place of the content of a grain: an entry that says so (TN p.9)
FILLING = b"\xee"  # what is stored behind the end of a short last grain; nobody may show it


class Part(NamedTuple):
    """An extent. kind: sparse, cowd, flat, shared (one file for all of them), rdonly, zero.

    tables: whether empty grain tables are there, or directory entries of 0.
    grains: what is stored in which grain.
    """

    kind: str
    sectors: int
    grain: int = 128
    zeroed: bool = False
    tables: bool = True
    redundant: bool = True
    grains: Mapping[int, bytes | None] = MappingProxyType({})

    def content(self, below):
        """What it reads as over its part of a parent."""
        data = bytearray(below.ljust(self.sectors * SECTOR, b"\0")[: self.sectors * SECTOR])
        step = self.grain * SECTOR
        for grain, content in self.grains.items():
            length = min(step, len(data) - grain * step)
            data[grain * step : grain * step + length] = (content or b"").ljust(step, b"\0")[
                :length
            ]
        return data


class Laid(NamedTuple):
    """A disk as it is now. fixed: (start, end) in bytes that take no data."""

    path: Path
    content: bytearray
    fixed: list[tuple[int, int]]


def numbered(sectors, first=0):
    """Sectors that each say which one they are."""
    return b"".join((first + n + 1).to_bytes(4, "little") * 128 for n in range(sectors))


def lay_down(folder, stem, parts, *, cid="0badcafe", parent=None, below=b""):
    """Write the disk `stem`.vmdk. parent: (content id, hint) for a child, below: its content."""
    lines, content, fixed = [], bytearray(), []
    for number, part in enumerate(parts, 1):
        line, data = _lay(folder, stem, number, part, below[len(content) :])
        if part.kind in ("zero", "rdonly"):
            fixed.append((len(content), len(content) + len(data)))
        lines.append(line)
        content += data
    path = folder / f"{stem}.vmdk"
    path.write_text(text(create_type(parts), lines, cid=cid, parent=parent))
    return Laid(path, content, fixed)


def text(kind, lines, *, cid="0badcafe", parent=None):
    """A descriptor."""
    parent_cid, hint = parent or ("ffffffff", None)
    head = ["# Disk DescriptorFile", "version=1", f"CID={cid}", f"parentCID={parent_cid}"]
    head += [f'createType="{kind}"'] + ([f'parentFileNameHint="{hint}"'] if parent else [])
    ddb = ['ddb.adapterType = "lsilogic"', 'ddb.virtualHWVersion = "10"']
    whole = [*head, "", "# Extent description", *lines, "", "# The Disk Data Base", "#DDB", *ddb]
    return "\n".join([*whole, ""])


def create_type(parts):
    """The word of VMware that fits."""
    kinds = {part.kind for part in parts}
    if kinds == {"sparse"}:
        return "twoGbMaxExtentSparse"
    if kinds <= {"flat", "shared"}:
        return "twoGbMaxExtentFlat"
    return "vmfsSparse" if kinds == {"cowd"} else "custom"


def _lay(folder, stem, number, part, below):
    """(line of the descriptor, content)"""
    name = f"{stem}-x{number:03d}.vmdk"
    if part.kind == "zero":
        return f"RW {part.sectors} ZERO", bytes(part.sectors * SECTOR)
    if part.kind == "sparse":
        (folder / name).write_bytes(sparse(part))
        return f'RW {part.sectors} SPARSE "{name}"', part.content(below)
    if part.kind == "cowd":
        (folder / name).write_bytes(cowd(part))
        return f'RW {part.sectors} VMFSSPARSE "{name}"', part.content(below)
    return _lay_flat(folder, stem, name, number, part)


def _lay_flat(folder, stem, name, number, part):
    data = numbered(part.sectors, number * 10_000)
    if part.kind == "shared":
        name = f"{stem}-flat.vmdk"
    with (folder / name).open("ab") as file:
        file.write(numbered(3, 5_000_000))  # belongs to no extent
        offset = file.tell() // SECTOR
        file.write(data)
    access = "RDONLY" if part.kind == "rdonly" else "RW"
    return f'{access} {part.sectors} FLAT "{name}" {offset}', data


def sparse(part, descriptor=b""):
    """A hosted sparse extent (TN p.6-9); with a descriptor, a whole disk."""
    room = DESCRIPTOR_SECTORS if descriptor else 0
    count = -(-part.sectors // (part.grain * 512))
    body = bytearray((1 + room) * SECTOR)
    body[SECTOR : SECTOR + len(descriptor)] = descriptor
    places = [_put_tables(body, part, count) for _directory in range(1 + part.redundant)]
    body += bytes(-len(body) % (part.grain * SECTOR))
    overhead = len(body) // SECTOR
    _put_grains(body, part, places, 512)
    flags = 1 | 2 * part.redundant | 4 * part.zeroed
    rgd, gd = (places[0] if part.redundant else 0), places[-1]
    fields = (1 + part.zeroed, flags, part.sectors, part.grain, room and 1, room, 512, rgd, gd)
    HEADER.pack_into(body, 0, b"KDMV", *fields, overhead, 0, b"\n \r\n", 0)
    return body


def _put_tables(body, part, count):
    """A directory, and the tables that hold something, or all; where it lies."""
    place = len(body) // SECTOR
    body += bytes(-(-4 * count // SECTOR) * SECTOR)
    used = {grain // 512 for grain in part.grains}
    for table in range(count) if part.tables else sorted(used):
        struct.pack_into("<I", body, place * SECTOR + 4 * table, len(body) // SECTOR)
        body += bytes(4 * 512)
    return place


def _put_grains(body, part, directories, length):
    """In the order in which they are given."""
    for grain, content in part.grains.items():
        entry = 1
        if content is not ZEROED:
            entry = len(body) // SECTOR
            body += content.ljust(part.grain * SECTOR, b"\0")
            behind = (grain + 1) * part.grain - part.sectors
            if behind > 0:
                body[-behind * SECTOR :] = FILLING * (behind * SECTOR)
        table, index = divmod(grain, length)
        for place in directories:
            start = struct.unpack_from("<I", body, place * SECTOR + 4 * table)[0]
            struct.pack_into("<I", body, start * SECTOR + 4 * index, entry)


def cowd(part):
    """A redo log of ESXi (TN p.10-11), with the tables that it needs."""
    entries = -(-part.sectors // (4096 * part.grain))
    body = bytearray(2048 + -(-4 * entries // SECTOR) * SECTOR)
    for table in sorted({grain // 4096 for grain in part.grains}):
        struct.pack_into("<I", body, 2048 + 4 * table, len(body) // SECTOR)
        body += bytes(4 * 4096)
    _put_grains(body, part, [4], 4096)
    fields = (1, 3, part.sectors, part.grain, 4, entries, len(body) // SECTOR)
    struct.pack_into("<4sIIIIIII", body, 0, b"COWD", *fields)
    return body
