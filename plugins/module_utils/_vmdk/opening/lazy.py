# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Extents that are opened when they are touched: a disk of 62 TiB has some 31,000 of them."""

from __future__ import annotations

import collections
import contextlib
import resource
import threading
import typing as t

from ..._device.device import Device

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..._device.device import Buffer
    from ..._device.extent import Extent

MANY = 256  # extents, from which on not all are opened: processes have some 1,000 descriptors
_OPEN_AT_ONCE = 64


def too_many(extents: int) -> bool:
    """Whether so many extents are not to be open at once in this process."""
    return extents >= min(MANY, _descriptors() // 4)


def _descriptors() -> int:
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 4 * MANY if limit == resource.RLIM_INFINITY else limit


class OpenExtents:
    """Those of one chain that are open now, the one touched last at the end. For many threads."""

    def __init__(self) -> None:
        self._devices: collections.OrderedDict[LazyExtent, Device] = collections.OrderedDict()
        self._users: collections.Counter[LazyExtent] = collections.Counter()
        self._lock = threading.Lock()
        self._most = max(2, min(_OPEN_AT_ONCE, _descriptors() // 8))

    @contextlib.contextmanager
    def use(self, extent: LazyExtent) -> Iterator[Device]:
        """The open extent, which stays open meanwhile.

        Raises what opening it raises, and what making another one durable that must go raises.
        """
        with self._lock:
            device = self._devices.get(extent)
            if device is None:
                self._close_surplus()
                device = self._devices[extent] = extent.open()
            self._devices.move_to_end(extent)
            self._users[extent] += 1
        try:
            yield device
        finally:
            with self._lock:
                self._users[extent] -= 1

    def _close_surplus(self) -> None:
        """Room for one more. What was written is durable then, as nobody can flush it later."""
        surplus = len(self._devices) + 1 - self._most
        if surplus > 0:
            idle = [extent for extent in self._devices if not self._users[extent]]
            for extent in idle[:surplus]:
                try:
                    self._devices[extent].flush()
                finally:
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
    """An extent that `opener` opens whenever it is touched. `path`: its file, if it has one."""

    writes_in_parallel = False

    def __init__(
        self,
        pool: OpenExtents,
        opener: Callable[[], Device],
        *,
        size: int,
        name: str,
        path: str | None,
    ) -> None:
        self._pool, self.open = pool, opener
        self.size, self.name, self.path = size, name, path
        self._flags: dict[str, None] = {}

    @property
    def flags(self) -> list[str]:
        """What is wrong with it, as far as it was read."""
        device = self.find()
        if device is not None:
            self.remember_flags(device)
        return list(self._flags)

    def remember_flags(self, device: Device) -> None:
        self._flags.update(dict.fromkeys(getattr(device, "flags", ())))

    def find(self) -> Device | None:
        """The extent itself, if it is open now."""
        return self._pool.find(self)

    def opened(self) -> contextlib.AbstractContextManager[Device]:
        """The extent itself, open within the block. Raises what opening it raises."""
        return self._pool.use(self)

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        with self.opened() as device:
            device.readinto(offset, buffer)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        length = self.check_range(offset, length)
        with self.opened() as device:
            yield from device.extents(offset, length)

    def write(self, offset: int, data: Buffer) -> None:
        with self.opened() as device:
            device.write(offset, data)

    def zero(self, offset: int, length: int) -> None:
        with self.opened() as device:
            device.zero(offset, length)

    def flush(self) -> None:
        """Only what is open can have anything that is not durable yet."""
        if self.find() is not None:
            with self.opened() as device:
                device.flush()

    def close(self) -> None:
        self._pool.close(self)


def opened(part: Device) -> contextlib.AbstractContextManager[Device]:
    """An extent of a disk itself, open within the block, be it lazy or not."""
    return part.opened() if isinstance(part, LazyExtent) else contextlib.nullcontext(part)
