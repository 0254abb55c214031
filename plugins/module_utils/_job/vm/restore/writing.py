# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The disks of a machine that is off, compared with a restore point and written where they differ.

By HotAdd, where this host is a virtual machine beside it: then only what differs is written. Else
over HTTPS, where a disk is sent whole.
"""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ...._device.compare import compare
from ...._device.errors import (
    AccessDenied,
    DigestMismatch,
    DiskError,
    DiskInUse,
    DiskIOError,
    DiskNotFound,
    NoFreeSlot,
    TransportUnavailable,
    UnsupportedDisk,
)
from ...._device.slice import SliceDevice
from ...._repository.read.delta import restore_differences
from ...facts import is_point
from .differing import write_differences
from .results import explained
from .swapping import Swap

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ...._device.device import BlockDevice
    from ...._vsphere.machine.machine import Machine
    from ...._vsphere.snapshots.journal import Journal
    from ...plan import Result
    from .mapping import Pair
    from .scene import Scene

_ATTACHED = "attached to this host, which writes what differs"


class Writer:
    """Of one machine. `has_written`: a disk is not as it was any more."""

    def __init__(self, scene: Scene, machine: Machine) -> None:
        self._scene, self._machine = scene, machine
        self._swaps: dict[str, Swap] = {}
        self._unread: dict[str, str] = {}  # why a disk could not be looked at
        self.has_written = False
        self.warnings: list[str] = []

    def compare(self, pair: Pair, *, strict: bool = True) -> None:
        """Over HTTPS, as far as that can be. Without strict, a disk that is in use is passed over.

        Raises DiskError where nothing could write it.
        """
        try:
            self._swaps[pair.slot] = Swap(self._scene, self._machine.ref, pair)
        except DiskInUse as error:
            if strict:
                raise
            self._unread[pair.slot] = str(error)
        except (AccessDenied, DiskIOError, TransportUnavailable, UnsupportedDisk) as error:
            if "hotadd" not in self._scene.request.transport:
                raise
            self._unread[pair.slot] = str(error)

    def compare_again(self, pair: Pair) -> None:
        """What was passed over."""
        if pair.slot not in self._swaps:
            self.compare(pair)

    def why_unread(self, pair: Pair) -> str | None:
        """Why nobody could look at it; None if it was compared."""
        return None if pair.slot in self._swaps else self._unread.get(pair.slot)

    def require_unchanged(self, pair: Pair) -> None:
        """Raises DiskInUse where the disk is not as it was compared any more."""
        swap = self._swaps.get(pair.slot)
        if swap is not None and not swap.is_unchanged():
            raise DiskInUse(
                "it was written to, or replaced, by somebody else after it was compared",
                path=pair.path,
                hint="Let nobody start the machine, or work on its disks, and run this again.",
            )

    def may_differ(self, pair: Pair) -> bool:
        """Also where nobody has looked."""
        swap = self._swaps.get(pair.slot)
        return swap is None or swap.differs

    def write(self, pair: Pair, journal: Journal) -> Result:
        """What it cost. Raises DiskError."""
        passed: list[str] = []
        for name in self._scene.request.transport:
            try:
                if name == "hotadd":
                    return explained(self._attached(pair, journal), passed)
                if name == "datastore":
                    return explained(self._swapped(pair), passed)
            except TransportUnavailable as error:
                passed.append(f"{name}: {error}")
        raise TransportUnavailable(
            f"nothing can write to the disk {pair.slot} of {self._machine.name}",
            path=pair.path,
            found="; ".join(passed) or "no transport that writes",
            hint="Allow other transports, or run this on a virtual machine of that vCenter.",
        )

    def _attached(self, pair: Pair, journal: Journal) -> Result:
        request = self._scene.request
        opened = attached(self._scene, journal, pair)
        with opened as device, self._scene.content(pair.point) as point:
            self.has_written = True
            if is_point(point):
                label = self._scene.label(pair.slot)
                done = restore_differences(point, device, progress=request.progress, label=label)
            else:
                done = write_differences(point, device, request.progress, pair.slot)
            if request.verify:
                verify(point, device, pair.path)
        named = dataclasses.replace(done, transport="hotadd", transport_reason=_ATTACHED)
        return named.as_dict()

    def _swapped(self, pair: Pair) -> Result:
        swap = self._swaps.get(pair.slot)
        if swap is None:
            raise TransportUnavailable(self._unread[pair.slot], path=pair.path)
        had_written, self.has_written = self.has_written, True
        try:
            done = swap.write()
        except DiskError:
            self.has_written = had_written or not _is_untouched(swap)
            raise
        self.warnings += swap.warnings
        return done


def _is_untouched(swap: Swap) -> bool:
    """A swap may fail when the new disk is in its place already."""
    with contextlib.suppress(DiskError):
        return swap.is_unchanged()
    return False


@contextlib.contextmanager
def attached(scene: Scene, journal: Journal, pair: Pair) -> Iterator[BlockDevice]:
    """A disk of a machine that is off, to be written to. Raises TransportUnavailable where this
    host cannot attach it, DiskError."""
    # Imported here, as it needs what a restore over HTTPS does not.
    from ...._transport.hotadd.transport import HotAdd

    hot_add = HotAdd(scene.session, journal, proxy_vm=scene.request.proxy_vm)
    try:
        try:
            device = hot_add.open_writable(pair.path, pair.owner, pair.device.backing)
        except (DiskNotFound, NoFreeSlot) as error:
            raise TransportUnavailable(str(error), path=pair.path) from error
        with contextlib.closing(device):
            yield device
    finally:
        hot_add.close()


def verify(point: BlockDevice, device: BlockDevice, path: str) -> None:
    """Raises DigestMismatch."""
    offset = compare(point, SliceDevice(device, 0, point.size))
    if offset is not None:
        raise DigestMismatch(
            "the disk differs from the restore point after it was written",
            path=path,
            offset=offset,
            hint="Check the storage of the datastore, and the memory of this host.",
        )
