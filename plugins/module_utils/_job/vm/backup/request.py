# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What users may want of a backup of a virtual machine."""

from __future__ import annotations

import dataclasses
import typing as t

from ...._vsphere.snapshots.quiesce import Level, Quiesce
from ...point_wish import PointWish
from .subject import Choice

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ...._repository.format.manifest import RestorePoint
    from ...._vsphere.inventory.protect import DiskReport
    from ...._vsphere.snapshots.removal import Patience

PARTIAL = "partial"  # in the facts of a source: names of disks that are missing, and why
LEVELS = tuple(level.value for level in (Level.APPLICATION, Level.FILESYSTEM, Level.CRASH))


@dataclasses.dataclass(frozen=True, kw_only=True)
class VmBackupRequest(PointWish):
    """Make a restore point of a virtual machine.

    `foresee`: say what would be done with each disk, which costs some questions.
    """

    vm: str
    choice: Choice = dataclasses.field(default_factory=Choice)
    quiesce: Quiesce = dataclasses.field(default_factory=Quiesce)
    transports: tuple[str, ...] = ()
    allow_partial: bool = False
    proxy_vm: str | None = None
    vddk_libdir: str | None = None
    vddk_modes: tuple[str, ...] = ()
    foresee: bool = False
    patience: Patience | None = None

    def suffices(self, point: RestorePoint, disks: Iterable[DiskReport]) -> bool:
        """Whether it will do for a machine with these disks: one of that name whatever it holds,
        one that is young enough if it lacks no disk that is meant, but for what is allowed.

        Raises DiskExists as will_do().
        """
        if not self.will_do(point):
            return False
        if self.name is not None and point.name == self.name:
            return True
        lost = point.source_facts.get(PARTIAL, {})
        if lost and not self.allow_partial:
            return False
        held = {disk.name for disk in point.real_disks} | set(lost)
        means = self.choice.means
        meant = (disk for disk in disks if disk.protectable and means(disk.name, disk.label))
        return all(disk.name in held for disk in meant)


def quiesce_of(best: str, least: str | None) -> Quiesce:
    """`least`: what is good enough; None: quiesced in some way, where `best` allows that.

    Raises InvalidRequest.
    """
    wanted = Level(best)
    lowest = max(wanted, Level.FILESYSTEM, key=list(Level).index) if least is None else Level(least)
    return Quiesce(wanted, lowest)
