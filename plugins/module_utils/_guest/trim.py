# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Giving the free space of a disk's file systems back to the disk, by fstrim on a mount.

The discards of the kernel reach the disk as zero(), through the loop device and the FUSE file.
"""

from __future__ import annotations

import os
import typing as t

from .._device.errors import DiskError
from .._device.files import remove_if_there
from .._device.overlay import Overlay
from . import command
from .volumes import list_volumes

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .._device.device import BlockDevice, Buffer
    from .volumes import Volume
    from .work_mount import WorkPlace

TRIM_SECONDS = 3600
TRIMMABLE = ("ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "ntfs")
Ranges = list[tuple[int, int]]


class Trimmed(t.NamedTuple):
    """What became of one volume; `reason` says why it was not trimmed."""

    volume: Volume
    reason: str | None

    def as_dict(self) -> dict[str, t.Any]:
        """For results."""
        shown = self.volume.as_dict()
        facts = {key: shown[key] for key in ("number", "fs", "label", "uuid")}
        return {**facts, "trimmed": self.reason is None, "reason": self.reason}


def trim(place: WorkPlace, open_device: Callable[[], BlockDevice]) -> list[Trimmed]:
    """Trim every volume that can be; writes to the disk. Raises what opening the disk raises."""
    return [_trim_volume(place, open_device, volume) for volume in _volumes(open_device)]


def find_free(
    place: WorkPlace, open_device: Callable[[], BlockDevice]
) -> tuple[Ranges, list[Trimmed]]:
    """What trim() would free, as sorted (start, end) in bytes of the disk; nothing is written.

    A forecast: mounting for real may move some blocks of a copy-on-write file system.
    """
    log = os.path.join(place.folder, "discards")
    found: Ranges = []
    outcomes = []
    for volume in _volumes(open_device):
        try:
            outcomes.append(_trim_volume(place, lambda: _DiscardLog(open_device(), log), volume))
            found += _read_log(log)
        finally:
            remove_if_there(log)
    return union(found), outcomes


def _volumes(open_device: Callable[[], BlockDevice]) -> list[Volume]:
    device = open_device()
    try:
        return list_volumes(device)
    finally:
        device.close()


def _trim_volume(
    place: WorkPlace, open_device: Callable[[], BlockDevice], volume: Volume
) -> Trimmed:
    kind = volume.filesystem.kind if volume.filesystem else None
    if kind not in TRIMMABLE:
        return Trimmed(volume, f"the free space of {kind or 'unknown content'} is not known here")
    try:
        with place.mounted(open_device, str(volume.partition.number)) as state:
            command.run(["fstrim", state.mount_point], TRIM_SECONDS, package="util-linux")
    except DiskError as error:
        return Trimmed(volume, str(error))
    return Trimmed(volume, None)


class _DiscardLog(Overlay):
    """Takes no note of content, only of what is discarded, and of what is written after that.

    It is read in another process, so it is a file. A discarded range reads as before: nobody may
    rely on what it holds.
    """

    def __init__(self, base: BlockDevice, log: str) -> None:
        super().__init__(base, os.path.dirname(log))
        self._log = open(log, "ab", buffering=0)  # noqa: SIM115 # closed with the device

    def zero(self, offset: int, length: int) -> None:
        self._log.write(b"free %d %d\n" % (offset, offset + length))

    def write(self, offset: int, data: Buffer) -> None:
        super().write(offset, data)
        self._log.write(b"used %d %d\n" % (offset, offset + memoryview(data).nbytes))

    def close(self) -> None:
        self._log.close()
        super().close()


def _read_log(path: str) -> Ranges:
    """What was discarded and not written to after the first discard."""
    free: Ranges = []
    used: Ranges = []
    if not os.path.exists(path):  # it could not even be mounted
        return free
    with open(path, encoding="ascii") as log:
        for line in log:
            word, start, end = line.split()
            if word == "free":
                free.append((int(start), int(end)))
            elif free:
                used.append((int(start), int(end)))
    return subtract(union(free), union(used))


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """Sorted, and joined where they touch."""
    joined: Ranges = []
    for start, end in sorted(ranges):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def subtract(ranges: Ranges, holes: Ranges) -> Ranges:
    """The parts of sorted ranges that no sorted hole covers."""
    left: Ranges = []
    index = 0
    for start, end in ranges:
        while index < len(holes) and holes[index][1] <= start:
            index += 1
        at = index
        while at < len(holes) and holes[at][0] < end:
            if holes[at][0] > start:
                left.append((start, holes[at][0]))
            start = max(start, holes[at][1])
            at += 1
        if start < end:
            left.append((start, end))
    return left
