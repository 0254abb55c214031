# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What somebody wants to have mounted."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from .._device.errors import InvalidRequest

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .._device.device import BlockDevice

VOLUME, GUEST = "volume", "guest"  # layouts
HOST, APPLIANCE = "host", "appliance"  # whose kernel parses the file system


def _nothing() -> None:
    pass


class FlatFile(t.NamedTuple):
    """A disk whose bytes lie in a file as they are, from `offset` on.

    require_free: asked once the file is locked; raises where the disk must not be opened any more.
    """

    path: str
    offset: int
    size: int
    require_free: Callable[[], None] = _nothing


Source: t.TypeAlias = "FlatFile | Callable[[], BlockDevice]"


@dataclasses.dataclass(frozen=True)
class MountRequest:
    """What shall be where. Anything but a FlatFile is opened, and closed, by a daemon.

    leash: see daemon.start(); a mount without one stays until somebody unmounts it.
    """

    source: Source
    reference: str  # the disk, in the words of the user
    mount_point: str
    volume: str | None = None  # number, name, label or UUID
    read_only: bool = True
    leash: int | None = None
    further: tuple[Source, ...] = ()  # more disks of the machine
    paths: tuple[str, ...] = ()  # references of all disks, if there is more than one
    key_file: str | None = None  # opens LUKS; read where the disks are opened
    subvolume: str | None = None  # of btrfs
    layout: str = VOLUME
    isolation: str = HOST
    transaction: dict[str, t.Any] | None = None  # for the journal
    lost: str = ""  # what of the disk cannot be read, in words

    @property
    def sources(self) -> tuple[Source, ...]:
        return (self.source, *self.further)

    @property
    def all_paths(self) -> tuple[str, ...]:
        return self.paths or (self.reference,)

    def check(self) -> None:
        """Raises InvalidRequest for what nobody could mount."""
        if self.subvolume is not None and not is_plain(self.subvolume):
            expected = "the path of a subvolume, without commas, quotes and backslashes"
            raise InvalidRequest(f"{self.subvolume!r} is no subvolume", expected=expected)
        if os.geteuid() and not (self.read_only and self.layout == VOLUME):
            raise InvalidRequest(
                "without root, only one volume can be mounted, and only read-only",
                hint="Run this as root (become: true), or with read_only and layout=volume.",
            )
        if self.isolation == APPLIANCE and (self.layout == GUEST or self.subvolume is not None):
            other = "layout=guest" if self.layout == GUEST else "subvolume"
            raise InvalidRequest(
                f"{other} is not to be had with isolation=appliance",
                hint="Mount one volume as it is, or leave one of these options out.",
            )


def is_plain(name: str) -> bool:
    """Whether a name can be among the options of a mount, and is nothing but a name there."""
    return bool(name) and name.isprintable() and not set(name) & set(",\"'\\")
