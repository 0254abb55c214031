# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Disks that a process keeps open for long: nobody else on this host writes to them meanwhile."""

from __future__ import annotations

import contextlib
import fcntl
import os
import typing as t

from .._device.errors import DiskInUse
from .._device.slice import SliceDevice
from .._guest.lockedfolder import make_directory, name_of, run_directory
from .._transport.claims import claim_name
from .._transport.datastore import DatastoreDevice
from .._transport.reference import Road

if t.TYPE_CHECKING:
    from .._device.device import BlockDevice
    from .access import Access


class _Kept(SliceDevice):
    """Owns its disk, and lets go of what that stands on after it."""

    def __init__(self, device: BlockDevice, held: contextlib.ExitStack) -> None:
        super().__init__(device, 0, device.size)
        self._held = held

    def close(self) -> None:
        with self._held:
            self.device.close()


def open_kept(access: Access, path: str, *, writable: bool) -> BlockDevice:
    """Files and block devices have locks of their own; a server elsewhere knows none.

    Raises DiskInUse, and what opening it does.
    """
    if access.parse(path).road in (Road.VMDK, Road.RAW):
        return access.open(path, writable=writable)
    with contextlib.ExitStack() as held:
        if access.parse(path).road is Road.NBD:
            _lock(access, path, writable, held)
        device = access.open(path, writable=writable)
        if isinstance(device, DatastoreDevice):
            held.callback(device.session.close)
        return _Kept(device, held.pop_all())


def _lock(access: Access, path: str, writable: bool, held: contextlib.ExitStack) -> None:
    """A lock on a file that means the disk; it is left, empty, until the host is started again."""
    folder = run_directory("locks")
    make_directory(folder)
    name = os.path.join(folder, name_of(claim_name(access.parse(path)) or path))
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    held.callback(os.close, fd)
    try:
        fcntl.flock(fd, (fcntl.LOCK_EX if writable else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        raise DiskInUse(
            "is in use on this host",
            path=path,
            hint="Another mount has it, for writing or to read; unmount that first.",
        ) from None
