# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which files and extents a new disk consists of."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ..._device.errors import InvalidRequest, UnsupportedDisk
from ..descriptor.extent_line import ExtentLine
from ..descriptor.types import (
    ADAPTER_TYPES,
    CHILD_TYPES,
    CREATABLE_TYPES,
    FLAT_TYPES,
    MONOLITHIC_SPARSE,
    SPLIT_FLAT,
    SPLIT_SPARSE,
    STREAM_OPTIMIZED,
    VMFS,
)
from .header import GRAIN_SECTORS, SECTOR, SparseHeader

if t.TYPE_CHECKING:
    from collections.abc import Mapping

SPLIT_SECTORS = 4192256  # 2047 MiB: the classic split of VMware (TN p.4) and VirtualBox
DESCRIPTOR_SECTORS = 20  # what VMware leaves for an embedded descriptor
_EMBEDDED = (MONOLITHIC_SPARSE, STREAM_OPTIMIZED)
_SPLIT = (SPLIT_SPARSE, SPLIT_FLAT)
_MAX_FILE_SECTORS = 1 << 32


class Parent(t.NamedTuple):
    """What a child writes down about its parent."""

    cid: int
    hint: str


@dataclasses.dataclass(frozen=True)
class DiskSpec:
    """What a new disk shall be. `size` is bytes, a multiple of 512, from one sector up.

    preallocate: reserve the space of flat extents now, instead of leaving holes.
    """

    size: int
    disk_type: str
    adapter_type: str = "lsilogic"
    hw_version: int = 10
    metadata: Mapping[str, str] = dataclasses.field(default_factory=dict)
    parent: Parent | None = None
    preallocate: bool = False

    def check(self) -> None:
        """Raises InvalidRequest, UnsupportedDisk."""
        if self.disk_type not in CREATABLE_TYPES:
            raise InvalidRequest(
                "cannot create a disk of this type",
                found=self.disk_type,
                expected=", ".join(CREATABLE_TYPES),
            )
        if self.adapter_type not in ADAPTER_TYPES:
            raise InvalidRequest(
                "unknown adapter type", found=self.adapter_type, expected=", ".join(ADAPTER_TYPES)
            )
        if self.size < SECTOR or self.size % SECTOR:
            raise InvalidRequest(
                "impossible size of a disk",
                found=f"{self.size} bytes",
                expected=f"a multiple of {SECTOR}, at least {SECTOR}",
            )
        if self.parent is not None and self.disk_type not in CHILD_TYPES:
            raise InvalidRequest(
                "a child disk cannot be of this type",
                found=self.disk_type,
                expected=" or ".join(CHILD_TYPES),
            )
        self._check_addressable()

    def _check_addressable(self) -> None:
        if self.disk_type != MONOLITHIC_SPARSE:
            return
        sectors = self.size // SECTOR
        if sectors + sparse_header(sectors, DESCRIPTOR_SECTORS).overhead > _MAX_FILE_SECTORS:
            raise UnsupportedDisk(
                f"a disk of {self.size} bytes does not fit one sparse file, which ends at 2 TiB",
                hint=f"Use {SPLIT_SPARSE}.",
            )


def check_name(path: str) -> None:
    """Raises InvalidRequest for the name of a disk whose extents no descriptor could name."""
    name = os.path.basename(path)
    if any(char == '"' or ord(char) < 32 or ord(char) == 127 for char in name):
        raise InvalidRequest(
            "no descriptor can hold such a name of a disk",
            path=path,
            found=repr(name),
            expected="a name without quotes and control characters",
        )


def extent_lines(disk: str, spec: DiskSpec) -> list[ExtentLine]:
    """The extents with the names VMware gives them."""
    stem, suffix = os.path.splitext(os.path.basename(disk))
    sectors = spec.size // SECTOR
    if spec.disk_type in _EMBEDDED:
        return [ExtentLine("RW", sectors, "SPARSE", os.path.basename(disk))]
    if spec.disk_type in _SPLIT:
        return split_lines(stem, suffix, spec.disk_type, sectors, 1, SPLIT_SECTORS)
    if spec.disk_type == VMFS:  # qemu refuses an offset here, and wants one after FLAT
        return [ExtentLine("RW", sectors, "VMFS", f"{stem}-flat{suffix}")]
    return [ExtentLine("RW", sectors, "FLAT", f"{stem}-flat{suffix}", 0)]


def split_lines(
    stem: str, suffix: str, disk_type: str, sectors: int, first: int, size: int
) -> list[ExtentLine]:
    """Extents number `first` and following, of `size` sectors each but for the last."""
    lines = []
    for index, start in enumerate(range(0, sectors, size), first):
        length = min(size, sectors - start)
        if disk_type == SPLIT_FLAT:
            lines.append(ExtentLine("RW", length, "FLAT", f"{stem}-f{index:03d}{suffix}", 0))
        else:
            lines.append(ExtentLine("RW", length, "SPARSE", f"{stem}-s{index:03d}{suffix}"))
    return lines


def is_embedded(spec: DiskSpec) -> bool:
    """Whether descriptor and extent are one file."""
    return spec.disk_type in _EMBEDDED


def is_flat(spec: DiskSpec) -> bool:
    return spec.disk_type in FLAT_TYPES


def sparse_header(capacity: int, descriptor_sectors: int) -> SparseHeader:
    """Header, descriptor, redundant directory and tables, then the primary ones, then grains.

    All tables get their place at once, as VMware and qemu do it: qemu destroys an extent when it
    writes to a table that has no place yet.
    """
    draft = SparseHeader(capacity=capacity)
    metadata = metadata_sectors(draft)
    redundant = 1 + descriptor_sectors
    primary = redundant + metadata
    return dataclasses.replace(
        draft,
        descriptor_offset=1 if descriptor_sectors else 0,
        descriptor_size=descriptor_sectors,
        rgd_offset=redundant,
        gd_offset=primary,
        overhead=_up(primary + metadata, GRAIN_SECTORS),
    )


def directory_sectors(header: SparseHeader) -> int:
    return _up(4 * header.directory_entries, SECTOR) // SECTOR


def table_sectors(header: SparseHeader) -> int:
    return 4 * header.gtes_per_gt // SECTOR


def metadata_sectors(header: SparseHeader) -> int:
    """One directory with all its tables."""
    return directory_sectors(header) + header.directory_entries * table_sectors(header)


def _up(value: int, step: int) -> int:
    return -(-value // step) * step
