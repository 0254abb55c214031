# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How large a file system is, and making it fill its partition.

While it is mounted, because then its own journal makes each step of the kernel whole or undone.
"""

from __future__ import annotations

import os
import struct
import typing as t

from .._device.device import read
from . import command
from .mount import unmount

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice
    from .session import MountState

GROW_SECONDS = 3600
# A file system does not use a tail that is too short for its next group of blocks.
UNUSED_TAIL = 8 << 20
_CAP_SYS_RESOURCE = 24  # linux/capability.h
_EXT = ("ext2", "ext3", "ext4")
GROWABLE = (*_EXT, "xfs", "btrfs")


def filesystem_size(volume: BlockDevice, kind: str) -> int | None:
    """Bytes that a file system covers, by its superblock; None for kinds that are not GROWABLE."""
    if kind in _EXT:
        return _ext_size(bytes(read(volume, 1024, 1024)))
    if kind == "xfs":
        block_size, blocks = struct.unpack_from(">IQ", read(volume, 0, 512), 4)
        return int(block_size * blocks)
    if kind == "btrfs":  # total_bytes of the only device's dev_item
        return int(struct.unpack_from("<Q", read(volume, 0x10000, 4096), 0xC9 + 8)[0])
    return None


def _ext_size(superblock: bytes) -> int:
    low, log_size = struct.unpack_from("<I", superblock, 4)[0], superblock[24]
    is_64_bit = superblock[0x60] & 0x80  # s_feature_incompat: INCOMPAT_64BIT
    high = struct.unpack_from("<I", superblock, 0x150)[0] if is_64_bit else 0
    return int((high << 32 | low) * (1024 << log_size))


def why_not(volume: BlockDevice, kind: str | None) -> str | None:
    """Why a volume with this content is not grown; None where it can be."""
    if kind not in GROWABLE:
        return f"{kind or 'what it holds'} is not a file system that is grown here"
    if kind == "btrfs" and struct.unpack_from("<Q", read(volume, 0x10000, 4096), 0x88)[0] != 1:
        return "its btrfs spans several devices"
    return None


def grow_mounted(kind: str, state: MountState) -> None:
    """Make a mounted file system fill its partition. Raises MissingTool, MountFailed.

    Without CAP_SYS_RESOURCE, as in many containers, the kernel refuses that for ext; it is then
    unmounted here, checked and grown at rest. Whoever mounted it finds it unmounted.
    """
    if kind in _EXT:
        if _may_grow_ext():
            _run("e2fsprogs", "resize2fs", str(state.device))
        else:
            _grow_ext_at_rest(state)
    elif kind == "xfs":
        _run("xfsprogs", "xfs_growfs", "-d", state.mount_point)
    else:
        _run("btrfs-progs", "btrfs", "filesystem", "resize", "max", state.mount_point)


def _run(package: str, *program: str) -> None:
    command.run(program, GROW_SECONDS, package=package)


def _may_grow_ext() -> bool:
    with open("/proc/self/status", encoding="ascii", errors="replace") as status:
        line = next(line for line in status if line.startswith("CapEff:"))
    return bool(int(line.split()[1], 16) >> _CAP_SYS_RESOURCE & 1)


def _grow_ext_at_rest(state: MountState) -> None:
    device = str(state.device)
    held = os.open(device, os.O_RDONLY | os.O_CLOEXEC)  # else it goes with the mount
    try:
        unmount(state.mount_point)
        check = ("e2fsck", "-f", "-p", device)
        try:
            _run("e2fsprogs", *check)
        except command.ProgramFailed:  # also when it has mended something: then all is well now
            _run("e2fsprogs", *check)
        _run("e2fsprogs", "resize2fs", device)
    finally:
        os.close(held)
