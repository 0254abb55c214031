# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A frozen disk by whichever transport carries it, opened when it is first needed."""

from __future__ import annotations

import contextlib
import threading
import typing as t

from ...._device.device import Device
from ...._device.errors import DiskError, TransportUnavailable
from ...._transport.choose import choose
from .tracking import UNREAD

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ...._device.extent import Extent
    from ...._transport.choose import Chosen
    from ...._transport.frozen import FrozenDisk, Transport


class Road(Device):
    """Read-only. After a failure, fall_back() makes it one that goes another way.

    needs_ranges: parts of the disk are wanted, which not every transport can give.
    """

    def __init__(self, disk: FrozenDisk, transports: Sequence[Transport]) -> None:
        self.disk, self.size, self.name = disk, disk.size, f"{disk.vm_name} {disk.name}"
        self.needs_ranges = False
        self.only_whole = False  # parts were wanted, and nobody could give them
        self.failure: DiskError | None = None
        self._left = list(transports)
        self._passed: list[str] = []
        self._chosen: Chosen | None = None
        self._used: Chosen | None = None
        self._opening = threading.Lock()

    @property
    def is_sequential(self) -> bool:
        """Of the transport that is open, or else of the first that may carry it."""
        if self._chosen is not None:
            return self._chosen.transport.is_sequential
        likely = next((each for each in self._left if each.refusal(self.disk) is None), None)
        return likely is not None and likely.is_sequential

    @property
    def facts(self) -> dict[str, t.Any]:
        """How it was read."""
        if self._used is None:
            return {"transport": UNREAD, "transport_reason": "nothing of it had to be read"}
        return {"transport": self._used.transport.name, "transport_reason": self._used.reason}

    def open(self) -> None:
        """Raises TransportUnavailable."""
        self._device()

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        with self._watched():
            self._device().device.readinto(offset, buffer)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        with self._watched():
            yield from self._device().device.extents(offset, length)

    def finish(self) -> None:
        """All that is needed was read. Raises DiskError where that is of no use."""
        check = getattr(self._chosen.device, "require_unchanged", None) if self._chosen else None
        if check is not None:
            with self._watched():
                check()

    def close(self) -> None:
        """Whatever was made to open it is taken back; it may be opened again. Raises DiskError."""
        chosen, self._chosen = self._chosen, None
        if chosen is not None:
            chosen.device.close()

    def fall_back(self) -> bool:
        """Whether, after a failure, another transport is left to try."""
        used, error, self.failure = self._used, self.failure, None
        if isinstance(error, _NeedsWhole):
            self.only_whole = True
            return True
        if used is None:
            return False
        self._passed.append(f"{used.transport.name}: {error}")
        self._left = self._left[self._left.index(used.transport) + 1 :]
        self._used = None
        return bool(self._left)

    def _device(self) -> Chosen:
        with self._opening:
            if self._chosen is None:
                self._chosen = self._used = self._choose()
            return self._chosen

    def _choose(self) -> Chosen:
        fit = [each for each in self._left if not (self.needs_ranges and each.is_sequential)]
        if self.needs_ranges and len(fit) < len(self._left):
            try:
                return choose(self.disk, fit, self._passed)
            except TransportUnavailable as error:
                raise _NeedsWhole(
                    "only transports that carry whole disks are left", path=self.disk.path
                ) from error
        return choose(self.disk, fit, self._passed)

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except DiskError as error:
            self.failure = self.failure or error
            raise


class _NeedsWhole(TransportUnavailable):
    """The disk can be had, but only as a whole."""
