# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Extents that are opened when they are touched: a disk of 62 TiB has some 16,000 of them."""

from __future__ import annotations

import collections
import contextlib
import threading
import typing as t

from ..._device.device import Device
from ..extents.header import SECTOR
from ..files.paths import require_file
from .kinds import open_extent

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..._device.extent import Extent
    from .kinds import ExtentRequest

MANY = 256  # extents, from which on not all are opened: processes have some 1,000 descriptors
_OPEN_AT_ONCE = 64


class OpenExtents:
    """Those of one disk that are open now, the one touched last at the end. For many threads."""

    def __init__(self) -> None:
        self._devices: collections.OrderedDict[LazyExtent, Device] = collections.OrderedDict()
        self._users: collections.Counter[LazyExtent] = collections.Counter()
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def use(self, extent: LazyExtent) -> Iterator[Device]:
        """The open extent, which stays open meanwhile. Raises what opening it raises."""
        with self._lock:
            device = self._devices.get(extent) or open_extent(extent.request)
            self._devices[extent] = device
            self._devices.move_to_end(extent)
            self._users[extent] += 1
            self._close_surplus()
        try:
            yield device
        finally:
            with self._lock:
                self._users[extent] -= 1

    def _close_surplus(self) -> None:
        surplus = len(self._devices) - _OPEN_AT_ONCE
        if surplus > 0:
            idle = [extent for extent in self._devices if not self._users[extent]]
            for extent in idle[:surplus]:
                self._close(extent)

    def _close(self, extent: LazyExtent) -> None:
        device = self._devices.pop(extent, None)
        self._users.pop(extent, None)
        if device is not None:
            extent.remember_flags(device)
            device.close()

    def close(self, extent: LazyExtent) -> None:
        with self._lock:
            self._close(extent)

    def find(self, extent: LazyExtent) -> Device | None:
        with self._lock:
            return self._devices.get(extent)


class LazyExtent(Device):
    """An extent of a disk that is open for reading. That its file is there is known at once."""

    def __init__(self, request: ExtentRequest, pool: OpenExtents) -> None:
        """Raises DiskNotFound, NotADisk."""
        if request.path is not None:
            require_file(request.path, request.disk)
        self.request, self._pool = request, pool
        self.size = request.line.sectors * SECTOR
        self.name = request.path or request.disk
        self._flags: dict[str, None] = {}

    @property
    def flags(self) -> list[str]:
        """What is wrong with it, as far as it was read."""
        device = self._pool.find(self)
        if device is not None:
            self.remember_flags(device)
        return list(self._flags)

    def remember_flags(self, device: Device) -> None:
        self._flags.update(dict.fromkeys(getattr(device, "flags", ())))

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        with self._pool.use(self) as device:
            device.readinto(offset, buffer)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        with self._pool.use(self) as device:
            yield from device.extents(offset, length)

    def close(self) -> None:
        self._pool.close(self)
