# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Volumes: what a disk holds, and which of them somebody means."""

from __future__ import annotations

import typing as t

from .._device.errors import InvalidRequest
from .._device.slice import SliceDevice
from .filesystems import FileSystem, identify
from .partitions import Partition, list_partitions

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .._device.device import BlockDevice


class Volume(t.NamedTuple):
    """A partition, or a whole disk without a table, and what fills it."""

    partition: Partition
    filesystem: FileSystem | None

    @property
    def mountable(self) -> bool:
        return self.filesystem is not None and self.filesystem.mountable

    def as_dict(self) -> dict[str, t.Any]:
        """The `partitions` shape of results."""
        kind, label, uuid, _version = self.filesystem or (None, None, None, None)
        return {
            "number": self.partition.number,
            "type": self.partition.type,
            "fs": kind,
            "label": label,
            "uuid": uuid,
            "start": self.partition.start,
            "size": self.partition.size,
        }

    def answers_to(self, wanted: str) -> bool:
        """Whether `wanted` is its number, label or UUID."""
        if wanted == str(self.partition.number):
            return True
        if self.filesystem is None:
            return False
        uuid = self.filesystem.uuid
        return wanted == self.filesystem.label or (
            uuid is not None and wanted.lower() == uuid.lower()
        )


def list_volumes(device: BlockDevice) -> list[Volume]:
    """Every partition with its file system, or the whole disk. Raises CorruptDisk."""
    partitions = list_partitions(device)
    if partitions:
        return [Volume(part, _content(device, part)) for part in partitions]
    found = identify(device)
    if found is None:
        return []
    return [Volume(Partition(0, "none", "", "whole disk", None, None, 0, device.size), found)]


def choose(volumes: Sequence[Volume], wanted: str | None) -> Volume:
    """The mountable volume with that number, label or UUID; None means the only one there is.

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


def _content(device: BlockDevice, part: Partition) -> FileSystem | None:
    return identify(SliceDevice(device, part.start, part.size))


def _listing(volumes: Sequence[Volume]) -> str:
    return "; ".join(in_words(volume.as_dict()) for volume in volumes) or "no volumes"


def in_words(shown: dict[str, t.Any]) -> str:
    """A volume as a message names it; `shown` is Volume.as_dict()."""
    words = [f"number {shown['number']}", shown["fs"] or f"nothing known ({shown['type']})"]
    words += [f"{key} {shown[key]}" for key in ("label", "uuid") if shown[key]]
    return ", ".join(words)
