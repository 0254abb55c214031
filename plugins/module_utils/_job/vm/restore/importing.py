# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A new machine made and filled in one step, by an import lease."""

from __future__ import annotations

import contextlib
import typing as t

from ...._device.errors import (
    AccessDenied,
    DiskError,
    ServerUnreachable,
    TransportUnavailable,
    UnsupportedDisk,
    VSphereFault,
)
from ...._device.memory import ZeroDevice
from ...._vsphere.disks.disks import keeps_objects
from ...._vsphere.disks.paths import find_place, parse_disk
from ...._vsphere.vmconfig.devices import new_datastore

if t.TYPE_CHECKING:
    from ...._device.device import BlockDevice
    from ...._vsphere.snapshots.journal import Journal
    from ...._vsphere.vmconfig.placement import Placement
    from ...plan import Result
    from .scene import Scene

IMPORT = "nfc"
_UNREAD = "its work could not be verified, as {}: leave out verify, or let hotadd do it"
# With these another transport may do better.
_ANOTHER = (AccessDenied, ServerUnreachable, TransportUnavailable, UnsupportedDisk, VSphereFault)


class NotImported(DiskError):
    """Nothing was made: another transport may be tried."""


class Importing:
    """create() makes the machine of a vim.vm.ConfigSpec; `transfers` are by disk."""

    def __init__(self, scene: Scene, placement: Placement, journal: Journal) -> None:
        self._scene, self._placement, self._journal = scene, placement, journal
        self.transfers: dict[str, Result] = {}

    def create(self, spec: t.Any) -> t.Any:
        """The machine. Raises NotImported, DiskError."""
        # Imported here, as it needs what other transports do not.
        from ...._transport.nfc.restore import import_vm

        scene, placement = self._scene, self._placement
        with contextlib.ExitStack() as stack:
            disks: dict[str, BlockDevice] = {
                slot: ZeroDevice(size) for slot, size in scene.without_content().items()
            }
            for disk in scene.disks:
                disks[disk.name] = stack.enter_context(scene.open(disk))
            try:
                made = import_vm(
                    scene.session,
                    self._journal,
                    pool=placement.pool,
                    folder=placement.folder,
                    host=placement.host,
                    spec=spec,
                    disks=disks,
                    progress=scene.request.progress,
                )
            except _ANOTHER as error:
                raise NotImported(str(error)) from error
        # The lease tells of all disks together.
        self.transfers = {disk.name: {} for disk in scene.disks}
        if scene.disks:
            self.transfers[scene.disks[0].name] = made.transfer.as_dict()
        return made.vm


def why_not_verified(scene: Scene, placement: Placement) -> str | None:
    """Why what was imported could not be read again, where that is wanted. Raises DiskError."""
    if not scene.request.verify:
        return None
    document = scene.configuration
    if document["encrypted"]:
        return _UNREAD.format("its disks are encrypted")
    backings = [each.get("backing") or {} for each in document["devices"] if "capacityInKB" in each]
    for name in sorted({new_datastore(document, placement, each) for each in backings}):
        if keeps_objects(scene.session, find_place(scene.session, parse_disk(f"[{name}] x.vmdk"))):
            return _UNREAD.format(f"{name} keeps disks as objects and not as files")
    return None
