# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Growing a partition and its file system to the end of a disk that has become larger.

First the partition table, then the file system; each step can be repeated, so a job that was
killed in between is completed by the next one.
"""

from __future__ import annotations

import dataclasses
import typing as t

from .._device.errors import InvalidRequest
from .._device.slice import SliceDevice
from .grow_filesystem import UNUSED_TAIL, filesystem_size, grow_mounted, require_growable
from .grow_table import TableChange, grow_gpt, grow_logical, grow_mbr
from .parttypes import EXTENDED
from .volumes import list_volumes

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .._device.device import BlockDevice
    from .volumes import Volume
    from .work_mount import WorkPlace

_PRIMARY = 4  # partitions of an MBR with higher numbers are logical ones
_EXTENDED_TYPES = tuple(f"0x{code:02x}" for code in EXTENDED)


@dataclasses.dataclass(frozen=True)
class Growth:
    """What there is to do for one volume; sizes in bytes."""

    volume: Volume
    partition_size: int
    filesystem_size: int
    writes: list[tuple[int, bytes]]

    @property
    def kind(self) -> str:
        return self.volume.filesystem.kind if self.volume.filesystem else ""

    @property
    def needs_filesystem(self) -> bool:
        """Whether the file system will have room to grow into."""
        tail = self.partition_size - self.filesystem_size
        return tail > UNUSED_TAIL or (self.partition_size > self.volume.partition.size and tail > 0)

    @property
    def is_needed(self) -> bool:
        return bool(self.writes) or self.needs_filesystem


def plan_growth(device: BlockDevice, wanted: str | None) -> Growth:
    """For the volume with that number, label or UUID, else for the last one of the disk.

    Raises InvalidRequest where there is no such volume, where something lies behind it or where
    its content cannot grow, CorruptDisk.
    """
    volumes = list_volumes(device)
    volume = _choose(volumes, wanted)
    part = volume.partition
    inside = SliceDevice(device, part.start, part.size)
    kind = volume.filesystem.kind if volume.filesystem else ""
    require_growable(inside, kind, f"volume {part.number}")
    _require_last(volume, volumes)
    change = _table_change(device, volume)
    present = filesystem_size(inside, kind)
    return Growth(volume, change.end - part.start, present, change.writes)


def _choose(volumes: Sequence[Volume], wanted: str | None) -> Volume:
    real = [v for v in volumes if v.partition.type_id not in _EXTENDED_TYPES]
    found = [v for v in real if wanted is None or v.answers_to(wanted)]
    if not found or (wanted is not None and len(found) > 1):
        known = ", ".join(str(volume.partition.number) for volume in real) or "no volumes"
        what = "no volume to grow" if wanted is None else f"not one volume {wanted!r}"
        raise InvalidRequest(f"there is {what}. This disk has: {known}")
    return max(found, key=lambda volume: volume.partition.start)


def _require_last(volume: Volume, volumes: Sequence[Volume]) -> None:
    behind = [v for v in volumes if v.partition.start > volume.partition.start]
    if behind:
        numbers = ", ".join(str(other.partition.number) for other in behind)
        raise InvalidRequest(
            f"partition {volume.partition.number} cannot grow: something lies behind it",
            found=f"partition {numbers}",
            hint="Grow the last partition; or remove what lies behind, grow, and make it anew (swap"
            " space: swapoff, then sfdisk --delete, and mkswap afterwards).",
        )


def _table_change(device: BlockDevice, volume: Volume) -> TableChange:
    part = volume.partition
    if part.scheme == "gpt":
        return grow_gpt(device, part.number)
    if part.scheme == "mbr" and part.number > _PRIMARY:
        return grow_logical(device, part.number)
    if part.scheme == "mbr":
        return grow_mbr(device, part.number)
    return TableChange(device.size, [])  # a file system without a partition


def grow_table(device: BlockDevice, growth: Growth) -> None:
    """Write the partition table, each step durable before the next."""
    for offset, data in growth.writes:
        device.write(offset, data)
        device.flush()


def grow_volume(place: WorkPlace, open_device: Callable[[], BlockDevice], growth: Growth) -> None:
    """Mount the volume and let its file system fill the partition. Raises what mounting raises."""
    with place.mounted(open_device, str(growth.volume.partition.number)) as state:
        grow_mounted(growth.kind, state)
