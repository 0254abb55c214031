# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk that is attached to this host, as a device of this process."""

from __future__ import annotations

import contextlib
import time
import typing as t

from ..._device.device import Device
from ..._device.direct import DirectDevice
from ..._device.errors import CorruptDisk, DiskError, DiskInUse
from ..._device.raw import RawDevice
from ..._device.transaction_mark import refuse_reading, refuse_writing
from ..._vsphere.disks.guestdisk import find_disk, let_go, require_unused, wait_for_disk

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.device import BlockDevice, Buffer
    from ..._device.extent import Extent
    from ..._vsphere.disks.guestdisk import GuestDisk
    from .attachment import Attachment

APPEARING = 60.0  # seconds until the guest has the disk
LOOKED_AT = 5.0  # seconds in which udev's helpers look what is on a new disk
_PAUSE = 0.2


class Roots(t.NamedTuple):
    """Where this host shows its devices."""

    sys: str
    dev: str


class HotAddedDisk(Device):
    """Content past the page cache; close() detaches the disk."""

    def __init__(self, attachment: Attachment, uuid: str, roots: Roots, *, writable: bool) -> None:
        """Raises DiskNotFound, DiskInUse, CorruptDisk; then it is detached, too."""
        self._attachment, self._uuid, self._roots = attachment, uuid, roots
        self._ends = contextlib.ExitStack()
        self._ends.callback(attachment.end)
        try:
            self._guest = wait_for_disk(uuid, seconds=APPEARING, sys=roots.sys, dev=roots.dev)
            self._inner = _opened(self._guest, writable=writable)
            self._ends.callback(self._inner.close)
            self._reading = self._inner
            if writable:  # or what is verified would come from the memory of this host
                self._reading = DirectDevice(self._guest.path, exclusive=False)
                self._ends.callback(self._reading.close)
            # While it is open, its name in the guest means this disk.
            self._ends.callback(let_go, self._guest, uuid, sys=roots.sys)
            self._ends.callback(self._inner.flush)
            _check_size(self._guest, self._inner, attachment)
            _check_identity(self._guest, uuid, roots)
            attachment.require_alone()
        except BaseException:
            with contextlib.suppress(DiskError):  # what went wrong first is to be heard of
                self._ends.close()
            raise
        self.name, self.size = self._guest.path, self._inner.size
        self.writes_in_parallel = getattr(self._inner, "writes_in_parallel", False)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self._reading.readinto(offset, buffer)

    def write(self, offset: int, data: Buffer) -> None:
        self._inner.write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        self._inner.zero(offset, length)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        return self._inner.extents(offset, length)

    def flush(self) -> None:
        self._inner.flush()

    def close(self) -> None:
        """Raises DiskError where it is still attached, or what was written is not safe."""
        self._ends.close()


def _opened(guest: GuestDisk, *, writable: bool) -> BlockDevice:
    """Nobody else may have it, nor get it while it is open. Raises DiskInUse, DiskNotFound,
    InvalidRequest where a transaction of it forbids that."""
    (refuse_writing if writable else refuse_reading)(guest.path)
    end = time.monotonic() + LOOKED_AT
    while True:
        try:
            require_unused(guest)
            return (
                RawDevice.open(guest.path, writable=True) if writable else DirectDevice(guest.path)
            )
        except DiskInUse:
            if guest.users or time.monotonic() > end:
                raise
        time.sleep(_PAUSE)


def _check_identity(guest: GuestDisk, uuid: str, roots: Roots) -> None:
    """While it is open its name means no other disk. Raises DiskInUse, DiskNotFound."""
    now = find_disk(uuid, sys=roots.sys, dev=roots.dev)
    if now.path != guest.path:
        raise DiskInUse(
            "another disk of this host has that uuid now", path=guest.path, found=now.path
        )


def _check_size(guest: GuestDisk, device: BlockDevice, attachment: Attachment) -> None:
    if not guest.size == device.size == attachment.size:
        raise CorruptDisk(
            "the disk in this host is not as long as the one that was attached",
            path=guest.path,
            found=f"{guest.size} bytes in sysfs, {device.size} in the device",
            expected=attachment.size,
        )
