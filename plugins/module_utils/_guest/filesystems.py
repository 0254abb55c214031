# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is on a volume: file systems and the like, told by their superblocks.

Names of kinds and the form of UUIDs are those of blkid.
"""

from __future__ import annotations

import itertools
import struct
import typing as t
import uuid

from .._device.device import read
from . import fat, md, ntfs

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice

MOUNTABLE = frozenset(
    ("ext2", "ext3", "ext4", "xfs", "btrfs", "squashfs", "vfat", "exfat", "ntfs", "iso9660")
)
_HEAD = 68 << 10  # covers every superblock looked for; the furthest is that of btrfs at 64 KiB


class FileSystem(t.NamedTuple):
    """What fills a volume; label and uuid are None where it has none."""

    kind: str
    label: str | None = None
    uuid: str | None = None
    version: str | None = None  # FAT12, FAT16, FAT32

    @property
    def mountable(self) -> bool:
        return self.kind in MOUNTABLE


def identify(device: BlockDevice) -> FileSystem | None:
    """The content of a volume by its magic numbers; None where there is none that is known."""
    head = bytes(read(device, 0, min(_HEAD, device.size))).ljust(_HEAD, b"\0")
    for probe in _PROBES:
        found = probe(head)
        if found is not None:
            return found
    for kind, module in (("ntfs", ntfs), ("exfat", fat.Exfat), ("vfat", fat.Fat)):
        volume = module.recognise(head)
        if volume is not None:
            return FileSystem(kind, volume.label(device), volume.serial, volume.version)
    return None


def _text(raw: bytes, encoding: str = "utf-8") -> str | None:
    """A fixed field of text, without its padding."""
    return raw.split(b"\0")[0].decode(encoding, "replace").rstrip() or None


def _uuid(raw: bytes) -> str | None:
    return str(uuid.UUID(bytes=raw)) if any(raw) else None


def _luks(head: bytes) -> FileSystem | None:
    if head[:6] != b"LUKS\xba\xbe":  # LUKS1 and LUKS2 on-disk format, "magic"
        return None
    label = _text(head[24:72]) if head[6:8] == b"\0\2" else None
    return FileSystem("crypto_LUKS", label, _text(head[168:208]))


def _lvm(head: bytes) -> FileSystem | None:
    for sector in range(0, 2048, 512):  # the label may be in any of the first four sectors
        label = head[sector : sector + 512]
        if label[:8] == b"LABELONE" and label[24:32] == b"LVM2 001":
            start = min(struct.unpack_from("<I", label, 20)[0], 480)
            name = label[start : start + 32].decode("ascii", "replace")
            cuts = (0, 6, 10, 14, 18, 22, 26, 32)
            parts = [name[a:b] for a, b in itertools.pairwise(cuts)]
            return FileSystem("LVM2_member", None, "-".join(parts))
    return None


def _raid(head: bytes) -> FileSystem | None:
    found = md.recognise(head)
    return None if found is None else FileSystem(md.MEMBER, *found)


def _bitlocker(head: bytes) -> FileSystem | None:
    return FileSystem("BitLocker") if head[3:11] == b"-FVE-FS-" else None


def _xfs(head: bytes) -> FileSystem | None:
    if head[:4] != b"XFSB":
        return None
    return FileSystem("xfs", _text(head[108:120]), _uuid(head[32:48]))


def _squashfs(head: bytes) -> FileSystem | None:
    return FileSystem("squashfs") if head[:4] == b"hsqs" else None


def _ext(head: bytes) -> FileSystem | None:
    block = head[1024:2048]
    if block[0x38:0x3A] != b"\x53\xef":
        return None
    compat, incompat, ro_compat = struct.unpack_from("<3I", block, 0x5C)
    return FileSystem(
        _ext_kind(compat, incompat, ro_compat), _text(block[0x78:0x88]), _uuid(block[0x68:0x78])
    )


def _ext_kind(compat: int, incompat: int, ro_compat: int) -> str:
    """What no older kernel module knows makes it the newer one (ext4/ext4.h, feature sets)."""
    if incompat & 0x8:
        return "jbd"  # an external journal
    if incompat & ~0x16 or ro_compat & ~0x7:
        return "ext4"
    return "ext3" if compat & 0x4 or incompat & 0x4 else "ext2"


def _btrfs(head: bytes) -> FileSystem | None:
    block = head[0x10000:0x11000]
    if block[0x40:0x48] != b"_BHRfS_M":
        return None
    return FileSystem("btrfs", _text(block[0x12B:0x22B]), _uuid(block[0x20:0x30]))


def _swap(head: bytes) -> FileSystem | None:
    for page in (4096, 8192, 16384, 65536):
        if head[page - 10 : page] == b"SWAPSPACE2":
            return FileSystem("swap", _text(head[1052:1068]), _uuid(head[1036:1052]))
    return None


def _iso9660(head: bytes) -> FileSystem | None:
    block = head[0x8000:0x8800]  # the primary volume descriptor, ECMA-119 8.4
    if block[:6] != b"\x01CD001":
        return None
    stamps = (block[830:846], block[813:829])  # modified, created
    stamp = next((s for s in stamps if s.strip(b"0\0 ")), b"").decode("ascii", "replace")
    cuts = (0, 4, 6, 8, 10, 12, 14, 16)
    serial = "-".join(stamp[a:b] for a, b in itertools.pairwise(cuts)) if stamp else None
    return FileSystem("iso9660", _text(block[40:72]), serial)


_PROBES = (_raid, _luks, _lvm, _bitlocker, _xfs, _squashfs, _ext, _btrfs, _swap, _iso9660)
