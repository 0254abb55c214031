# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How a new managed disk takes the place of another one, or of none.

vSphere replaces nothing: it moves disks to names that are free. So a new disk is made under a name
of ours, the old one steps aside under another, and who finds such names knows what was going on.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..._device.errors import DiskError, DiskInUse, DiskNotFound
from ..._vsphere.disks.browse import find_disks
from ..._vsphere.disks.disks import VirtualDisks
from .site import Site, identity
from .work import refuse_used, refuse_used_leftovers

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .site import Identity
    from .work import ManagedDisk


def replace(disk: ManagedDisk, make: Callable[[Site], None]) -> list[str]:
    """make() builds the new disk at site.new; then it takes the place of what is there.

    Returns warnings. Raises DiskError; what was there is then there still.
    """
    disks, site = VirtualDisks(disk.session), Site(disk)
    _refuse_moved(disk)
    refuse_used_leftovers(disk)
    _sweep(disk, disks)
    if not disk.is_there:
        disks.make_folder(disk.place)
    before = identity(disk, disk.place)
    try:
        make(site)
        _refuse_changed(disk, before)
        site.sign(site.new)
    except DiskError:
        site.clear()
        raise
    _swap(site, disks, before)
    return site.warnings


def _sweep(disk: ManagedDisk, disks: VirtualDisks) -> None:
    """What a killed job has left, perhaps incomplete."""
    for place in disk.leftovers():
        try:
            disks.delete(place)
        except DiskNotFound:
            continue  # another job was faster
        except DiskInUse as error:
            error.hint = "Another job may be making it this very moment: let that one end first."
            raise


def _refuse_moved(disk: ManagedDisk) -> None:
    """Raises DiskInUse where another job came first."""
    names = (disk.place.path.name, disk.old.path.name)
    found = find_disks(disk.session, disk.place, names)
    if (names[0] in found) != disk.is_there or names[1] in found:
        raise _changed(disk)


def _refuse_changed(disk: ManagedDisk, before: Identity | None) -> None:
    """Making the new disk may have taken hours. Raises DiskInUse, ChainMismatch."""
    _refuse_moved(disk)
    if identity(disk, disk.place) != before:
        raise _changed(disk)
    if disk.is_there:
        refuse_used(disk, "replace it")


def _changed(disk: ManagedDisk, became: str = "What is there was left as it is.") -> DiskInUse:
    return DiskInUse(
        "it was changed, or replaced, by somebody else meanwhile",
        path=str(disk.place),
        hint=f"{became} Find out who else works on it.",
    )


def _swap(site: Site, disks: VirtualDisks, before: Identity | None) -> None:
    """The old disk is deleted only once ours is in its place, and if it is the one we looked at."""
    disk = site.disk
    try:
        if disk.is_there:
            disks.move(disk.place, disk.old)
        disks.move(disk.new, disk.place)
        right_old = not disk.is_there or identity(disk, disk.old) == before
        if not (right_old and site.is_ours(disk.place, made_at=disk.new)):
            raise _changed(disk, "It was undone, as far as that could be.")
    except DiskError as error:
        _undo(site, disks, error)
        raise
    if disk.is_there:
        with contextlib.suppress(DiskNotFound):  # another job has finished this one
            disks.delete(disk.old)


def _undo(site: Site, disks: VirtualDisks, error: DiskError) -> None:
    """Back to what was there, also after a move whose answer was lost; where that fails, `error`
    says what the next run does."""
    disk = site.disk
    place, old, new = (each.path.name for each in (disk.place, disk.old, disk.new))
    try:
        found = find_disks(disk.session, disk.place, (place, old, new))
        moved_in = place in found and new not in found
        if moved_in and (old in found or site.is_ours(disk.place, made_at=disk.new)):
            disks.move(disk.place, disk.new)
        if old in found:
            disks.move(disk.old, disk.place)
        site.clear()
    except DiskError:
        told = f"What was there may be {disk.old} now; run this again, and it is put right."
        error.hint = " ".join(filter(None, (error.hint, told)))
