# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Programs that mount file systems without the kernel knowing them, some also without root."""

from __future__ import annotations

import typing as t

from .._device.errors import MissingTool


class Tool(t.NamedTuple):
    """A program that mounts a block device or a file."""

    program: str
    package: str
    read_only: str = "ro"
    for_all: str = "allow_other"  # what lets more than the caller in
    name: str = "fsname="  # what makes the mount known by its source, as the kernel's are
    first: tuple[str, ...] = ()  # arguments of its own
    options_last: bool = False

    def call(self, source: str, point: str, *, read_only: bool, shared: bool) -> list[str]:
        given = [self.read_only if read_only else "rw", "nodev", "nosuid"]
        given += [self.for_all] if shared and self.for_all else []
        given += [self.name + source] if self.name else []
        where, how = [source, point], ["-o", ",".join(given)]
        order = [*where, *how] if self.options_last else [*how, *where]
        return [self.program, *self.first, *order]


TOOLS = {
    "ntfs": Tool("ntfs-3g", "ntfs-3g", for_all="", name=""),  # does both by itself
    "vfat": Tool("fusefat", "fusefat"),
    "exfat": Tool("mount.exfat-fuse", "exfat-fuse"),
    "iso9660": Tool("fuseiso", "fuseiso", first=("-n",), options_last=True),
    "squashfs": Tool("squashfuse", "squashfuse"),
}
_CONFIGURATION = "/etc/fuse.conf"
_ROOT_ONLY = ("exfat",)  # its program asks fusermount for what that grants to root alone
# With root the kernel knows it.
_EXT = Tool("fuse2fs", "fuse2fs", read_only="ro,norecovery,fakeroot")


def without_root(kind: str, source: str, point: str) -> tuple[str, list[str]]:
    """The package and the call that mount a file read-only for any user. Raises MissingTool."""
    tool = _EXT if kind in ("ext2", "ext3", "ext4") else TOOLS.get(kind)
    if tool is None or kind in _ROOT_ONLY:
        raise MissingTool(
            f"only root can mount {kind}", hint="Run this as root, or with isolation: appliance."
        )
    if kind == "ntfs" and not user_may_share():
        raise MissingTool(
            "ntfs-3g is root while it mounts, and may not see what a user shows himself",
            hint=f"Put the line user_allow_other into {_CONFIGURATION}, or run this as root.",
        )
    return tool.package, tool.call(source, point, read_only=True, shared=False)


def user_may_share() -> bool:
    """Whether the administrator lets users show files to programs of other users."""
    try:
        with open(_CONFIGURATION) as stream:
            return any(line.split() == ["user_allow_other"] for line in stream)
    except OSError:
        return False
