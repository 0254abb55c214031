# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Members of Linux software RAID, by their superblocks (include/uapi/linux/raid/md_p.h).

Version 1.1 lies at the beginning, 1.2 after 4 KiB. Those of 0.90 and 1.0 lie at the end, so what
is before them looks like a file system of its own.
"""

from __future__ import annotations

import struct
import typing as t
import uuid

from .._device.device import read

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice

MEMBER = "linux_raid_member"
_MAGIC = 0xA92B4EFC
_SECTOR = 512
_LATER = 4096  # where version 1.2 has it
_OLD_RESERVED = 64 << 10


def recognise(head: bytes) -> tuple[str | None, str] | None:
    """(name, uuid) of the array that begins with this; None for anything else."""
    for offset in (_LATER, 0):
        block = head[offset : offset + 256]
        magic, major = struct.unpack_from("<II", block)
        (place,) = struct.unpack_from("<Q", block, 144)
        if (magic, major, place * _SECTOR) == (_MAGIC, 1, offset):
            name = block[32:64].split(b"\0")[0].decode("utf-8", "replace")
            return name or None, str(uuid.UUID(bytes=block[16:32]))
    return None


def ends_as_member(device: BlockDevice) -> bool:
    """Whether a superblock is at the end."""
    sectors = device.size // _SECTOR
    newer = (sectors - 16) // 8 * 8 * _SECTOR  # version 1.0: 8 KiB before the end, or a bit more
    older = device.size // _OLD_RESERVED * _OLD_RESERVED - _OLD_RESERVED  # version 0.90
    return any(_is_superblock(device, place) for place in (newer, older) if place > 0)


def _is_superblock(device: BlockDevice, place: int) -> bool:
    magic, major = struct.unpack("<II", read(device, place, 8))
    return magic == _MAGIC and major in (0, 1)
