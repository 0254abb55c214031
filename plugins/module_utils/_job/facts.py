# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What is known of a disk without asking vSphere."""

from __future__ import annotations

import typing as t

from .._device.raw import RawDevice
from .._transport.datastore import DatastoreDevice
from .._transport.nbd.client import NbdDevice
from .._vmdk.opening.disk import Disk
from .._vmdk.opening.info import describe

if t.TYPE_CHECKING:
    from .._repository.read.reader import PointDevice
    from .access import AnyDisk
    from .plan import Result


def plain_facts(disk: AnyDisk) -> Result:
    """Of a disk in files, or in a restore point, as it is now."""
    if isinstance(disk, Disk):
        return describe(disk)
    facts: Result = {"path": disk.name, "disk_type": disk_type_of(disk), "size": disk.size}
    if isinstance(disk, RawDevice):
        facts["allocated"] = disk.size if disk.file.is_block_device else disk.file.allocated()
    return {**facts, "extents": [], "chain": [disk.name], "flags": []}


def recorded_facts(source: AnyDisk) -> Result:
    """The same; of a restore point, what is known of the disk that it was made from."""
    return dict(source.facts) if is_point(source) else plain_facts(source)


def disk_type_of(disk: AnyDisk) -> str:
    """VMware's createType, `raw`, or `restore point`."""
    if isinstance(disk, Disk):
        return disk.disk_type
    return "restore point" if is_point(disk) else "raw"


def is_point(disk: AnyDisk) -> t.TypeGuard[PointDevice]:
    """Whether it is a disk in a restore point."""
    return not isinstance(disk, (Disk, RawDevice, DatastoreDevice, NbdDevice))
