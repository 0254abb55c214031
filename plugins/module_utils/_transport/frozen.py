# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk of a virtual machine that holds still, and what every way to its content offers."""

from __future__ import annotations

import dataclasses
import typing as t

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice
    from .._vsphere.connection.session import Session
    from .._vsphere.snapshots.journal import Journal


@dataclasses.dataclass(frozen=True)
class FrozenDisk:
    """One disk as a snapshot holds it; or, without a snapshot, of a machine that is off, or of a
    template. `device` is vSphere's description of it at that moment."""

    session: Session
    journal: Journal
    vm: t.Any  # vim.VirtualMachine
    vm_name: str
    snapshot: t.Any | None  # vim.vm.Snapshot
    device: t.Any  # vim.vm.device.VirtualDisk
    name: str  # scsi0:0
    path: str  # of the file that holds still, as `[datastore] path`
    size: int  # bytes
    uuid: str
    storage: str  # kind of the datastore: VMFS, NFS, NFS41, vsan, VVOL …
    host_build: str
    is_encrypted: bool = False


class Transport(t.Protocol):
    """One way to the content of frozen disks, made once for each virtual machine of a job."""

    name: str
    is_sequential: bool  # whether a disk is only to be had as one pass from its start to its end

    def refusal(self, disk: FrozenDisk) -> str | None:
        """Why it cannot carry this disk, in words, as far as that is known before trying."""

    def open(self, disk: FrozenDisk) -> BlockDevice:
        """Read-only. Its close() takes back whatever open() made; what a killed job leaves is in
        the journal before it is made. Raises DiskError, with which the next way is tried."""

    def close(self) -> None:
        """Release what several disks shared."""
