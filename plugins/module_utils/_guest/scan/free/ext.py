# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The free space of ext2, ext3 and ext4, by their block bitmaps (kernel: ext4/ext4.h)."""

from __future__ import annotations

import struct
import typing as t

from ...._device.device import read
from ...._device.errors import CorruptDisk
from .bitmap import clear_runs

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ...._device.device import BlockDevice
    from .bitmap import Run

_SUPERBLOCK = 1024
_META_BG, _64BIT = 0x10, 0x80  # incompatible features
_BLOCK_UNINIT = 0x2  # of a group: nobody has written its bitmap
_SMALLEST_GROUP = 256  # blocks, says mke2fs(8)
_BIGALLOC = 0x200  # a bit stands for a cluster of blocks


class _Super(t.NamedTuple):
    """What the superblock says; sizes are bytes."""

    block: int
    unit: int  # bytes that a bit of the bitmaps stands for
    blocks: int
    first: int  # number of the first block of group 0
    per_group: int  # blocks
    descriptor: int
    meta: int | None  # the first group whose descriptors lie in the meta group itself

    @property
    def groups(self) -> int:
        return -(-(self.blocks - self.first) // self.per_group)


def free_runs(device: BlockDevice) -> tuple[int, Iterator[Run]]:
    """The size of a block, and (offset, length) in bytes. Raises CorruptDisk."""
    layout = _layout(bytes(read(device, _SUPERBLOCK, 1024)))
    if layout.blocks * layout.block > device.size:
        raise CorruptDisk("the ext superblock tells more than there is", offset=_SUPERBLOCK)
    return layout.block, _runs(device, layout)


def _layout(head: bytes) -> _Super:
    low, first, block_shift, cluster_shift, per_group = _fields(head, 0x4, 0x14, 0x18, 0x1C, 0x20)
    incompatible, read_only = struct.unpack_from("<2I", head, 0x60)
    size, high = struct.unpack_from("<H", head, 0xFE)[0], struct.unpack_from("<I", head, 0x150)[0]
    wide = bool(incompatible & _64BIT)
    if block_shift > 6 or per_group < _SMALLEST_GROUP or cluster_shift > 20:
        raise CorruptDisk("the ext superblock makes no sense", offset=_SUPERBLOCK)
    if wide and not 32 <= size <= 1024:
        raise CorruptDisk("the ext superblock makes no sense", offset=_SUPERBLOCK)
    block = 1024 << block_shift
    unit = 1024 << cluster_shift if read_only & _BIGALLOC else block
    meta = struct.unpack_from("<I", head, 0x104)[0] if incompatible & _META_BG else None
    blocks = low | (high << 32 if wide else 0)
    return _Super(block, unit, blocks, first, per_group, size if wide else 32, meta)


def _fields(head: bytes, *offsets: int) -> list[int]:
    return [struct.unpack_from("<I", head, offset)[0] for offset in offsets]


def _runs(device: BlockDevice, layout: _Super) -> Iterator[Run]:
    for group in range(layout.groups):
        start = layout.first + group * layout.per_group
        count = min(layout.per_group, layout.blocks - start)
        at, flags = _descriptor(device, layout, group)
        if flags & _BLOCK_UNINIT:  # what is used of it is a few blocks of tables: all is shown
            yield start * layout.block, count * layout.block
            continue
        units = -(-count * layout.block // layout.unit)
        bits = bytes(read(device, at * layout.block, -(-units // 8)))
        yield from clear_runs(bits, units, start * layout.block, layout.unit)


def _descriptor(device: BlockDevice, layout: _Super, group: int) -> tuple[int, int]:
    """Where the bitmap of a group is, and the flags of the group."""
    per_block = layout.block // layout.descriptor
    index = group // per_block
    if layout.meta is not None and index >= layout.meta:
        first = index * per_block  # the group that keeps these descriptors
        block = layout.first + first * layout.per_group + _has_super(first)
    else:
        block = _SUPERBLOCK // layout.block + 1 + index
    offset = block * layout.block + group % per_block * layout.descriptor
    entry = bytes(read(device, offset, layout.descriptor))
    high = struct.unpack_from("<I", entry, 0x20)[0] if layout.descriptor >= 64 else 0
    return struct.unpack_from("<I", entry)[0] | high << 32, struct.unpack_from("<H", entry, 0x12)[0]


def _has_super(group: int) -> int:
    """Whether a group begins with a copy of the superblock: 0, 1 and powers of 3, 5, 7."""
    for base in (3, 5, 7):
        power = base
        while power < group:
            power *= base
        if power == group:
            return 1
    return int(group < 2)
