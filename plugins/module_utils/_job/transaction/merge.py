# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The writes of a transaction go into its disk."""

from __future__ import annotations

import typing as t

from ..._device.copy import GRAIN
from ..._device.device import read
from ..._device.extent import Kind
from ..._device.pipeline import ordered_map
from ..._device.raw import RawDevice
from ..._device.zeros import data_runs
from ..._vmdk.life.building import require_space
from ..._vmdk.opening.disk import Disk
from .before import parts_of

if t.TYPE_CHECKING:
    from ..._device.device import BlockDevice, Device
    from ..._device.kept_overlay import KeptOverlay
    from ..._device.progress import Progress
    from ..._device.transfer import Transfer
    from .before import Part


def merge(overlay: KeptOverlay, disk: BlockDevice, transfer: Transfer, progress: Progress) -> None:
    """All of it, in order, durable in the end. Doing it again does no harm."""

    def load(part: Part) -> tuple[Part, bytearray]:
        return part, read(overlay, part.extent.offset, part.extent.length)

    for part, data in ordered_map(load, parts_of(overlay)):
        _store(disk, part.extent.offset, data, transfer)
        transfer.bytes_read += len(data)
        progress.advance(len(data))
    disk.flush()


def _store(disk: BlockDevice, offset: int, data: bytearray, transfer: Transfer) -> None:
    """Runs of zeros, as trimming leaves them, take no room where the disk can do without."""
    view, done = memoryview(data), 0
    for start, end in data_runs(data, len(data), GRAIN):
        _zero(disk, offset + done, start - done, transfer)
        disk.write(offset + start, view[start:end])
        transfer.bytes_written += end - start
        done = end
    _zero(disk, offset + done, len(data) - done, transfer)


def _zero(disk: BlockDevice, offset: int, length: int, transfer: Transfer) -> None:
    if length:
        disk.zero(offset, length)
        transfer.bytes_zero += length


def require_room(overlay: KeptOverlay, disk: BlockDevice, folder: str) -> None:
    """Raises NoSpace while the disk is still as it was. Devices and servers have room."""
    if isinstance(disk, Disk):
        device: Device = disk.links[0].device
    elif isinstance(disk, RawDevice) and not disk.file.is_block_device:
        device = disk
    else:
        return
    missing = 0
    for run in overlay.written_runs():
        for part in overlay.stored(run):
            held = device.extents(part.offset, part.length)
            there = sum(extent.length for extent in held if extent.kind is Kind.DATA)
            missing += part.length - there
    require_space(folder, missing)
