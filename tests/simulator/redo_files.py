# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A delta as hosts keep it in a file: seSparse (VMFS 6), or COWD (vmfsSparse, older).

The model has its blocks at their places in a sparse file; here they get tables in front of them.
Made from VMware's technical note (COWD, p.10-11) and from what qemu reads (seSparse), and from
nothing of ours: a second opinion beside the engine under test.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator

from .bitmaps import BLOCK
from .layers import Layer

SECTOR = 512
# seSparse: sectors where the parts are; grains of 4 KiB, tables of 4096 entries.
_VOLATILE, _JOURNAL_HEADER, _JOURNAL, _DIRECTORY, _TABLES = 1, 2, 2048, 4096, 6144
_SE_GRAIN, _SE_ENTRIES, _SE_TABLE = 4096, 4096, 64
# COWD: grains of one sector, tables of 4096 entries.
_COWD_ENTRIES, _COWD_TABLE, _COWD_DIRECTORY = 4096, 32, 4


class RedoFile:
    """As it is at this moment."""

    def __init__(self, layer: Layer) -> None:
        self._data = layer.data
        self._blocks = tuple(
            block for first, count in layer.held.runs() for block in range(first, first + count)
        )
        make = {"seSparse": _sesparse, "vmfsSparse": _cowd}[layer.descriptor.create_type]
        self._head = make(layer.descriptor.size, self._blocks)
        self.size = len(self._head) + len(self._blocks) * BLOCK

    def pieces(self, start: int, length: int) -> Iterator[bytes]:
        end = start + length
        if start < len(self._head):
            yield self._head[start:end]
            start = len(self._head)
        with open(self._data, "rb") as data:
            while start < end:
                index, skip = divmod(start - len(self._head), BLOCK)
                data.seek(self._blocks[index] * BLOCK)
                piece = data.read(BLOCK).ljust(BLOCK, b"\0")[skip : skip + end - start]
                yield piece
                start += len(piece)


@functools.lru_cache(maxsize=16)
def _sesparse(size: int, blocks: tuple[int, ...]) -> bytes:
    capacity = size // SECTOR
    used = sorted({block * BLOCK // _SE_GRAIN // _SE_ENTRIES for block in blocks})
    tables = {number: index for index, number in enumerate(used)}
    data = _TABLES + _SE_TABLE * len(tables) + _SE_TABLE
    head = bytearray(data * SECTOR)
    fields = [0xCAFEBABE, 0x200000001, capacity, 8, _SE_TABLE, 0, 0, 0, 0, 0]
    fields += [_VOLATILE, 1, _JOURNAL_HEADER, 2, _JOURNAL, 2048, _DIRECTORY, 2048]
    fields += [_TABLES, _SE_TABLE * len(tables), data - 64, 8, data - 56, 8]
    fields += [data, len(blocks) * BLOCK // SECTOR]
    struct.pack_into(f"<{len(fields)}Q", head, 0, *fields)
    struct.pack_into("<4Q", head, _VOLATILE * SECTOR, 0xCAFECAFE, len(tables), 1, 0)
    for number, index in tables.items():
        place = _DIRECTORY * SECTOR + 8 * number
        struct.pack_into("<Q", head, place, 0x1000000000000000 | index)
    for index, grain in _grains(size, blocks, _SE_GRAIN):
        entry = 3 << 60 | (index & 0xFFF) << 48 | index >> 12
        table = tables[grain // _SE_ENTRIES]
        place = (_TABLES + _SE_TABLE * table) * SECTOR + 8 * (grain % _SE_ENTRIES)
        struct.pack_into("<Q", head, place, entry)
    return bytes(head)


@functools.lru_cache(maxsize=16)
def _cowd(size: int, blocks: tuple[int, ...]) -> bytes:
    capacity = size // SECTOR
    count = -(-capacity // _COWD_ENTRIES)
    used = sorted({block * BLOCK // SECTOR // _COWD_ENTRIES for block in blocks})
    first = _COWD_DIRECTORY + -(-4 * count // SECTOR)
    tables = {number: first + _COWD_TABLE * index for index, number in enumerate(used)}
    data = first + _COWD_TABLE * len(tables)
    head = bytearray(data * SECTOR)
    free = data + len(blocks) * BLOCK // SECTOR
    fields = (b"COWD", 1, 3, capacity, 1, _COWD_DIRECTORY, count, free)
    struct.pack_into("<4s7I", head, 0, *fields)
    for number, sector in tables.items():
        struct.pack_into("<I", head, _COWD_DIRECTORY * SECTOR + 4 * number, sector)
    for index, grain in _grains(size, blocks, SECTOR):
        place = tables[grain // _COWD_ENTRIES] * SECTOR + 4 * (grain % _COWD_ENTRIES)
        struct.pack_into("<I", head, place, data + index)
    return bytes(head)


def _grains(size: int, blocks: tuple[int, ...], grain: int) -> Iterator[tuple[int, int]]:
    """(where it is among the grains of the file, its number on the disk)."""
    each = BLOCK // grain
    for index, block in enumerate(blocks):
        for inside in range(min(each, -(-(size - block * BLOCK) // grain))):
            yield index * each + inside, block * each + inside
