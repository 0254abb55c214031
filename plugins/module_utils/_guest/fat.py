# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""FAT and exFAT: recognising the boot sector, finding the label in the root directory."""

from __future__ import annotations

import struct
import typing as t

from .._device.device import read

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice

_DIRECTORY = 64 << 10  # bytes of the root directory searched for the label


class Fat(t.NamedTuple):
    """A FAT12, FAT16 or FAT32 file system (Microsoft's fatgen103)."""

    serial: str
    boot_label: bytes
    root: int  # byte offset of the root directory
    root_size: int
    version: str

    @classmethod
    def recognise(cls, head: bytes) -> Fat | None:
        """By the boot sector's geometry: the "FAT" strings are not to be relied on."""
        sector, cluster, reserved, fats, entries = struct.unpack_from("<HBHBH", head, 11)
        small, media, short_fat = struct.unpack_from("<HBH", head, 19)
        large, long_fat = struct.unpack_from("<II", head, 32)
        if head[510:512] != b"\x55\xaa" or head[0] not in (0xE9, 0xEB):
            return None
        if sector not in (512, 1024, 2048, 4096) or not cluster or cluster & (cluster - 1):
            return None
        if not (reserved and 1 <= fats <= 2 and (media == 0xF0 or media >= 0xF8)):
            return None
        if not (short_fat or long_fat) or (short_fat and not entries):
            return None
        field = 39 if short_fat else 67  # volume serial, then the label
        tables = reserved + fats * (short_fat or long_fat)
        chain = 0 if short_fat else (struct.unpack_from("<I", head, 44)[0] - 2) * cluster
        clusters = ((small or large) - tables - entries * 32 // sector) // cluster
        return cls(
            _serial(head, field),
            head[field + 4 : field + 15],
            (tables + chain) * sector,
            entries * 32 if short_fat else cluster * sector,
            ("FAT12" if clusters < 4085 else "FAT16") if short_fat else "FAT32",
        )

    def label(self, device: BlockDevice) -> str | None:
        """The volume entry of the root directory; else what the boot sector says."""
        for entry in _entries(device, self.root, self.root_size):
            if entry[0] == 0:
                break
            if entry[0] != 0xE5 and entry[11] & 0x18 == 0x08 and entry[11] != 0x0F:
                return entry[:11].decode("cp437").rstrip() or None
        label = self.boot_label.decode("cp437").rstrip(" \0")
        return None if label == "NO NAME" else label or None


class Exfat(t.NamedTuple):
    """An exFAT file system (Microsoft's exFAT specification, 3.1)."""

    serial: str
    root: int
    root_size: int
    version: str | None = None

    @classmethod
    def recognise(cls, head: bytes) -> Exfat | None:
        if head[3:11] != b"EXFAT   " or head[510:512] != b"\x55\xaa":
            return None
        heap, _count, root = struct.unpack_from("<3I", head, 88)
        sector, cluster = head[108], head[109]  # shifts
        if not 9 <= sector <= 12 or sector + cluster > 25 or root < 2:
            return None
        start = (heap + ((root - 2) << cluster)) << sector
        return cls(_serial(head, 100), start, 1 << (sector + cluster))

    def label(self, device: BlockDevice) -> str | None:
        """The volume label entry (type 0x83) of the root directory."""
        for entry in _entries(device, self.root, self.root_size):
            if entry[0] == 0:
                break
            if entry[0] == 0x83:
                text = entry[2 : 2 + 2 * min(entry[1], 11)]
                return text.decode("utf-16-le", "replace") or None
        return None


def _serial(head: bytes, offset: int) -> str:
    number = struct.unpack_from("<I", head, offset)[0]
    return f"{number >> 16:04X}-{number & 0xFFFF:04X}"


def _entries(device: BlockDevice, start: int, size: int) -> list[bytearray]:
    """The 32-byte entries of a directory's first run; none where it points outside."""
    size = min(size, _DIRECTORY)
    if start < 0 or start + size > device.size:
        return []
    table = read(device, start, size)
    return [table[at : at + 32] for at in range(0, size - 31, 32)]
