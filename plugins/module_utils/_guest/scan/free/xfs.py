# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The free space of XFS: the tree of free extents of each allocation group ("XFS Algorithms & Data
Structures", AG Free Space Management)."""

from __future__ import annotations

import struct
import typing as t

from ...._device.device import read
from ...._device.errors import CorruptDisk

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ...._device.device import BlockDevice
    from .bitmap import Run

_HEADERS = {b"ABTB": 16, b"AB3B": 56}  # bytes: without and with checksums
_DEEPEST = 8


class _Layout(t.NamedTuple):
    block: int
    blocks: int
    group: int  # blocks of an allocation group
    groups: int
    sector: int


def free_runs(device: BlockDevice) -> tuple[int, Iterator[Run]]:
    """The size of a block, and (offset, length) in bytes. Raises CorruptDisk."""
    head = bytes(read(device, 0, 512))
    block, blocks = struct.unpack_from(">IQ", head, 4)
    group, groups = struct.unpack_from(">II", head, 84)
    sector = struct.unpack_from(">H", head, 102)[0]
    layout = _Layout(block, blocks, group, groups, sector)
    if not 512 <= block <= 65536 or not group or sector < 512 or blocks * block > device.size:
        raise CorruptDisk("the superblock of XFS makes no sense", offset=0)
    return block, _runs(device, layout)


def _runs(device: BlockDevice, layout: _Layout) -> Iterator[Run]:
    for number in range(layout.groups):
        start = number * layout.group * layout.block
        place = start + layout.sector  # the AGF is the second sector
        header = bytes(read(device, place, 64))
        if header[:4] != b"XAGF":
            raise CorruptDisk("no header of free space where one should be", offset=place)
        root = struct.unpack_from(">I", header, 16)[0]
        yield from _Tree(device, layout, start).runs(root, _DEEPEST)


class _Tree:
    """The tree by block number of one allocation group that begins at byte `start`."""

    def __init__(self, device: BlockDevice, layout: _Layout, start: int) -> None:
        self.device, self.layout, self.start = device, layout, start
        self.left = layout.group  # blocks that it can have: a damaged one may lead in circles

    def runs(self, number: int, deepest: int) -> Iterator[Run]:
        block = self.layout.block
        place = self.start + number * block
        data = bytes(read(self.device, place, block))
        header = _HEADERS.get(data[:4])
        level, count = struct.unpack_from(">HH", data, 4)
        self.left -= 1
        if header is None or not deepest or self.left < 0 or header + count * 8 > block:
            raise CorruptDisk("no tree of free space where one should be", offset=place)
        if level == 0:
            for first, length in struct.iter_unpack(">II", data[header : header + count * 8]):
                yield self.start + first * block, length * block
            return
        # Keys come first, room for as many as fit, then the blocks that they stand for.
        room = (block - header) // 12
        children = header + room * 8
        for child in struct.unpack_from(f">{min(count, room)}I", data, children):
            yield from self.runs(child, deepest - 1)
