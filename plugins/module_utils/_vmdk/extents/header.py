# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The 512-byte header of a hosted sparse extent (TN p.6-9). All sizes are in sectors."""

from __future__ import annotations

import dataclasses
import struct
import typing as t

from ..._device.errors import CorruptDisk, NotADisk, UnsupportedDisk

SECTOR = 512
MAGIC = b"KDMV"
TEMPORARY_MAGIC = b"vmdk"  # an extent that is still being made; no reader takes it for a disk

NEWLINE_TEST = 0x1
REDUNDANT_TABLES = 0x2
ZEROED_GRAINS = 0x4
COMPRESSED = 0x10000
MARKERS = 0x20000
_KNOWN_INCOMPATIBLE = COMPRESSED | MARKERS  # of the high 16 bits, which a reader must know (OV)

DEFLATE = 1
GD_AT_END = 0xFFFF_FFFF_FFFF_FFFF  # the true header is a footer (TN p.12)
GTES_PER_GT = 512
GRAIN_SECTORS = 128
UNCLEAN_OFFSET = 72  # byte of uncleanShutdown

_NEWLINES = b"\n \r\n"
_LAYOUT = struct.Struct("<4sIIQQQQIQQQB4sH")
_MAX_GRAIN = 1 << 14  # 8 MiB: far beyond every disk seen, small enough for a buffer
_MAX_CAPACITY = 1 << 54  # so that bytes fit a signed 64-bit offset


@dataclasses.dataclass(frozen=True)
class SparseHeader:
    """The fields of the header; offsets and sizes in sectors."""

    header_sectors: t.ClassVar[int] = 1

    capacity: int
    version: int = 1
    flags: int = NEWLINE_TEST | REDUNDANT_TABLES
    grain_size: int = GRAIN_SECTORS
    descriptor_offset: int = 0
    descriptor_size: int = 0
    gtes_per_gt: int = GTES_PER_GT
    rgd_offset: int = 0
    gd_offset: int = 0
    overhead: int = 0
    unclean: bool = False
    compression: int = 0
    magic: bytes = MAGIC

    @classmethod
    def parse(cls, block: bytes | bytearray, path: str, offset: int = 0) -> SparseHeader:
        """Read and validate 512 bytes that were found at byte `offset` of `path`.

        Raises NotADisk, CorruptDisk, UnsupportedDisk.
        """
        if len(block) < SECTOR:
            raise NotADisk("is too short for a sparse extent", path=path, found=len(block))
        (magic, version, flags, capacity, grain, desc_offset, desc_size, gtes) = (
            _LAYOUT.unpack_from(block)[:8]
        )
        rgd, gd, overhead, unclean, newlines, compression = _LAYOUT.unpack_from(block)[8:]
        _check_magic(magic, path, offset)
        _check_newlines(flags, newlines, path, offset)
        header = cls(
            capacity=capacity,
            version=version,
            flags=flags,
            grain_size=grain,
            descriptor_offset=desc_offset,
            descriptor_size=desc_size,
            gtes_per_gt=gtes,
            rgd_offset=rgd,
            gd_offset=gd,
            overhead=overhead,
            unclean=bool(unclean),
            compression=compression,
        )
        header.check(path, offset)
        return header

    def pack(self) -> bytes:
        """The 512 bytes."""
        return _LAYOUT.pack(
            self.magic,
            self.version,
            self.flags,
            self.capacity,
            self.grain_size,
            self.descriptor_offset,
            self.descriptor_size,
            self.gtes_per_gt,
            self.rgd_offset,
            self.gd_offset,
            self.overhead,
            self.unclean,
            _NEWLINES,
            self.compression,
        ).ljust(SECTOR, b"\0")

    @property
    def is_stream(self) -> bool:
        """Grains are compressed: read through stream.py."""
        return bool(self.flags & COMPRESSED)

    @property
    def has_zeroed_grains(self) -> bool:
        """A table entry of 1 means zeros, even over a parent (TN p.9)."""
        return bool(self.flags & ZEROED_GRAINS)

    @property
    def has_redundant_tables(self) -> bool:
        return bool(self.flags & REDUNDANT_TABLES) and self.rgd_offset not in (0, GD_AT_END)

    @property
    def table_coverage(self) -> int:
        """Sectors of disk that one grain table describes."""
        return self.grain_size * self.gtes_per_gt

    @property
    def directory_entries(self) -> int:
        """Number of grain tables for the capacity."""
        return -(-self.capacity // self.table_coverage)

    @property
    def grains(self) -> int:
        """Number of grains; the last may be short."""
        return -(-self.capacity // self.grain_size)

    def check(self, path: str, offset: int = 0) -> None:
        """Refuse what no sane writer makes. Raises CorruptDisk, UnsupportedDisk."""
        if not 1 <= self.version <= 3:
            raise UnsupportedDisk(
                "unknown version of the sparse header",
                path=path,
                offset=offset + 4,
                found=self.version,
                expected="1, 2 or 3",
            )
        self._check_flags(path, offset)
        self._check_sizes(path, offset)

    def _check_flags(self, path: str, offset: int) -> None:
        unknown = self.flags & 0xFFFF0000 & ~_KNOWN_INCOMPATIBLE
        if unknown:
            raise UnsupportedDisk(
                "the sparse header has flags that only a newer program understands",
                path=path,
                offset=offset + 8,
                found=f"{unknown:#x}",
            )
        if self.flags & MARKERS and not self.flags & COMPRESSED:
            raise CorruptDisk(
                "the sparse header promises markers without compression",
                path=path,
                offset=offset + 8,
                found=f"flags {self.flags:#x}",
            )
        if self.is_stream and self.compression != DEFLATE:
            raise UnsupportedDisk(
                "unknown compression", path=path, offset=offset + 77, found=self.compression
            )

    def _check_sizes(self, path: str, offset: int) -> None:
        smallest = 1 if self.is_stream else 8  # OV allows 1 for streams, the others 8 (VB)
        if not _is_power_of_two(self.grain_size, smallest, _MAX_GRAIN):
            raise CorruptDisk(
                "impossible grain size",
                path=path,
                offset=offset + 20,
                found=self.grain_size,
                expected=f"a power of two from {smallest} to {_MAX_GRAIN} sectors",
            )
        if not _is_power_of_two(self.gtes_per_gt, 128, 4096):
            raise CorruptDisk(
                "impossible length of a grain table",
                path=path,
                offset=offset + 44,
                found=self.gtes_per_gt,
                expected=GTES_PER_GT,
            )
        if self.capacity > _MAX_CAPACITY:
            raise CorruptDisk(
                "impossible capacity", path=path, offset=offset + 12, found=self.capacity
            )


def _is_power_of_two(value: int, smallest: int, largest: int) -> bool:
    return smallest <= value <= largest and value & (value - 1) == 0


def _check_magic(magic: bytes, path: str, offset: int) -> None:
    if magic == TEMPORARY_MAGIC:
        raise CorruptDisk(
            "this extent was never finished",
            path=path,
            offset=offset,
            hint="The job that made it was killed. Remove the file and run the job again.",
        )
    if magic != MAGIC:
        raise NotADisk(
            "is not a sparse extent", path=path, offset=offset, found=magic, expected=MAGIC
        )


def _check_newlines(flags: int, newlines: bytes, path: str, offset: int) -> None:
    if flags & NEWLINE_TEST and newlines != _NEWLINES:
        raise CorruptDisk(
            "the file was damaged by a transfer in text mode",
            path=path,
            offset=offset + 73,
            found=newlines,
            expected=_NEWLINES,
            hint="Copy it again in binary mode.",
        )
