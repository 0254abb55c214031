# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A disk of a restore point as ESXi knows disks: a descriptor, and one flat file."""

from __future__ import annotations

import re
import typing as t

from .._device.errors import InvalidRequest
from .._vmdk.descriptor.extent_line import ExtentLine
from .._vmdk.descriptor.new import new_descriptor
from .._vmdk.descriptor.types import VMFS
from .._vmdk.extents.header import SECTOR
from .._vmdk.life.metadata import canonical_uuid

if t.TYPE_CHECKING:
    from .._repository.format.manifest import PointDisk, RestorePoint

_UNSAFE = re.compile(r"[^\w.-]+")
_ADAPTERS = ("lsilogic", "buslogic", "ide")  # what a data base can say; pvscsi counts as lsilogic
_HW_VERSION = 14  # where the point does not say


class SharedDisk(t.NamedTuple):
    """One file name for each disk, the same in every run."""

    point: RestorePoint
    disk: PointDisk
    stem: str

    @classmethod
    def of(cls, point: RestorePoint, name: str, *, alone: bool) -> SharedDisk:
        """alone: it is the only one, so it is called like its source. Raises InvalidRequest."""
        disk = next(each for each in point.real_disks if each.name == name)
        if disk.size % SECTOR:
            raise InvalidRequest(
                "hypervisors need disks of whole sectors", path=name, found=f"{disk.size} bytes"
            )
        words = [point.source_name] if alone else [point.source_name, name]
        return cls(point, disk, _UNSAFE.sub("_", "-".join(words)))

    @property
    def name(self) -> str:
        return self.disk.name

    @property
    def descriptor(self) -> str:
        return f"{self.stem}.vmdk"

    @property
    def flat(self) -> str:
        return f"{self.stem}-flat.vmdk"

    @property
    def identity(self) -> str:
        """Of the content."""
        return self.point.digest_id(self.disk)


def describe(disk: SharedDisk) -> bytes:
    """The descriptor: a thin disk of a datastore, with the uuid of the one that was backed up."""
    facts, metadata = disk.disk.facts, {"thinProvisioned": "1"}
    if disk.disk.uuid:
        metadata["uuid"] = canonical_uuid(disk.disk.uuid)
    adapter = facts.get("adapter_type")
    descriptor = new_descriptor(
        VMFS,
        [ExtentLine("RW", disk.disk.size // SECTOR, "VMFS", disk.flat)],
        adapter_type=adapter if adapter in _ADAPTERS else _ADAPTERS[0],
        hw_version=int(facts.get("hw_version") or _HW_VERSION),
        metadata=metadata,
    )
    return descriptor.to_bytes()
