# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Disks by way of VMware's own library, where the user has one."""

from __future__ import annotations

import functools
import hashlib
import threading
import typing as t
from concurrent.futures import ThreadPoolExecutor

from ..._device.errors import DiskError, TransportUnavailable, UnsupportedDisk
from ..._vsphere.connection.unreachable import from_network
from ..._vsphere.connection.wire import connection_to
from .argv import command
from .library import find_vixlib, mismatch
from .nbdkit import Nbdkit, VddkDevice

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice
    from ..._vsphere.connection.session import Session
    from ..frozen import FrozenDisk
    from .argv import Place
    from .library import Vixlib


# Without its hotadd: that leaves disks attached, with no journal, where a job is killed, and knows
# none of the rules for which our own refuses a disk.
MODES = "san:nbdssl:nbd"


class Vddk:
    """One nbdkit for each disk. Made once for each virtual machine of a job.

    libdir: of the unpacked VDDK, or of a library that is compatible. modes: VDDK's own transports
    in the order to try.
    """

    name = "vddk"
    is_sequential = False

    def __init__(self, session: Session, libdir: str, *, modes: str = MODES) -> None:
        self._session = session
        self._libdir = libdir
        self._modes = modes
        self._lock = threading.Lock()
        self._found: Vixlib | DiskError | None = None
        self._devices: list[VddkDevice] = []
        self._starter: ThreadPoolExecutor | None = None
        self.warnings: list[str] = []  # to be told along with the result

    def refusal(self, disk: FrozenDisk) -> str | None:
        found = self._look()
        if isinstance(found, DiskError):
            return str(found)
        if self._session.vcenter.proxy_host:
            return "VDDK goes straight to vCenter and its hosts, not through proxy_host"
        if getattr(disk.device.backing, "compatibilityMode", None) == "physicalMode":
            return "VDDK reads no physical raw device mappings"
        if disk.is_encrypted and self._modes == "san":
            return "VDDK reads encrypted disks over the network only, not by san"
        return None

    def open(self, disk: FrozenDisk) -> BlockDevice:
        """Raises TransportUnavailable with what VDDK says, ServerUnreachable."""
        found = self._look()
        if isinstance(found, DiskError):
            raise found
        return self._living().submit(self._open, found, disk).result()

    def close(self) -> None:
        """Disks may be opened again afterwards."""
        for device in self._devices:
            device.close()
        self._devices.clear()
        with self._lock:
            starter, self._starter = self._starter, None
        if starter is not None:
            starter.shutdown()

    def _living(self) -> ThreadPoolExecutor:
        """One thread that lives until close(): nbdkit ends with the one that started it."""
        with self._lock:
            if self._starter is None:
                self._starter = ThreadPoolExecutor(1, thread_name_prefix="nbdkit")
            return self._starter

    def _look(self) -> Vixlib | DiskError:
        """Once, as it starts a program."""
        with self._lock:
            if self._found is None:
                try:
                    self._found = find_vixlib(self._libdir)
                except DiskError as error:
                    self._found = error
                else:
                    warning = mismatch(self._found, str(self._session.content.about.version))
                    self.warnings += [warning] if warning else []
            return self._found

    def _open(self, found: Vixlib, disk: FrozenDisk) -> BlockDevice:
        vcenter = self._session.vcenter

        def argv(place: Place) -> list[str]:
            own = (found.nbdkit, found.libdir)
            return command(*own, disk, vcenter, self._thumbprint, place, self._modes)

        device = VddkDevice(Nbdkit(argv, vcenter.password), disk.path)
        if device.size != disk.size:
            device.close()
            raise TransportUnavailable(
                "VDDK opened another disk, or another state of it",
                path=disk.path,
                found=f"{device.size} bytes",
                expected=f"{disk.size} bytes",
            )
        self._devices.append(device)
        return device

    @functools.cached_property
    def _thumbprint(self) -> str:
        """SHA-1 of the certificate that we have found to be the right one, as VDDK compares it."""
        vcenter = self._session.vcenter
        connection = connection_to(vcenter)
        try:
            connection.connect()
            certificate = t.cast("t.Any", connection.sock).getpeercert(binary_form=True)
        except OSError as error:
            raise from_network(error, vcenter, "look at the certificate") from error
        finally:
            connection.close()
        if certificate is None:
            raise UnsupportedDisk("the vCenter shows no certificate", path=vcenter.address)
        return hashlib.sha1(certificate, usedforsecurity=False).digest().hex(":").upper()
