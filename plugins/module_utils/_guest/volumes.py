# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Volumes: what a disk holds, and which of them somebody means."""

from __future__ import annotations

import typing as t

from .._device.errors import DiskIOError, InvalidRequest
from .._device.slice import SliceDevice
from . import md
from .assembled import Piece
from .filesystems import FileSystem, identify
from .partitions import Partition, list_partitions

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.device import BlockDevice
    from .assembled import Source


class Volume(t.NamedTuple):
    """A partition, a logical volume, what is inside of LUKS, or a whole disk without a table."""

    partition: Partition
    filesystem: FileSystem | None
    source: Source | None  # None for what cannot be had; then `problem` says why
    called: str | None = None  # what does not go by the number of a partition
    problem: str = ""  # why it cannot be had, and what to do
    read_only_because: str = ""  # why it must not be written to
    also_called: tuple[str, ...] = ()

    @property
    def mountable(self) -> bool:
        return self.filesystem is not None and self.filesystem.mountable

    def holds(self, kind: str) -> bool:
        """Whether that is what fills it, in the words of blkid."""
        return self.filesystem is not None and self.filesystem.kind == kind

    @property
    def size(self) -> int:
        return self.partition.size

    @property
    def goes_by_name(self) -> bool:
        return self.called is not None

    @property
    def number(self) -> int | None:
        """Of the partition on the first disk, 0 for the whole of it."""
        return None if self.goes_by_name else self.partition.number

    @property
    def name(self) -> str | None:
        return self.called or self.partition.name

    @property
    def place(self) -> tuple[int, int] | None:
        """(number of the disk, offset) of what is one plain piece of one disk."""
        return None if self.source is None else self.source.place

    def open(self, disks: Sequence[BlockDevice]) -> BlockDevice:
        """Its bytes, over any open disks with the same content; closing it leaves those open.

        Raises InvalidRequest for what cannot be had.
        """
        if self.source is None:
            raise InvalidRequest(f"{in_words(self.as_dict())} cannot be opened")
        return self.source.open(disks)

    def as_dict(self) -> dict[str, t.Any]:
        """The `partitions` shape of results."""
        kind, label, uuid, _version = self.filesystem or (None, None, None, None)
        words = [self.partition.type, self.problem]
        return {
            "number": self.number,
            "name": self.name,
            "type": ", ".join(filter(None, words)),
            "fs": kind,
            "label": label,
            "uuid": uuid,
            "start": self.place[1] if self.place and not self.place[0] else None,
            "size": self.size,
        }

    def answers_to(self, wanted: str) -> bool:
        """Whether `wanted` is its number, name, label or UUID, or another of its names."""
        own = self.called or str(self.partition.number)
        if wanted == own or wanted in self.also_called:
            return True
        if self.filesystem is None:
            return False
        uuid = self.filesystem.uuid
        return wanted == self.filesystem.label or (
            uuid is not None and wanted.lower() == uuid.lower()
        )


def list_volumes(device: BlockDevice, disk: int = 0) -> list[Volume]:
    """Every partition with its file system, or the whole disk. Raises CorruptDisk.

    Those of another disk than the first one go by names like `disk1/2`.
    """
    partitions = list_partitions(device)
    if partitions:
        return [_volume(device, part, disk, _overlap(part, partitions)) for part in partitions]
    whole = Partition(0, "none", "", "whole disk", None, None, 0, device.size)
    volume = _volume(device, whole, disk)
    return [] if volume.filesystem is None else [volume]


def _overlap(part: Partition, others: Sequence[Partition]) -> str:
    """Why it must not be written to. An extended partition is only there to hold others."""
    for other in others:
        apart = part.start + part.size <= other.start or other.start + other.size <= part.start
        if other is not part and not apart and not (part.extended or other.extended):
            return f"it overlaps partition {other.number}"
    return ""


def _volume(device: BlockDevice, part: Partition, disk: int, because: str = "") -> Volume:
    inside = SliceDevice(device, part.start, part.size)
    content = identify(inside)
    try:
        if md.ends_as_member(inside):
            because = (
                "it is a member of a Linux RAID, or was: mdadm --zero-superblock makes that sure"
            )
    except DiskIOError as error:  # of a damaged disk, of which files may be readable still
        because = f"its end cannot be read: {error}"
    called = f"disk{disk}/{part.number}".removesuffix("/0") if disk else None
    source = Piece(disk, part.start, part.size)
    return Volume(part, content, source, called, read_only_because=because)


def choose(volumes: Sequence[Volume], wanted: str | None) -> Volume:
    """The mountable volume with that number, label, UUID or name; None means the only one.

    Raises InvalidRequest, which lists what there is.
    """
    named = [v for v in volumes if wanted is None or v.answers_to(wanted)]
    fitting = [v for v in named if v.mountable]
    if len(fitting) == 1:
        return fitting[0]
    if wanted is None:
        message = "no volume can be mounted" if not fitting else "say which volume is meant"
    elif not named:
        message = f"there is no volume {wanted!r}"
    elif not fitting:
        message = f"volume {wanted!r} holds no file system that can be mounted"
    else:
        message = f"more than one volume answers to {wanted!r}"
    raise InvalidRequest(f"{message}. This disk has: {_listing(volumes)}")


def _listing(volumes: Sequence[Volume]) -> str:
    return "; ".join(map(_described, volumes)) or "no volumes"


def _described(volume: Volume) -> str:
    words = in_words(volume.as_dict())
    return f"{words} ({volume.problem})" if volume.problem and volume.filesystem else words


def in_words(shown: dict[str, t.Any]) -> str:
    """A volume as a message names it; `shown` is Volume.as_dict()."""
    which = shown["name"] if shown["number"] is None else f"number {shown['number']}"
    words = [which, shown["fs"] or f"nothing known ({shown['type']})"]
    words += [f"{key} {shown[key]}" for key in ("label", "uuid") if shown[key]]
    return ", ".join(words)
