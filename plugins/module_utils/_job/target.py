# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Writing the whole content of a disk to a place, so that a crash leaves the old or the new."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import typing as t

from .._device.copy import copy
from .._device.errors import DiskExists, InvalidRequest
from .._device.files import TEMPORARY_SUFFIX, remove_if_there, replace_durably
from .._device.raw import RawDevice
from .._device.units import human_size
from .._transport.reference import Road, is_block_device
from .._vmdk.create import new_disk
from .._vmdk.layout import DiskSpec

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .._device.device import BlockDevice
    from .._device.progress import Progress
    from .._device.transfer import Transfer
    from .._transport.reference import Reference


@dataclasses.dataclass(frozen=True)
class Target:
    """Where the content goes. `spec` says what kind of VMDK, if it is one."""

    reference: Reference
    spec: DiskSpec
    replace: bool = False

    @property
    def disk_type(self) -> str:
        return self.spec.disk_type if self.reference.road is Road.VMDK else "raw"

    def facts(self) -> dict[str, t.Any]:
        """What is known before it is there."""
        return {
            "path": self.reference.text,
            "disk_type": self.disk_type,
            "size": self.spec.size,
        }


def exists(reference: Reference) -> bool:
    """Whether something is there already. Raises InvalidRequest for a place nobody can write."""
    if reference.road not in (Road.VMDK, Road.RAW):
        raise InvalidRequest(f"{reference.text}: cannot write to a {reference.road.value}")
    return os.path.lexists(reference.text)


def write(source: BlockDevice, target: Target, progress: Progress, label: str) -> Transfer:
    """Make the target's content that of source. Raises DiskExists, NoSpace, …"""
    with _open(target) as (device, is_zero):
        transfer = copy(source, device, target_is_zero=is_zero, progress=progress, label=label)
        device.flush()
    return transfer


@contextlib.contextmanager
def _open(target: Target) -> Iterator[tuple[BlockDevice, bool]]:
    """(a device to write to, whether it holds zeros only)."""
    path = target.reference.text
    if target.reference.road is Road.VMDK:
        with new_disk(path, target.spec, replace=target.replace) as disk:
            yield disk, True
    elif is_block_device(path):
        with _open_block_device(path, target.spec.size) as device:
            yield device, False
    else:
        with _new_raw_file(path, target.spec.size, target.replace) as device:
            yield device, True


def _open_block_device(path: str, size: int) -> RawDevice:
    device = RawDevice.open(path, writable=True)
    if device.size < size:
        device.close()
        raise InvalidRequest(
            "the block device is too small",
            path=path,
            found=human_size(device.size),
            expected=f"at least {human_size(size)}",
        )
    return device


@contextlib.contextmanager
def _new_raw_file(path: str, size: int, replace: bool) -> Iterator[RawDevice]:
    if not replace and os.path.lexists(path):
        raise DiskExists("is already there", path=path, hint="Use force: true to replace it.")
    temporary = path + TEMPORARY_SUFFIX
    remove_if_there(temporary)  # left by a killed job
    try:
        with RawDevice.create(temporary, size) as device:
            yield device
            device.flush()
        replace_durably(temporary, path)
    finally:
        remove_if_there(temporary)
