# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Mounting a block device: by the kernel where it knows the file system, else by FUSE tools."""

from __future__ import annotations

import typing as t

from .._device.errors import MissingTool, MountFailed
from . import command
from .mountinfo import mounted_at, mounts_below
from .processes import holders

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from .filesystems import FileSystem

MOUNT_SECONDS = 120  # a journal may have to be replayed
UNMOUNT_SECONDS = 600  # what is still in memory has to be written
_SHORT_SECONDS = 30

# An image must not bring devices or setuid programs onto this machine.
_ALWAYS = ("nodev", "nosuid")
_DRIVERS = {"ntfs": "ntfs3"}  # where it is not called like the file system
# A clone has the UUID of the original, which may be mounted too. And ext's superblock can say
# that the machine shall panic on errors.
_OPTIONS = {
    "ext2": ("errors=remount-ro",),
    "ext3": ("errors=remount-ro",),
    "ext4": ("errors=remount-ro",),
    "xfs": ("nouuid",),
}
# Without these the kernel wants to replay the journal even of a read-only mount.
_NO_REPLAY = {
    "ext3": ("noload",),
    "ext4": ("noload",),
    "xfs": ("norecovery",),
    "btrfs": ("rescue=nologreplay",),
}
NEVER_WRITABLE = frozenset(("squashfs", "iso9660"))


class _Tool(t.NamedTuple):
    program: str
    package: str
    read_only: str
    read_write: str


_TOOLS = {
    "ntfs": _Tool("ntfs-3g", "ntfs-3g", "ro", "rw"),
    "vfat": _Tool("fusefat", "fusefat", "ro,allow_other", "rw+,allow_other"),
}


def mount(device: str, filesystem: FileSystem, point: str, *, read_only: bool) -> None:
    """Mount a file system. Raises MountFailed, MissingTool; then nothing is mounted."""
    package, argv = _way(device, filesystem, point, read_only)
    command.run(argv, MOUNT_SECONDS, package=package)
    if mounted_at(point) is None:
        kind = filesystem.kind
        raise MountFailed(f"{argv[0]} said nothing, but the {kind} volume is not there", path=point)


def _way(
    device: str, filesystem: FileSystem, point: str, read_only: bool
) -> tuple[str, Sequence[str]]:
    """The package and the call that mount this kind here."""
    kind = filesystem.kind
    driver = _DRIVERS.get(kind, kind)
    if _kernel_knows(driver):
        options = ",".join(_kernel_options(kind, read_only))
        return "mount", ["mount", "-i", "-t", driver, "-o", options, device, point]
    hint = f"Load or install the kernel module {driver}."
    tool = _TOOLS.get(kind)
    if tool is None:
        raise MissingTool(f"this kernel cannot mount {kind}", hint=hint)
    if filesystem.version == "FAT16" and not read_only:
        # It sets the second entry of the table to 0x8000: "hard error"; mtools then refuse it.
        reason = "this kernel cannot mount vfat, and fusefat damages a FAT16 when it writes"
        raise MissingTool(reason, hint=f"{hint} Or mount it read-only.")
    options = ",".join((tool.read_only if read_only else tool.read_write, *_ALWAYS))
    return tool.package, [tool.program, "-o", options, device, point]


def _kernel_options(kind: str, read_only: bool) -> list[str]:
    mode = ("ro", *_NO_REPLAY.get(kind, ())) if read_only else ("rw",)
    return [*mode, *_ALWAYS, *_OPTIONS.get(kind, ())]


def _kernel_knows(driver: str) -> bool:
    if driver in _kernel_drivers():
        return True
    try:
        command.run(["modprobe", "-q", driver], _SHORT_SECONDS, package="kmod")
    except (command.ProgramFailed, MissingTool):
        return False
    return driver in _kernel_drivers()


def _kernel_drivers() -> set[str]:
    with open("/proc/filesystems") as stream:
        return {line.split()[-1] for line in stream}


def unmount(point: str) -> None:
    """Unmount what is there. Raises MountFailed, which names those who hold it."""
    try:
        command.run(["umount", "-i", point], UNMOUNT_SECONDS, package="mount")
    except command.ProgramFailed as error:
        if "busy" not in error.output:
            raise
        users = holders(point) + [f"a mount at {inner.point}" for inner in mounts_below(point)]
        raise MountFailed(
            "still in use, nothing was undone",
            path=point,
            found=", ".join(users) or "a user that cannot be seen from here",
            hint="End these and unmount again.",
        ) from None


def unmount_dead(point: str) -> None:
    """Take away a mount whose server is gone, whoever still looks at it. Raises MountFailed."""
    try:
        command.run(["umount", "-i", point], _SHORT_SECONDS, package="mount")
    except command.ProgramFailed:
        command.run(["umount", "-i", "-l", point], _SHORT_SECONDS, package="mount")
