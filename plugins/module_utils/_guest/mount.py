# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Mounting a file system: by the kernel where it knows it and we may, else by FUSE tools."""

from __future__ import annotations

import os
import typing as t

from .._device.errors import MissingTool, MountFailed
from . import command
from .fusetools import TOOLS, without_root
from .mountinfo import mounted_at, mounts_below
from .processes import holders

if t.TYPE_CHECKING:
    from collections.abc import Collection, Sequence

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


class What(t.NamedTuple):
    """A file system: the block device or, without root, the file that it is in; its kind."""

    source: str
    kind: str
    subvolume: str | None = None  # of btrfs; a whole option, as `subvol=@home`


def mount(what: What, point: str, *, read_only: bool) -> None:
    """Mount a file system. Raises MountFailed, MissingTool; then nothing is mounted."""
    if os.geteuid():
        package, argv = without_root(what.kind, what.source, point)
    else:
        package, argv = _way(what, point, read_only)
    command.run(argv, MOUNT_SECONDS, package=package)
    if mounted_at(point) is None:
        reason = f"{argv[0]} said nothing, but the {what.kind} volume is not there"
        raise MountFailed(reason, path=point)


def loses_writes(kind: str) -> bool:
    """Whether the only program of this host for it does.

    fusefat 0.1 forgets what is written through a file that was read before, and damages a FAT16.
    """
    return kind == "vfat" and not _kernel_knows(kind)


def require_lossless(kind: str) -> None:
    """For a mount that is written to. Raises MissingTool."""
    if loses_writes(kind):
        reason = f"this kernel cannot mount {kind}, and fusefat loses what is written"
        hint = f"Load or install the kernel module {kind}. Or mount it read-only."
        raise MissingTool(reason, hint=hint)


def _way(what: What, point: str, read_only: bool) -> tuple[str, list[str]]:
    """The package and the call that mount this kind here."""
    driver = _DRIVERS.get(what.kind, what.kind)
    if _kernel_knows(driver):
        options = ",".join(_kernel_options(what, read_only))
        return "mount", ["mount", "-i", "-t", driver, "-o", options, what.source, point]
    hint = f"Load or install the kernel module {driver}."
    tool = TOOLS.get(what.kind)
    if tool is None:
        raise MissingTool(f"this kernel cannot mount {what.kind}", hint=hint)
    if not read_only:
        require_lossless(what.kind)
    return tool.package, tool.call(what.source, point, read_only=read_only, shared=True)


def _kernel_options(what: What, read_only: bool) -> list[str]:
    mode = ("ro", *_NO_REPLAY.get(what.kind, ())) if read_only else ("rw",)
    inside = (what.subvolume,) if what.subvolume else ()
    return [*mode, *_ALWAYS, *_OPTIONS.get(what.kind, ()), *inside]


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
    mount = mounted_at(point)
    try:
        command.run(_call(point), UNMOUNT_SECONDS, package=_package())
    except command.ProgramHung:
        raise MountFailed(
            f"it could not be unmounted within {UNMOUNT_SECONDS} seconds",
            path=point,
            found=", ".join(holders(mount.source) if mount else ()) or None,
            hint="If these do not answer any more, end them (kill -9), and unmount again.",
        ) from None
    except command.ProgramFailed as error:
        if "busy" not in error.output:
            raise
        raise _busy(point, _users(point, ())) from None


def require_unused(point: str, ours: Collection[int]) -> None:
    """Raises MountFailed where somebody uses what is mounted there, or has mounted inside of it.

    ours: the numbers of mounts that may be inside.
    """
    users = _users(point, ours)
    if users:
        raise _busy(point, users)


def _users(point: str, ours: Collection[int]) -> list[str]:
    inner = [mount for mount in mounts_below(point) if mount.number not in ours]
    return holders(point) + [f"a mount at {mount.point}" for mount in inner]


def _busy(point: str, users: Sequence[str]) -> MountFailed:
    return MountFailed(
        "still in use, nothing was undone",
        path=point,
        found=", ".join(users) or "a user that cannot be seen from here",
        hint="End these and unmount again.",
    )


def unmount_dead(point: str) -> None:
    """Take away a mount whose server is gone, whoever still looks at it. Raises MountFailed."""
    try:
        command.run(_call(point), _SHORT_SECONDS, package=_package())
    except command.ProgramFailed:
        lazily = "-z" if os.geteuid() else "-l"
        command.run(_call(point, lazily), _SHORT_SECONDS, package=_package())


def _call(point: str, *options: str) -> list[str]:
    """Only root may call umount; others call the setuid program of FUSE."""
    program = ["fusermount3", "-u"] if os.geteuid() else ["umount", "-i"]
    return [*program, *options, point]


def _package() -> str:
    return "fuse3" if os.geteuid() else "mount"
