# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The smallest disks of each format, put together by hand: sound, but with a corner in each."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from .bundle import DISK, Part, pack

SECTOR, GRAIN, GTES = 512, 8, 128  # the smallest grain and table that a sparse extent may have
AT_END = 2**64 - 1
COWD_ENTRIES = 4096
SPARSE_V1, SPARSE_ZEROED, STREAM = 0x3, 0x7, 0x30001
_CORPUS = Path(__file__).resolve().parents[3] / "shared" / "corpus"
_SMALL = 300 << 10


def corpus(*names: str) -> list[bytes]:
    """Real disks, where they are at hand and small."""
    folder = Path(os.environ.get("VDISK_CORPUS", _CORPUS))
    paths = [folder / name for name in names]
    return [
        pack({DISK: Part(path.read_bytes())})
        for path in paths
        if path.exists() and path.stat().st_size < _SMALL
    ]


def text(create_type: str, *lines: str, cid: str = "0badcafe", parent: str = "") -> bytes:
    """A descriptor; `parent` is the file name of a disk whose CID is 12345678."""
    head = f"# Disk DescriptorFile\nversion=1\nCID={cid}\nparentCID="
    head += f'12345678\nparentFileNameHint="{parent}"\n' if parent else "ffffffff\n"
    return (head + "\n".join([f'createType="{create_type}"', *lines, "#DDB", ""])).encode()


def grain(number: int) -> bytes:
    return bytes([65 + number % 26]) * (GRAIN * SECTOR)


def sparse(
    capacity: int,
    grains: list[int],
    *,
    flags: int = SPARSE_V1,
    descriptor: bytes | None = None,
    zeroed: tuple[int, ...] = (),
    unclean: int = 0,
    parent: str = "",
) -> bytes:
    """A hosted sparse extent (TN p.6-9); descriptor b"" for one of several files."""
    if descriptor is None:
        descriptor = text("monolithicSparse", f'RW {capacity} SPARSE "{DISK}"', parent=parent)
    room = -(-len(descriptor) // SECTOR)
    tables = -(-capacity // (GRAIN * GTES))
    entries = [0] * (tables * GTES)
    first = -(-(1 + room + 2 * (1 + tables)) // GRAIN) * GRAIN
    for place, number in enumerate(grains):
        entries[number] = first + place * GRAIN
    for number in zeroed:
        entries[number] = 1
    rgd, gd = 1 + room, 2 + room + tables
    head = (b"KDMV", 2 if zeroed else 1, flags, capacity, GRAIN, 1 if room else 0, room)
    rest = (GTES, rgd, gd, first, unclean, b"\n \r\n", 0)
    body = struct.pack("<4sIIQQQQIQQQB4sH", *head, *rest).ljust(SECTOR, b"\0")
    body += descriptor.ljust(room * SECTOR, b"\0")
    for start in (rgd, gd):
        places = range(start + 1, start + 1 + tables)
        body += struct.pack(f"<{tables}I", *places).ljust(SECTOR, b"\0")
        body += struct.pack(f"<{len(entries)}I", *entries)
    return body.ljust(first * SECTOR, b"\0") + b"".join(map(grain, grains))


def stream(capacity: int, grains: list[int], layout: str) -> bytes:
    """streamOptimized with its directory behind a `footer`, in `front`, or `markers` only."""
    descriptor = text("streamOptimized", f'RW {capacity} SPARSE "{DISK}"')
    tables = -(-capacity // (GRAIN * GTES))
    front = 2 + (1 + tables if layout == "front" else 0)
    body, entries = b"", [0] * (tables * GTES)
    for number in grains:
        content = zlib.compress(grain(number))
        entries[number] = front + len(body) // SECTOR
        body += _sectors(struct.pack("<QI", number * GRAIN, len(content)) + content)

    def with_tables(place: int) -> bytes:
        """The directory at `place`, and its tables behind it."""
        directory = struct.pack(f"<{tables}I", *range(place + 1, place + 1 + tables))
        return _sectors(directory) + struct.pack(f"<{len(entries)}I", *entries)

    if layout == "front":
        head = _stream_header(capacity, 2, front) + _sectors(descriptor) + with_tables(2)
        return head + body + _marker(0, 0)
    head = _stream_header(capacity, AT_END, front) + _sectors(descriptor)
    if layout == "markers":
        return head + body + _marker(0, 0)
    gd = front + len(body) // SECTOR + 1
    body += _marker(2, 1 + tables) + with_tables(gd)
    return head + body + _marker(3, 1) + _stream_header(capacity, gd, front) + _marker(0, 0)


def _stream_header(capacity: int, gd: int, overhead: int) -> bytes:
    fields = (b"KDMV", 3, STREAM, capacity, GRAIN, 1, 1, GTES, 0, gd, overhead, 0, b"\n \r\n", 1)
    return struct.pack("<4sIIQQQQIQQQB4sH", *fields).ljust(SECTOR, b"\0")


def _marker(kind: int, sectors: int) -> bytes:
    return _sectors(struct.pack("<QII", sectors, 0, kind))


def _sectors(data: bytes) -> bytes:
    return data.ljust(-(-len(data) // SECTOR) * SECTOR, b"\0")


def cowd(capacity: int, grains: list[int]) -> bytes:
    """A redo log of ESXi, grains of one sector, each table before its grains (TN p.10-11)."""
    directory = [0] * -(-capacity // COWD_ENTRIES)
    body = bytearray(5 * SECTOR)
    for number in grains:
        table, place = divmod(number, COWD_ENTRIES)
        if directory[table] == 0:
            directory[table] = len(body) // SECTOR
            body += bytes(4 * COWD_ENTRIES)
        struct.pack_into("<I", body, directory[table] * SECTOR + 4 * place, len(body) // SECTOR)
        body += grain(number)[:SECTOR]
    fields = (b"COWD", 1, 3, capacity, 1, 4, len(directory), len(body) // SECTOR)
    struct.pack_into("<4sIIIIIII", body, 0, *fields)
    struct.pack_into(f"<{len(directory)}I", body, 4 * SECTOR, *directory)
    return bytes(body)


def sesparse(capacity: int, kinds: dict[int, int]) -> bytes:
    """A redo log of VMFS 6 with tables of one sector; kinds: 1 unmapped, 2 zero, 3 a grain."""
    per_table = SECTOR // 8
    tables = -(-capacity // (per_table * GRAIN))
    data = 4 + tables
    header = [0xCAFEBABE, 0x200000001, capacity, GRAIN, 1, 0, 0, 0, 0, 0]
    header += [1, 1, 2, 1, 2, 1, 3, 1, 4, tables, data, 0, data, 0, data]
    used = sum(kind == 3 for kind in kinds.values())
    body = struct.pack(f"<{len(header) + 1}Q", *header, GRAIN * used).ljust(SECTOR, b"\0")
    body += _sectors(struct.pack("<4Q", 0xCAFECAFE, tables, 7, 0)) + bytes(SECTOR)
    body += _sectors(struct.pack(f"<{tables}Q", *(0x1000000000000000 | n for n in range(tables))))
    entries = [0] * (tables * per_table)
    contents = b""
    for number, kind in kinds.items():
        index = len(contents) // (GRAIN * SECTOR)
        entries[number] = kind << 60 | (index << 48 if kind == 3 else 0)
        contents += grain(number) if kind == 3 else b""
    return body + struct.pack(f"<{len(entries)}Q", *entries) + contents


def flat(sectors: int) -> bytes:
    return b"".join(bytes([97 + number % 26]) * SECTOR for number in range(sectors))


def base(sectors: int) -> dict[str, Part]:
    """A flat disk, base.vmdk, that children may have as their parent."""
    line = f'RW {sectors} VMFS "base-flat.vmdk"'
    return {
        "base.vmdk": Part(text("vmfs", line, cid="12345678")),
        "base-flat.vmdk": Part(flat(sectors)),
    }
