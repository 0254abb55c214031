# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How large a file system is, and making it fill its partition.

What is not grown here is refused before anything is changed, with what to do by hand.
"""

from __future__ import annotations

import os
import struct
import time
import typing as t

from .._device.device import read
from .._device.errors import InvalidRequest
from . import command, fuse
from .mount import unmount

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice
    from .session import MountState

GROW_SECONDS = 3600
# A mount namespace that began meanwhile, as of a container, has the mount too until it ends.
_HELD, _PATIENCE, _PAUSE = "is in use", 60, 0.2  # seconds
# A file system does not use a tail that is too short for its next group of blocks.
UNUSED_TAIL = 8 << 20
_EXT = ("ext2", "ext3", "ext4")
_PROGRAMS = {
    **dict.fromkeys(_EXT, ("e2fsprogs", ("e2fsck", "resize2fs"))),
    "xfs": ("xfsprogs", ("xfs_growfs",)),
    "btrfs": ("btrfs-progs", ("btrfs",)),
}
_GUEST = "in the guest grow the partition (growpart), "
_BY_HAND = {
    "LVM2_member": f"{_GUEST}the physical volume (pvresize) and the logical one (lvextend -r)",
    "crypto_LUKS": f"{_GUEST}the mapping (cryptsetup resize) and the file system in it",
    "ntfs": "extend the volume in Windows (Disk Management, or diskpart extend)",
    "swap": f"{_GUEST}and make the swap space anew (swapoff, mkswap with its old UUID, swapon)",
}


def filesystem_size(volume: BlockDevice, kind: str) -> int:
    """Bytes that a file system of a kind that can grow covers, by its superblock."""
    if kind in _EXT:
        return _ext_size(bytes(read(volume, 1024, 1024)))
    if kind == "xfs":
        block_size, blocks = struct.unpack_from(">IQ", read(volume, 0, 512), 4)
        return int(block_size * blocks)
    # btrfs: total_bytes of the only device's dev_item
    return int(struct.unpack_from("<Q", read(volume, 0x10000, 4096), 0xC9 + 8)[0])


def _ext_size(superblock: bytes) -> int:
    low, log_size = struct.unpack_from("<I", superblock, 4)[0], superblock[24]
    is_64_bit = superblock[0x60] & 0x80  # s_feature_incompat: INCOMPAT_64BIT
    high = struct.unpack_from("<I", superblock, 0x150)[0] if is_64_bit else 0
    return int((high << 32 | low) * (1024 << log_size))


def require_growable(volume: BlockDevice, kind: str, name: str) -> None:
    """Raises InvalidRequest, with what to do by hand, for a volume that is not grown here."""
    what = None
    if kind not in _PROGRAMS:
        what = kind or "nothing that is known"
    elif kind == "btrfs" and struct.unpack_from("<Q", read(volume, 0x10000, 4096), 0x88)[0] != 1:
        what = "one of several devices of a btrfs"
    if what is not None:
        raise InvalidRequest(
            f"{name} is not grown here, so nothing was changed",
            found=what,
            expected=", ".join(_PROGRAMS),
            hint=f"Make the disk alone larger (grow_partition: false), then {_by_hand(kind)}.",
        )


def _by_hand(kind: str) -> str:
    return _BY_HAND.get(kind, "grow what is in it with its own tools")


def require_tools(kind: str) -> None:
    """Raises MissingTool, MissingLibrary, before anything is changed."""
    package, programs = _PROGRAMS[kind]
    for program in programs:
        command.require(program, package)
    fuse.load_library()


def grow_mounted(kind: str, state: MountState) -> None:
    """Make a mounted file system fill its partition. Raises MissingTool, MountFailed.

    xfs and btrfs grow while they are mounted, and only then. The kernel lets nobody grow ext
    without CAP_SYS_RESOURCE, which containers lack, so ext always grows at rest: mounting has
    brought its journal to an end, and whoever mounted it finds it unmounted.
    """
    if kind in _EXT:
        _grow_ext_at_rest(state)
    elif kind == "xfs":
        _run("xfsprogs", "xfs_growfs", "-d", state.mount_point)
    else:
        _run("btrfs-progs", "btrfs", "filesystem", "resize", "max", state.mount_point)


def _run(package: str, *program: str) -> None:
    command.run(program, GROW_SECONDS, package=package)


def _grow_ext_at_rest(state: MountState) -> None:
    device = str(state.device)
    held = os.open(device, os.O_RDONLY | os.O_CLOEXEC)  # else it goes with the mount
    try:
        unmount(state.mount_point)
        _check_ext(device)
        _run("e2fsprogs", "resize2fs", device)
    finally:
        os.close(held)


def _check_ext(device: str) -> None:
    """Once more after a failure, which may tell what it has mended; and while it is still held."""
    end = time.monotonic() + _PATIENCE
    failures = 0
    while True:
        try:
            return _run("e2fsprogs", "e2fsck", "-f", "-p", device)
        except command.ProgramFailed as error:
            held = _HELD in str(error)
            failures += not held
            if failures > 1 or time.monotonic() > end:
                raise
            if held:
                time.sleep(_PAUSE)
