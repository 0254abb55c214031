# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A new virtual machine with its disks' content, in one lease (ImportVApp)."""

from __future__ import annotations

import contextlib
import typing as t

from ..._device.copy import copy
from ..._device.errors import DiskError, InvalidRequest
from ..._device.progress import Silent
from ..._device.transfer import Transfer
from ..._vsphere.connection import libraries
from ..._vsphere.machine.discard import discard
from ..._vsphere.snapshots.removal import whereabouts
from .lease import Lease, begun
from .link import link_for
from .upload import Upload

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ..._device.device import BlockDevice
    from ..._device.progress import Progress
    from ..._vsphere.connection.session import Session
    from ..._vsphere.snapshots.journal import Journal

_WHAT = "import the virtual machine"


class Imported(t.NamedTuple):
    """The machine, which is off, and what was sent."""

    vm: t.Any  # vim.VirtualMachine
    transfer: Transfer


def import_vm(
    session: Session,
    journal: Journal,
    *,
    pool: t.Any,
    folder: t.Any,
    host: t.Any | None,
    spec: t.Any,
    disks: Mapping[str, BlockDevice],
    progress: Progress | None = None,
) -> Imported:
    """Make the machine of a vim.vm.ConfigSpec and fill its disks, by slot (`scsi0:0`).

    Every disk of the spec must be among `disks`; they are left open. What fails leaves no machine.
    Raises DiskError.
    """
    wanted = libraries.vim().vm.VmImportSpec(configSpec=spec)
    ref = session.call(lambda: pool.ImportVApp(wanted, folder, host), _WHAT, spec.name)
    facts = whereabouts(session, pool, spec.name) | {"vm": ""}
    lease = Lease(session, journal, ref, facts, _WHAT)
    try:
        with begun(lease):
            transfer = _send_all(lease, disks, progress or Silent(), spec.name)
            lease.complete()
    except BaseException:
        _remove(session, lease.entity, spec)
        raise
    return Imported(lease.entity, transfer)


def _send_all(
    lease: Lease, disks: Mapping[str, BlockDevice], progress: Progress, name: str
) -> Transfer:
    missing = sorted({link.slot for link in lease.links} ^ set(disks))
    if missing:
        raise InvalidRequest(
            "the disks of the machine are not those that there is content for",
            path=name,
            found=", ".join(missing),
        )
    total = Transfer(transport="nfc", transport_reason="sent into the new virtual machine")
    for slot, device in disks.items():
        sent = _send(lease, slot, device, progress, name)
        total.bytes_total += sent.bytes_total
        total.bytes_read += sent.bytes_read
        total.bytes_written += sent.bytes_written
        total.bytes_zero += sent.bytes_zero
    return total.finish()


def _send(lease: Lease, slot: str, device: BlockDevice, progress: Progress, name: str) -> Transfer:
    link = link_for(lease.links, slot, name)
    try:
        with Upload(link, device.size, f"{name} {slot}") as upload:
            told = _Told(progress, lease, slot)
            sent = copy(
                device, upload.target, target_is_zero=True, progress=told, label=upload.name
            )
            upload.finish()
            return sent
    except DiskError as error:
        raise lease.explain(error) from error


class _Told:
    """Progress that the lease hears of, too; a dead lease ends the work."""

    def __init__(self, progress: Progress, lease: Lease, slot: str) -> None:
        self._progress, self._lease, self._slot = progress, lease, slot
        self._done = 0

    def start(self, label: str, total: int) -> None:
        self._progress.start(label, total)

    def advance(self, count: int) -> None:
        self._done += count
        self._lease.tell(self._slot, self._done)
        self._progress.advance(count)

    def finish(self) -> None:
        self._progress.finish()


def _remove(session: Session, vm: t.Any, spec: t.Any) -> None:
    """vCenter takes it away with the lease; where it does not, nothing unfinished may stay."""
    with contextlib.suppress(DiskError):
        if vm is not None:
            discard(session, vm, spec)
