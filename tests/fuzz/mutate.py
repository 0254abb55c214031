# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Damage that gets past the first check: fields, table entries and lines rather than bytes."""

from __future__ import annotations

import re
import struct
import typing as t

from .bundle import Part, pack, unpack

if t.TYPE_CHECKING:
    import random

    Raw: t.TypeAlias = t.Callable[[bytes], bytes]

SECTOR = 512
_KDMV = [(4, 4), (8, 4), (12, 8), (20, 8), (28, 8), (36, 8), (44, 4), (48, 8), (56, 8), (64, 8)]
_FIELDS = {  # (offset, bytes) in the header of each format
    b"KDMV": [*_KDMV, (72, 1), (73, 4), (77, 2)],
    b"COWD": [(offset, 4) for offset in range(4, 32, 4)],
    b"\xbe\xba\xfe\xca": [(offset, 8) for offset in (*range(8, 208, 8), *range(512, 544, 8))],
}
_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    8,
    9,
    127,
    128,
    129,
    512,
    4096,
    2**31,
    2**32 - 1,
    2**54,
    2**63,
    2**64 - 1,
)
_WORDS = b"""RW RDONLY NOACCESS SPARSE FLAT ZERO VMFS VMFSSPARSE SESPARSE VMFSRDM d.vmdk base.vmdk
 ../out.vmdk link.vmdk /dev/zero . .. "" ffffffff 12345678 version=2 encoding="shift_jis"
 encoding="gb18030" parentCID=12345678 parentFileNameHint="d.vmdk" changeTrackPath="c.vmdk"
 createType="vmfsSparse" ddb.geometry.cylinders="1" \xff\xfe \x82\xa0 \x00 \r\n = " #""".split(b" ")
_TEXT = b"# Disk DescriptorFile"


def mutate(bundle: bytes, rng: random.Random, raw: Raw) -> bytes:
    """Another bundle. `raw` changes bytes by what is known of the program (libFuzzer)."""
    files = unpack(bundle)
    if files is None:
        return raw(bundle)
    for _count in range(rng.choice((1, 1, 1, 2, 3, 6))):
        name = rng.choice(list(files))
        data, hole = files[name]
        if rng.random() < 0.02:
            hole = rng.choice((0, 1, SECTOR, 1 << 16, 1 << 20))
        elif data[:4] in _FIELDS:
            data = _binary(data, rng, raw)
        else:
            data = mutate_text(data, rng, raw)
        files[name] = Part(data, hole)
    return pack(files)


def _binary(data: bytes, rng: random.Random, raw: Raw) -> bytes:
    ways = (_field, _field, _word, _word, _word, _word, _sector, _length, _descriptor, _size, None)
    way = rng.choice(ways)
    return raw(data) if way is None else way(data, rng)


def _field(data: bytes, rng: random.Random) -> bytes:
    offset, size = rng.choice(_FIELDS.get(data[:4], [(0, 4)]))
    return _put(data, offset, size, rng)


def _word(data: bytes, rng: random.Random) -> bytes:
    """A table entry: one that is set, mostly, and its neighbour."""
    size = rng.choice((4, 4, 8))
    offset = 0
    for _try in range(8):
        offset = rng.randrange(0, max(len(data), 1), size)
        if any(data[offset : offset + size]):
            break
    return _put(data, offset + rng.choice((0, 0, 0, size)), size, rng)


def _put(data: bytes, offset: int, size: int, rng: random.Random) -> bytes:
    old = int.from_bytes(data[offset : offset + size], "little")
    sectors = len(data) // SECTOR
    other = rng.randrange(0, max(len(data), 1), 4)
    new = rng.choice(
        (
            rng.choice(_NUMBERS),
            old + rng.choice((-8, -1, 1, 8)),
            old ^ 1 << rng.randrange(8 * size),
            sectors + rng.choice((-8, -1, 0, 1)),
            rng.randrange(sectors + 2),
            int.from_bytes(data[other : other + size], "little"),
        )
    )
    value = (new % (1 << 8 * size)).to_bytes(size, "little")
    return data[:offset] + value + data[offset + size :]


def _sector(data: bytes, rng: random.Random) -> bytes:
    """One sector becomes another, or zeros."""
    source, target = (rng.randrange(len(data) // SECTOR + 1) * SECTOR for _each in range(2))
    block = data[source : source + SECTOR] if rng.random() < 0.7 else bytes(SECTOR)
    return data[:target] + block + data[target + len(block) :]


def _length(data: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.3:
        return data + bytes(rng.choice((1, SECTOR, 8 * SECTOR)))
    cut = rng.randrange(len(data) + 1)
    return data[: cut if rng.random() < 0.3 else cut // SECTOR * SECTOR]


def _descriptor(data: bytes, rng: random.Random) -> bytes:
    """The text inside a sparse extent; what follows stays where it is."""
    start = data.find(_TEXT)
    if start < 0:
        return _word(data, rng)
    end = -(-data.find(b"\0", start) // SECTOR) * SECTOR
    changed = mutate_text(data[start:end].rstrip(b"\0"), rng, lambda text: text)
    return data[:start] + changed[: end - start].ljust(end - start, b"\0") + data[end:]


def _size(data: bytes, rng: random.Random) -> bytes:
    """The same capacity in the header and in the descriptor behind it, so that nobody objects."""
    if data[:4] != b"KDMV":
        return _field(data, rng)
    sectors = 1 << rng.randrange(55)
    sectors = max(1, sectors - rng.choice((0, 1, 8)))
    data = data[:12] + sectors.to_bytes(8, "little") + data[20:]
    line = re.search(rb"RW (\d+) SPARSE[^\0]*\0*", data)
    if line is None:
        return data
    new = data[line.start() : line.end()].replace(line[1], str(sectors).encode(), 1)
    room = line.end() - line.start()
    return data[: line.start()] + new.rstrip(b"\0").ljust(room, b"\0")[:room] + data[line.end() :]


def mutate_text(data: bytes, rng: random.Random, raw: Raw) -> bytes:
    lines = data.splitlines(keepends=True)
    way = rng.randrange(7)
    if way == 0 or not lines:
        return raw(data)
    index, other = rng.randrange(len(lines)), rng.randrange(len(lines))
    if way == 1:
        del lines[index]
    elif way == 2:
        lines.insert(other, lines[index])
    elif way == 3:
        lines[index], lines[other] = lines[other], lines[index]
    elif way == 4:
        return _replace(data, rb"\d+", str(rng.choice(_NUMBERS)).encode(), rng)
    elif way == 5:
        return _replace(data, rb"[^\s=]+", rng.choice(_WORDS), rng)
    else:
        lines.insert(index, rng.choice(_WORDS) + b"\n")
    return b"".join(lines)


def _replace(data: bytes, pattern: bytes, new: bytes, rng: random.Random) -> bytes:
    """One of the places that fit."""
    found = list(re.finditer(pattern, data))
    if not found:
        return data
    place = rng.choice(found)
    return data[: place.start()] + new.strip(b"\n") + data[place.end() :]


def plain(rng: random.Random) -> Raw:
    """Bytes changed without knowing anything, where libFuzzer is not to be had."""

    def change(data: bytes) -> bytes:
        place = rng.randrange(len(data) + 1)
        return data[:place] + struct.pack("B", rng.randrange(256)) + data[place + 1 :]

    return change
