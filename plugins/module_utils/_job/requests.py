# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What users may want of a disk, wherever it lives."""

from __future__ import annotations

import dataclasses
import typing as t

from .._device.progress import Silent

if t.TYPE_CHECKING:
    from .._device.progress import Progress
    from .access import Access


@dataclasses.dataclass(frozen=True)
class CreateRequest:
    """The disk that shall be there; None: as it is, or as usual for a new one."""

    path: str
    access: Access
    size: int | None = None
    disk_type: str | None = None
    adapter_type: str | None = None
    hw_version: int | None = None
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    force: bool = False
    progress: Progress = dataclasses.field(default_factory=Silent)


@dataclasses.dataclass(frozen=True)
class CopyRequest:
    """Make `dest` a disk with the content of `src`."""

    src: str
    dest: str
    access: Access
    disk_type: str | None = None
    force: bool = False
    verify: bool = False
    progress: Progress = dataclasses.field(default_factory=Silent)


@dataclasses.dataclass(frozen=True)
class RenameRequest:
    """The disk at `src` shall be at `dest`."""

    src: str
    dest: str
    access: Access
    progress: Progress = dataclasses.field(default_factory=Silent)


@dataclasses.dataclass(frozen=True)
class EditRequest:
    """What to read or write at byte `offset`, and the entries the data base shall (not) have.

    content or src: what to write. length without them: how much to read, to dest if named.
    """

    path: str
    access: Access
    offset: int = 0
    length: int | None = None
    content: bytes | None = None
    src: str | None = None
    dest: str | None = None
    metadata: dict[str, str] = dataclasses.field(default_factory=dict)
    remove_metadata: list[str] = dataclasses.field(default_factory=list)
    uuid: str | None = None
    progress: Progress = dataclasses.field(default_factory=Silent)

    @property
    def writes(self) -> bool:
        return self.content is not None or self.src is not None


@dataclasses.dataclass(frozen=True)
class ResizeRequest:
    """Make the disk `size` bytes. grow: its last volume, too, or the one named `volume`."""

    path: str
    size: int
    access: Access
    grow: bool = False
    volume: str | None = None
    progress: Progress = dataclasses.field(default_factory=Silent)


@dataclasses.dataclass(frozen=True)
class ConvertRequest:
    """Make the disk at `path` be of `disk_type`."""

    path: str
    disk_type: str
    access: Access
    compression_level: int | None = None
    progress: Progress = dataclasses.field(default_factory=Silent)


@dataclasses.dataclass(frozen=True)
class CompactRequest:
    """The disk at `path`; all_links: its parents, too; trim: free space of file systems, too."""

    path: str
    access: Access
    all_links: bool = False
    trim: bool = False
    progress: Progress = dataclasses.field(default_factory=Silent)


@dataclasses.dataclass(frozen=True)
class SnapshotRequest:
    """A redo log `child` of the disk at `path`; None: the only one there is, or a new one."""

    path: str
    access: Access
    child: str | None = None
    parent: str | None = None
    disk_type: str | None = None
    parent_digest: str | None = None
    unsafe: bool = False
    progress: Progress = dataclasses.field(default_factory=Silent)

    @property
    def outside(self) -> tuple[str, ...]:
        return self.access.allow_outside
