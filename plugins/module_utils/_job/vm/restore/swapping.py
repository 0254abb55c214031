# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk of a machine that is off, made anew over HTTPS beside the old one, whose place it takes.

All of it is sent, so that the old disk stays whole until the new one is.
"""

from __future__ import annotations

import typing as t

from ...._device.errors import UnsupportedDisk
from ...._vsphere.disks.disks import cannot
from ...managed.copy import plan_copy_to_managed
from ...managed.describe import THICK, THIN
from ...managed.site import identity
from ...managed.work import look
from ...requests import CopyRequest

if t.TYPE_CHECKING:
    from ...managed.site import Identity
    from ...plan import Plan, Result
    from .mapping import Pair
    from .scene import Scene

_THICK = (
    "{slot} was thin and is thick now: this vCenter does not change the type of a disk while it"
    " copies it"
)


class Swap:
    """How one disk is restored; it is compared when this is made. Raises DiskError."""

    def __init__(self, scene: Scene, vm: t.Any, pair: Pair) -> None:
        self._scene, self._vm, self._pair = scene, vm, pair
        self._compared = self._identity()
        self._plan = self._planned(None)
        self.differs = self._plan.apply is not None
        self.warnings: list[str] = []

    def is_unchanged(self) -> bool:
        """Whether the disk in its place is the one that was compared. Raises DiskError."""
        return self._identity() == self._compared

    def write(self) -> Result:
        """What it cost, as `transfer` of results. Raises DiskError."""
        try:
            done = self._plan.run(check_mode=False)
        except UnsupportedDisk as error:
            if not cannot(error) or self._plan.after.get("disk_type") != THIN:
                raise
            self.warnings.append(_THICK.format(slot=self._pair.slot))
            done = self._planned(THICK).run(check_mode=False)
        self.warnings += done.get("warnings", ())
        transfer: Result = done.get("transfer", {})
        return transfer

    def _identity(self) -> Identity | None:
        disk = look(self._scene.request.access, self._pair.path)
        return identity(disk, disk.place)

    def _planned(self, disk_type: str | None) -> Plan:
        request = self._scene.request
        copy = CopyRequest(
            src=self._scene.reference(self._pair.point),
            dest=self._pair.path,
            access=request.access,
            disk_type=disk_type,
            force=True,
            verify=request.verify,
            progress=request.progress,
        )
        return plan_copy_to_managed(copy, owner=str(self._vm._moId), facts=self._facts())

    def _facts(self) -> Result:
        """Of the disk that is there: it stays of its type, and keeps its uuid."""
        backing = self._pair.device.backing
        thin, eager = (getattr(backing, name, None) for name in ("thinProvisioned", "eagerlyScrub"))
        uuid = self._pair.uuid or self._pair.point.uuid
        return {
            "disk_type": THIN if thin else "eagerZeroedThick" if eager else THICK,
            "metadata": {"uuid": uuid} if uuid else {},
        }
