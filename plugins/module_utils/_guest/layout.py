# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A whole guest: its root, and inside of it what its own fstab says.

The image is not trusted: names in it are followed as the guest would follow them, and lead nowhere
but into it; nothing of it is run.
"""

from __future__ import annotations

import itertools
import typing as t

from .._device.errors import DiskError, InvalidRequest, MissingTool, MountFailed
from . import fstab
from .facts.asking import ask
from .mount import loses_writes
from .subvolumes import TOP
from .volumes import in_words

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from .facts.root import GuestRoot
    from .fstab import Entry
    from .mountables import Mountable
    from .parts import Parts

_ROOT_KINDS = ("ext2", "ext3", "ext4", "xfs", "btrfs", "squashfs", "ntfs")
# Where installers put the root of a btrfs whose default is the top.
_ROOT_SUBVOLUMES = ("@", "root", "@rootfs", "@root")
_ROOT_FILES = ("/etc/fstab", "/etc/os-release", "/usr/lib/os-release", "/Windows/System32/config")
_MOST = 64  # parts, and candidates; more are only ever made to keep somebody busy
_MOST_ENTRIES = 4 * _MOST
_LARGEST = 1 << 20  # bytes of fstab


class _Root(t.NamedTuple):
    volume: Mountable
    subvolume: str | None


class GuestLayout:
    """Mounts the root and what belongs inside."""

    def __init__(self, parts: Parts, volumes: list[Mountable], subvolume: str | None) -> None:
        self.parts = parts
        self.volumes = volumes
        self.subvolume = subvolume
        self.top = parts.journal.mount_point
        self.read_only = parts.journal.read_only

    def mount(self) -> None:
        """Raises InvalidRequest where no root is found, MountFailed, MissingTool."""
        root = self._find_root()
        if not self.read_only:
            root.volume.require_writable()
        self.parts.mount(root.volume, self.top, read_only=self.read_only, subvolume=root.subvolume)
        tables = ask(self.top, _tables)
        text, crypts = tables[0], tables[1]
        entries = list(itertools.islice(fstab.entries(text), _MOST_ENTRIES + 1))
        if len(entries) > _MOST_ENTRIES:
            raise InvalidRequest(
                f"the fstab of the guest names more than {_MOST_ENTRIES} volumes",
                hint="Mount one volume with layout=volume.",
            )
        for entry in _by_depth(entries):
            self._mount_entry(entry, crypts)

    def _mount_entry(self, entry: Entry, crypts: dict[str, str]) -> None:
        try:
            self._mount_inside(entry, crypts)
        except (InvalidRequest, MountFailed, MissingTool) as error:
            if not entry.required:
                return
            problem = f"{entry.point} of the guest ({entry.spec}) was not mounted: {error}"
            if not self.read_only:  # what belongs there would be written to the root
                raise MountFailed(
                    problem,
                    path=self.top,
                    hint="Name the disk that has it in disks, or mount read-only, or without"
                    " layout=guest.",
                ) from error
            self.parts.warn(problem)

    def _mount_inside(self, entry: Entry, crypts: dict[str, str]) -> None:
        """Raises InvalidRequest for what cannot be found, MountFailed, MissingTool."""
        point = self._point(entry.point)
        if point == self.top:
            return  # the root itself
        volume = self._volume(entry, crypts)
        if any(part.point == point for part in self.parts.journal.parts):
            raise InvalidRequest("something else of it is mounted there")
        if len(self.parts.journal.parts) >= _MOST:
            raise InvalidRequest(f"{_MOST} volumes are mounted already")
        if not self.read_only:
            volume.require_writable()
        subvolume = entry.subvolume if volume.kind == "btrfs" else None
        read_only = self.read_only or loses_writes(volume.kind)
        self.parts.mount(volume, point, read_only=read_only, subvolume=subvolume)
        if read_only and not self.read_only:
            self.parts.warn(
                f"{entry.point} of the guest is mounted read-only: this kernel has no driver for"
                f" {volume.kind}"
            )

    def _volume(self, entry: Entry, crypts: dict[str, str]) -> Mountable:
        found = fstab.find(entry.spec, self.volumes, crypts)
        if not found:
            raise InvalidRequest("no volume of these disks answers to that")
        if len(found) > 1:
            words = "; ".join(in_words(volume.shown) for volume in found)
            raise InvalidRequest(f"more than one volume answers to that: {words}")
        return found[0]

    def _point(self, path: str) -> str:
        """The directory on this host, by its real name. Raises InvalidRequest."""
        real = ask(self.top, lambda guest: guest.real_folder(path))
        if real is None:
            raise InvalidRequest("there is no such directory")
        return real

    def _find_root(self) -> _Root:
        named = [volume for volume in self.volumes if volume.wanted]
        if named:
            return self._look(named[0]) or _Root(named[0], self._option())
        likely = [volume for volume in self.volumes if volume.kind in _ROOT_KINDS]
        if len(likely) > _MOST:
            raise InvalidRequest(
                f"{len(likely)} volumes could be the root of a guest",
                hint="Name it by the option volume.",
            )
        found = [root for volume in likely if (root := self._look(volume)) is not None]
        if len(found) == 1:
            return found[0]
        words = "; ".join(in_words(volume.shown) for volume in self.volumes)
        if found:
            words = "; ".join(in_words(root.volume.shown) for root in found)
            raise InvalidRequest(f"more than one volume is the root of a guest: {words}")
        raise InvalidRequest(
            f"no volume looks like the root of a guest. There are: {words}",
            hint="Name it by the option volume, or mount one volume with layout=volume.",
        )

    def _option(self) -> str | None:
        return None if self.subvolume is None else f"subvol={self.subvolume}"

    def _look(self, volume: Mountable) -> _Root | None:
        """Whether it is the root of a guest; mounted read-only for that for a moment."""
        if volume.kind != "btrfs" or self.subvolume is not None:
            own = self._option() if volume.kind == "btrfs" else None
            return _Root(volume, own) if self._has_root(volume, own, ("",)) is not None else None
        if self._has_root(volume, None, ("",)) is not None:
            return _Root(volume, None)
        name = self._has_root(volume, TOP, _ROOT_SUBVOLUMES)
        return None if name is None else _Root(volume, f"subvol={name}")

    def _has_root(
        self, volume: Mountable, subvolume: str | None, folders: Iterable[str]
    ) -> str | None:
        """The first of the folders that is the root of a guest; None also for what is damaged."""
        try:
            self.parts.mount(volume, self.top, read_only=True, subvolume=subvolume)
        except (MountFailed, MissingTool):
            return None
        try:
            return ask(self.top, lambda guest: _first_root(guest, folders))
        except DiskError:  # its own content is unreadable
            return None
        finally:
            self.parts.take_back(volume)


def _tables(guest: GuestRoot) -> tuple[str, dict[str, str]]:
    """Its fstab, and what its crypttab unlocks."""
    text = (guest.read("/etc/fstab", _LARGEST) or b"").decode(errors="surrogateescape")
    return text, fstab.crypt_names(guest.text("/etc/crypttab"))


def _first_root(guest: GuestRoot, folders: Iterable[str]) -> str | None:
    return next((name for name in folders if _is_root(guest, name)), None)


def _is_root(guest: GuestRoot, folder: str) -> bool:
    return any(guest.status(f"{folder}{name}") is not None for name in _ROOT_FILES)


def _by_depth(found: Iterable[Entry]) -> list[Entry]:
    """Those inside of others after them; of one place in the order of the file."""
    return sorted(found, key=lambda entry: len([p for p in entry.point.split("/") if p]))
