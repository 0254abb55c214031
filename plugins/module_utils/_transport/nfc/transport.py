# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The universal way to a whole disk: vSphere exports it, without VDDK, also of a running VM."""

from __future__ import annotations

import contextlib
import threading
import typing as t

from ..._vsphere.snapshots.removal import whereabouts
from .download import NfcDevice
from .lease import Lease, begun
from .link import link_for

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice
    from ..._vsphere.connection.session import Session
    from ..frozen import FrozenDisk


class Nfc:
    """One lease has all disks of a virtual machine; they can be read one after the other, or at
    the same time. Made once for each virtual machine of a job."""

    name = "nfc"
    is_sequential = True

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        self._devices: list[NfcDevice] = []

    def refusal(self, disk: FrozenDisk) -> str | None:
        if disk.is_encrypted:
            return "vSphere exports no encrypted disks"
        if getattr(disk.device.backing, "compatibilityMode", None) == "physicalMode":
            return "vSphere exports no physical raw device mappings"
        return None

    def open(self, disk: FrozenDisk) -> BlockDevice:
        """Its content comes with the first read, which may be hours later. Raises DiskError."""
        with self._lock:
            lease = self._living(disk)
            link = link_for(lease.links, disk.name, disk.vm_name)
            with contextlib.closing(link.connect()):
                pass  # whoever cannot get to the host had better know it now
            device = NfcDevice(self._session, lease, link, disk)
            self._devices.append(device)
            return device

    def close(self) -> None:
        """Nobody hears of an error: what was read to its end is whole."""
        with self._lock:
            for device in self._devices:
                device.close()
            self._end(whole=all(device.has_ended for device in self._devices))

    def _end(self, *, whole: bool) -> None:
        if self._lease is not None:
            self._lease.end(whole=whole)
        self._lease = None
        self._devices.clear()

    def _living(self, disk: FrozenDisk) -> Lease:
        """Another one where the first has ended, as it does with its session."""
        if self._lease is not None and self._lease.is_dead:
            self._end(whole=False)
        if self._lease is None:
            self._lease = self._export(disk)
        return self._lease

    def _export(self, disk: FrozenDisk) -> Lease:
        what = "export its disks"
        source = disk.vm.ExportVm if disk.snapshot is None else disk.snapshot.ExportSnapshot
        ref = self._session.call(source, what, disk.vm_name)
        facts = whereabouts(self._session, disk.vm, disk.vm_name)
        with begun(Lease(self._session, disk.journal, ref, facts, what)) as lease:
            return lease
