# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A first-class disk that was named, and what is known of it."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ..._device.errors import InvalidRequest
from ..._transport.datastore import DatastoreDevice, read_descriptor
from ..._vsphere.disks import fcd
from ..._vsphere.disks.folder import DatastoreFiles
from ..._vsphere.disks.paths import parse_disk
from .describe import describe_managed

if t.TYPE_CHECKING:
    from ..._vsphere.connection.session import Session
    from ..._vsphere.disks.paths import Place
    from ..plan import Result


@dataclasses.dataclass(frozen=True)
class FirstClass:
    """A reference to one, and what there is of it. `place` is its file, or its datastore only."""

    session: Session
    text: str
    name: str
    place: Place
    disk: fcd.FirstClassDisk | None

    def require(self) -> fcd.FirstClassDisk:
        """Raises DiskNotFound."""
        if self.disk is None:
            raise fcd.no_such_disk(self.text)
        return self.disk

    def again(self) -> FirstClass:
        """As it is now. Raises DiskNotFound."""
        known = self.disk.id if self.disk is not None else self.name
        disk = fcd.require_first_class(self.session, self.place.datastore, known)
        return dataclasses.replace(self, disk=disk, place=self.place.at(parse_disk(disk.path)))


def find(session: Session, text: str) -> FirstClass:
    """Raises ObjectNotFound, InvalidRequest where several have that name, DiskError."""
    name = fcd.parse_first_class(text)
    if name is None:
        raise InvalidRequest(
            "only first-class disks have snapshots of their own, on a datastore",
            path=text,
            expected="[datastore] fcd:NAME",
            hint="The snapshots of a virtual machine are made with that machine.",
        )
    place, disk = fcd.place_of_first_class(session, name)
    return FirstClass(session, f"[{name.datastore}] fcd:{name.name}", name.name, place, disk)


def describe_first_class(found: FirstClass) -> Result:
    """The `disk` value of results. Raises DiskError."""
    files = DatastoreFiles(found.session)
    with contextlib.closing(files):
        descriptor = read_descriptor(files, found.place)
        facts = describe_managed(DatastoreDevice(found.session, files, found.place, descriptor))
    return {**facts, **own_facts(found)}


def own_facts(found: FirstClass) -> Result:
    """What vCenter keeps of such a disk besides its file. Raises DiskError."""
    disk = found.require()
    snapshots = [dataclasses.asdict(each) for each in fcd.snapshots_of(found.session, disk)]
    known: Result = {"disk_type": disk.disk_type} if disk.disk_type is not None else {}
    return {
        **known,
        "path": f"[{found.place.path.datastore}] fcd:{disk.name}",
        "size": disk.size,
        "first_class": {**disk.facts(), "snapshots": snapshots},
    }
