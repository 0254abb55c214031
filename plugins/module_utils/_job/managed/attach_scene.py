# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A virtual machine and a disk, as they are before one is attached to the other."""

from __future__ import annotations

import contextlib
import dataclasses
import typing as t

from ..._device.errors import DiskError
from ..._vmdk.descriptor.support import is_encrypted as names_keys
from ..._vsphere.disks.fcd import no_such_disk, parse_first_class, place_of_first_class
from ..._vsphere.disks.folder import DatastoreFiles
from ..._vsphere.disks.paths import find_place, parse_disk
from ..._vsphere.inventory.named_vm import find_vm
from ..._vsphere.machine.machine import ManagedFile, find_attached, frozen_disks_of, look_at

if t.TYPE_CHECKING:
    from ..._vsphere.connection.session import Session
    from ..._vsphere.disks.fcd import FirstClassDisk
    from ..._vsphere.disks.paths import Place
    from ..._vsphere.machine.machine import Attached, Machine


@dataclasses.dataclass(frozen=True)
class Subject:
    """The disk that was named. `file` is None for a first-class disk that is not there."""

    text: str
    place: Place
    file: ManagedFile | None
    first_class: FirstClassDisk | None = None

    def require_file(self) -> ManagedFile:
        """Raises DiskNotFound."""
        if self.file is None:
            raise no_such_disk(self.text)
        return self.file


@dataclasses.dataclass(frozen=True)
class Scene:
    """`attached` is None where the disk is not at this machine."""

    machine: Machine
    subject: Subject
    attached: Attached | None


def look(session: Session, path: str, vm: str) -> Scene:
    """Raises ObjectNotFound, InvalidRequest, BadReference, DiskError."""
    subject = _subject(session, path)
    machine = look_at(session, find_vm(session, vm))
    return Scene(machine, subject, _attached(session, machine, subject))


def with_uuid(session: Session, subject: Subject) -> ManagedFile:
    """Raises DiskNotFound where there is no such disk, DiskError."""
    file, place = subject.require_file(), subject.place
    manager = session.content.virtualDiskManager
    uuid = session.read(
        lambda: manager.QueryVirtualDiskUuid(file.path, place.datacenter),
        "read the uuid of the disk",
        file.path,
    )
    return dataclasses.replace(file, uuid=uuid)


def is_encrypted(session: Session, subject: Subject) -> bool:
    """False also where that cannot be found out."""
    if subject.first_class is not None:
        return subject.first_class.encrypted
    with contextlib.suppress(DiskError), contextlib.closing(DatastoreFiles(session)) as files:
        return names_keys(files.read_small(subject.place))
    return False


def _subject(session: Session, path: str) -> Subject:
    name = parse_first_class(path)
    if name is None:
        place = find_place(session, parse_disk(path))
        return Subject(path, place, ManagedFile(str(place), place.datastore))
    place, found = place_of_first_class(session, name)
    if found is None:
        return Subject(path, place, None)
    file = ManagedFile(str(place), place.datastore, first_class=found.id)
    return Subject(path, place, file, found)


def _attached(session: Session, machine: Machine, subject: Subject) -> Attached | None:
    if subject.file is None:
        return None
    frozen = frozen_disks_of(session, machine)
    attached = find_attached(machine, subject.file, frozen)
    if attached is None:
        # On vSAN a folder has two names, and then only the uuid tells.
        with contextlib.suppress(DiskError):
            attached = find_attached(machine, with_uuid(session, subject), frozen)
    return attached
