# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Disks that hold still, by the files they consist of: machines that are off, templates, and what
stands below a snapshot where the hosts let it be read."""

from __future__ import annotations

import contextlib
import threading
import typing as t

from .._device.device import Device, read
from .._device.errors import CorruptDisk, DiskInUse, ObjectNotFound
from .._vsphere.connection.collect import properties
from .._vsphere.disks.folder import DatastoreFiles
from .._vsphere.disks.holders import holders
from .._vsphere.disks.paths import find_place, parse_disk
from .._vsphere.machine.frozen import chain_of
from .._vsphere.machine.machine import ManagedFile
from .datastore import TRANSPORT, read_descriptor
from .datastore_chain import Link, open_links, read_links

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .._device.device import BlockDevice
    from .._device.extent import Extent
    from .._vsphere.connection.session import Session
    from .._vsphere.disks.paths import Place
    from .frozen import FrozenDisk

SECTOR = 512
_OBJECTS = {"vsan": "vSAN keeps", "vsand": "vSAN keeps", "vvol": "vVols keep", "pmem": "PMem keeps"}
_WRITTEN = "What was read is of no use. Do it again while nobody works on the machine."


class Datastore:
    """One set of connections for all disks of a virtual machine."""

    name = TRANSPORT
    is_sequential = False

    def __init__(self, session: Session) -> None:
        self._session = session
        self._files = DatastoreFiles(session)
        self._places: dict[str, Place] = {}  # one of each datastore
        self._lock = threading.Lock()

    def refusal(self, disk: FrozenDisk) -> str | None:
        if disk.is_encrypted:
            return "what is on the datastore is encrypted"
        keeps = _OBJECTS.get(disk.storage.lower())
        if keeps is not None:
            return f"{keeps} disks as objects, not as files"
        if getattr(disk.device.backing, "compatibilityMode", None) is not None:
            return "the content of a raw device mapping is not on the datastore"
        return None

    def open(self, disk: FrozenDisk) -> BlockDevice:
        """Raises DiskInUse where a host keeps the files locked, TransportUnavailable where it sends
        no parts of files, and other DiskErrors."""
        _require_still(disk)
        with self._lock:
            places = [self._place(path) for path in _chain(disk)]
        if disk.snapshot is None:
            _refuse_writers(disk, places[0])
        links = read_links(self._files, places)
        device = FrozenDevice(disk, self._files, links)
        read(device, 0, min(SECTOR, device.size))
        return device

    def close(self) -> None:
        self._files.close()

    def _place(self, text: str) -> Place:
        path = parse_disk(text)
        if path.datastore not in self._places:
            self._places[path.datastore] = find_place(self._session, path)
        return self._places[path.datastore].at(path)


class FrozenDevice(Device):
    """Read-only. What of a base is a hole is not told."""

    is_sequential = False

    def __init__(self, disk: FrozenDisk, files: DatastoreFiles, links: list[Link]) -> None:
        self.name = disk.path
        self._disk, self._files, self._links = disk, files, links
        self._device = open_links(files, links)
        self.size = self._device.size
        if self.size != disk.size:
            raise CorruptDisk(
                "the descriptor and vSphere disagree about the size",
                path=disk.path,
                found=f"{self.size} bytes",
                expected=f"{disk.size} bytes",
            )

    def readinto(self, offset: int, buffer: memoryview) -> None:
        self.check_range(offset, buffer.nbytes)
        self._device.readinto(offset, buffer)

    def extents(self, offset: int = 0, length: int | None = None) -> Iterator[Extent]:
        return self._device.extents(offset, self.check_range(offset, length))

    def require_unchanged(self) -> None:
        """When all was read: that nobody has written to it meanwhile. Raises DiskInUse."""
        _require_still(self._disk)
        for link in self._links:
            now = read_descriptor(self._files, link.place)
            if _identity(Link(link.place, now)) != _identity(link):
                raise DiskInUse(
                    "was written to, or replaced, while it was read",
                    path=str(link.place),
                    hint=_WRITTEN,
                )


def _require_still(disk: FrozenDisk) -> None:
    """That the snapshot is there, or the machine is off. Raises DiskInUse."""
    if disk.snapshot is not None:
        with contextlib.suppress(ObjectNotFound):
            properties(disk.session, disk.snapshot, ("config.name",))
            return
        raise DiskInUse(
            f"the snapshot of {disk.vm_name} that held it is gone", path=disk.path, hint=_WRITTEN
        )
    state = properties(disk.session, disk.vm, ("runtime.powerState",)).get("runtime.powerState")
    if state != "poweredOff":
        raise DiskInUse(
            f"{disk.vm_name} was off, and is not any more",
            path=disk.path,
            found=state,
            hint=_WRITTEN,
        )


def _refuse_writers(disk: FrozenDisk, place: Place) -> None:
    """Other machines may have it attached. Raises DiskInUse."""
    file = ManagedFile(str(place), place.datastore, disk.uuid)
    for holder in holders(disk.session, file):
        if not holder.writes or holder.moref == disk.vm._moId:
            continue
        ref = type(disk.vm)(holder.moref, disk.vm._stub)
        state = properties(disk.session, ref, ("runtime.powerState",)).get("runtime.powerState")
        if state != "poweredOff":
            raise DiskInUse(
                f"the virtual machine {holder.name} is running and {holder.how}", path=disk.path
            )


def _chain(disk: FrozenDisk) -> tuple[str, ...]:
    """The files from the frozen one down."""
    chain = chain_of(disk.device.backing)
    return chain[chain.index(disk.path) :] if disk.path in chain else (disk.path,)


def _identity(link: Link) -> tuple[object, ...]:
    """Changes with the first write, and with the disk."""
    return link.descriptor.cid, link.descriptor.get("ddb.uuid"), link.descriptor.sectors
