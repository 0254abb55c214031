# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A virtual disk as the Linux guest that it is attached to sees it.

A guest learns the uuid of a disk from its SCSI page 83, as the identifier NAA 6000C29…, and only
where the virtual machine has disk.EnableUUID set.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from pathlib import Path

from ..._device.errors import DiskInUse, DiskNotFound
from ..machine.uuids import UUID, plain_uuid

_SECTOR = 512  # the unit of /sys/block/*/size, whatever the disk's own sectors are
_PAUSE = 0.2  # seconds between two looks
_RESCAN = 3.0  # seconds between two requests to look, which also go to storage networks


@dataclasses.dataclass(frozen=True)
class GuestDisk:
    """A block device of this host. `users` are those that sit on it: LVM, multipath, RAID."""

    path: str
    size: int
    users: tuple[str, ...]


def names_in_guest(uuid: str) -> tuple[str, str]:
    """The links that udev makes for a SCSI disk of that uuid."""
    digits = plain_uuid(uuid)
    return f"/dev/disk/by-id/wwn-0x{digits}", f"/dev/disk/by-id/scsi-3{digits}"


def wait_for_disk(uuid: str, *, seconds: float, sys: str = "/sys", dev: str = "/dev") -> GuestDisk:
    """The disk of that uuid, once it is there; the SCSI hosts are asked to look for it.

    Raises DiskNotFound after so many seconds, DiskInUse where somebody has taken the disk.
    """
    end, asked = time.monotonic() + seconds, 0.0
    while True:
        try:
            return find_disk(uuid, sys=sys, dev=dev)
        except DiskNotFound:
            if time.monotonic() >= end:
                raise
        if time.monotonic() - asked >= _RESCAN:
            asked = time.monotonic()
            _rescan(sys)
        time.sleep(_PAUSE)


def find_disk(uuid: str, *, sys: str = "/sys", dev: str = "/dev") -> GuestDisk:
    """Raises DiskNotFound, and DiskInUse where it is not plain which device to use."""
    digits = plain_uuid(uuid)
    found = [block for block in _blocks(sys) if _uuid_of(block) == digits]
    if not found:
        raise DiskNotFound(
            "no disk of this host has that uuid",
            found=", ".join(disks_with_uuids(sys)) or "no disk with a uuid",
            expected=digits,
            hint="Is the disk attached to this virtual machine, and was it started with "
            "disk.EnableUUID = TRUE?",
        )
    if len(found) > 1:
        raise DiskInUse(
            "several disks of this host have that uuid",
            found=", ".join(f"{dev}/{block.name}" for block in found),
            expected="one",
            hint="A copy of a disk keeps its uuid; detach the copy, or give it another one.",
        )
    return _described(found[0], dev)


def require_unused(disk: GuestDisk) -> None:
    """Raises DiskInUse where the guest has activated what is on the disk."""
    if disk.users:
        raise DiskInUse(
            "this host has taken the disk on its own",
            path=disk.path,
            found=", ".join(disk.users),
            hint="Keep LVM, multipath and RAID off disks that are only passing through (such as "
            "with global_filter in lvm.conf and find_multipaths in multipath.conf).",
        )


def disks_with_uuids(sys: str) -> list[str]:
    """The uuids of all disks of this host that have one, 32 digits each."""
    return list(filter(None, map(_uuid_of, _blocks(sys))))


def let_go(disk: GuestDisk, uuid: str, *, sys: str = "/sys") -> None:
    """Have the guest forget a disk before it is taken away from under it; for as long as that is
    open, its name means no other disk. Where the guest refuses, it will learn of it all the same.
    """
    block = Path(sys, "block", Path(disk.path).name)
    if _uuid_of(block) == plain_uuid(uuid):
        with contextlib.suppress(OSError):
            (block / "device" / "delete").write_text("1", encoding="ascii")


def _blocks(sys: str) -> list[Path]:
    return sorted(Path(sys, "block").glob("*"))


def _uuid_of(block: Path) -> str | None:
    """None for a disk that has none, or that is going away just now."""
    try:
        text = (block / "device" / "wwid").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    digits = text.strip().lower().removeprefix("naa.")
    return digits if UUID.fullmatch(digits) else None


def _described(block: Path, dev: str) -> GuestDisk:
    try:
        sectors = int((block / "size").read_text(encoding="ascii"))
        users = tuple(sorted(user.name for user in _users(block)))
    except (OSError, ValueError) as error:
        raise DiskNotFound(
            "went away while it was looked at", path=f"{dev}/{block.name}"
        ) from error
    return GuestDisk(f"{dev}/{block.name}", sectors * _SECTOR, users)


def _users(block: Path) -> list[Path]:
    """Of the disk and of its partitions."""
    return [*block.glob("holders/*"), *block.glob(f"{block.name}*/holders/*")]


def _rescan(sys: str) -> None:
    """PVSCSI tells of a new disk by itself; other controllers want to be asked."""
    for host in Path(sys, "class", "scsi_host").glob("host*/scan"):
        try:
            with open(host, "w", encoding="ascii") as file:
                file.write("- - -")
        except OSError:
            continue  # not root, or a host that cannot: then it comes by itself or not at all
