# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""HotAdd: this host is a virtual machine of the vCenter, and gets the frozen disk attached.

What the guest writes to it (it must not, and is kept from it) would go to a redo log beside the
frozen disk, so it has to be detached before the snapshot goes.
"""

from __future__ import annotations

import os
import threading
import typing as t

from ..._device.errors import DiskError, TransportUnavailable
from ..._vsphere.disks.guestdisk import disks_with_uuids
from ..._vsphere.disks.paths import find_place, parse_disk
from ..._vsphere.disks.reach import kind_of_datastore
from ..._vsphere.machine.machine import NONPERSISTENT, ManagedFile, look_at
from ..._vsphere.machine.uuids import plain_uuid
from . import rules
from .attachment import AT_THE_PROXY, Attachment
from .case import Target, case_of
from .device import HotAddedDisk, Roots
from .proxy import find_proxy
from .this_host import this_host
from .writing import require_free, uuid_of

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice
    from ..._vsphere.connection.session import Session
    from ..._vsphere.machine.machine import Machine
    from ..._vsphere.snapshots.journal import Journal
    from ..frozen import FrozenDisk

WRITABLE = "independent_persistent"  # snapshots of the proxy leave it out


def why_not_here(session: Session, proxy_vm: str | None) -> str | None:
    """Why this host cannot attach any disk of that vCenter; None if it may."""
    try:
        find_proxy(session, proxy_vm, this_host(_sys_root()))
    except TransportUnavailable as error:
        return str(error)
    return None


def _sys_root() -> str:
    return os.environ.get("VDISK_SYSFS_ROOT", "/sys")


class HotAdd:
    """For the disks of one machine of a job. Threads may share it.

    `sys_root` and `dev_root` are for containers that see those of their host elsewhere, and for
    tests; so are VDISK_SYSFS_ROOT and VDISK_DEV_ROOT.
    """

    name = "hotadd"
    is_sequential = False

    def __init__(
        self,
        session: Session,
        journal: Journal,
        *,
        proxy_vm: str | None = None,
        sys_root: str | None = None,
        dev_root: str | None = None,
    ) -> None:
        self._session, self._journal, self._proxy_vm = session, journal, proxy_vm
        self._roots = Roots(
            sys_root or _sys_root(),
            dev_root or os.environ.get("VDISK_DEV_ROOT", "/dev"),
        )
        self._looking = threading.Lock()
        self._ref: t.Any = None  # of the proxy

    def refusal(self, disk: FrozenDisk) -> str | None:
        try:
            return self._refusal(Target.of(disk), self._proxy())
        except DiskError as error:
            return str(error)

    def open(self, disk: FrozenDisk) -> BlockDevice:
        """Raises TransportUnavailable, DiskInUse, DiskError."""
        return self._open(Target.of(disk), NONPERSISTENT)

    def open_writable(
        self, path: str, owner: str | None = None, backing: t.Any = None
    ) -> BlockDevice:
        """A managed disk of the machine with the id `owner`, which is off, and must stay so until
        close(); without one, of none. `backing` is how the machine has it: not all may be written.
        Changed block tracking does not see what is written.

        Raises DiskInUse, TransportUnavailable, DiskError.
        """
        place = find_place(self._session, parse_disk(path))
        file = ManagedFile(str(place), place.datastore, uuid_of(self._session, place))
        require_free(self._session, file, owner)
        storage = kind_of_datastore(self._session, place.datastore)
        is_encrypted = getattr(backing, "keyId", None) is not None
        target = Target(file, storage, backing, is_encrypted=is_encrypted)
        return self._open(target, WRITABLE)

    def close(self) -> None:
        """Nothing: each disk releases what it needed."""

    def _open(self, disk: Target, mode: str) -> BlockDevice:
        with AT_THE_PROXY:
            proxy = self._proxy()
            why = self._refusal(disk, proxy)
            if why is not None:
                raise TransportUnavailable(why, path=disk.file.path)
            attachment = Attachment(self._session, self._journal, proxy, disk.file, mode)
        return HotAddedDisk(attachment, str(disk.file.uuid), self._roots, writable=mode == WRITABLE)

    def _refusal(self, disk: Target, proxy: Machine) -> str | None:
        return rules.refusal(case_of(self._session, disk, proxy)) or self._twin(disk)

    def _twin(self, disk: Target) -> str | None:
        """Multipath would make one disk of the two, and LVM would not know which one it means."""
        if plain_uuid(str(disk.file.uuid)) in disks_with_uuids(self._roots.sys):
            return "this host has a disk of the same uuid already: a copy of it?"
        return None

    def _proxy(self) -> Machine:
        """As it is now. Which one it is, is found out once. Raises DiskError."""
        with self._looking:
            if self._ref is None:
                host = this_host(self._roots.sys)
                self._ref = find_proxy(self._session, self._proxy_vm, host).ref
        return look_at(self._session, self._ref)
