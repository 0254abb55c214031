# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What vSphere does with disks on datastores by itself (its VirtualDiskManager)."""

from __future__ import annotations

import contextlib
import typing as t

from ..._device.errors import DiskExists, DiskNotFound, InvalidRequest, UnsupportedDisk
from ..connection import libraries
from ..connection.collect import properties
from ..connection.errors import fault_name
from ..connection.tasks import wait
from .browse import has_folder

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..connection.session import Session
    from .paths import Place

    Hears = Callable[[int], None]  # percentages

KIB = 1 << 10  # vSphere counts the capacity of disks in these
# As our options name them, and as the API does.
PROVISIONING = {
    "thin": "thin",
    "thick": "preallocated",
    "eagerZeroedThick": "eagerZeroedThick",
}
_ADAPTERS = {"ide": "ide", "buslogic": "busLogic", "lsilogic": "lsiLogic"}
_CANNOT = ("NotSupported", "NotImplemented", "MethodNotFound")


class VirtualDisks:
    """All methods wait until vSphere is done, and raise DiskError."""

    def __init__(self, session: Session, hears: Hears | None = None) -> None:
        self._session = session
        self._hears = hears

    def create(self, place: Place, size: int, disk_type: str, adapter_type: str) -> None:
        """An empty disk of `size` bytes."""
        spec = libraries.vim().VirtualDiskManager.FileBackedVirtualDiskSpec(
            capacityKb=in_kib(size),
            diskType=PROVISIONING[disk_type],
            adapterType=_ADAPTERS[adapter_type],
        )
        self._run(
            lambda m: m.CreateVirtualDisk_Task(str(place), place.datacenter, spec),
            "create a disk",
            place,
        )

    def copy(self, source: Place, dest: Place, disk_type: str | None, adapter_type: str) -> None:
        """All of a chain into one new disk. Without disk_type it stays as the source is."""
        spec = None
        if disk_type is not None:
            spec = libraries.vim().VirtualDiskManager.VirtualDiskSpec(
                diskType=PROVISIONING[disk_type], adapterType=_ADAPTERS[adapter_type]
            )
        what = f"copy it to {dest}"
        try:
            self._run(
                lambda m: m.CopyVirtualDisk_Task(
                    str(source), source.datacenter, str(dest), dest.datacenter, spec, False
                ),
                what,
                source,
            )
        except UnsupportedDisk as error:
            if spec is not None:
                error.hint = (
                    "Some versions of vCenter do not change the type of a disk while they copy it."
                    " Name the ESXi host itself as hostname, or attach the disk to a virtual"
                    " machine and migrate that with another disk format."
                )
            raise

    def extend(self, place: Place, size: int, *, eager_zero: bool) -> None:
        """To `size` bytes; what is new reads as zeros."""
        self._run(
            lambda m: m.ExtendVirtualDisk_Task(
                str(place), place.datacenter, in_kib(size), eager_zero
            ),
            "grow it",
            place,
        )

    def delete(self, place: Place) -> None:
        """With its extents."""
        self._run(
            lambda m: m.DeleteVirtualDisk_Task(str(place), place.datacenter), "delete it", place
        )

    def move(self, source: Place, dest: Place) -> None:
        """With its extents, also to another datastore. Nothing is overwritten."""
        self._run(
            lambda m: m.MoveVirtualDisk_Task(
                str(source), source.datacenter, str(dest), dest.datacenter, False, None
            ),
            f"move it to {dest}",
            source,
        )

    def inflate(self, place: Place) -> None:
        """A thin disk becomes eagerly zeroed, where it is."""
        self._run(
            lambda m: m.InflateVirtualDisk_Task(str(place), place.datacenter), "inflate it", place
        )

    def eager_zero(self, place: Place) -> None:
        """A thick disk becomes eagerly zeroed, where it is."""
        self._run(
            lambda m: m.EagerZeroVirtualDisk_Task(str(place), place.datacenter), "zero it", place
        )

    def shrink(self, place: Place) -> None:
        """Gives back what holds zeros only, by copying within the disk."""
        self._run(
            lambda m: m.ShrinkVirtualDisk_Task(str(place), place.datacenter, True),
            "shrink it",
            place,
        )

    def defragment(self, place: Place) -> None:
        """Puts a sparse disk in order."""
        self._run(
            lambda m: m.DefragmentVirtualDisk_Task(str(place), place.datacenter),
            "defragment it",
            place,
        )

    def fragmentation(self, place: Place) -> int:
        """Percent of the disk that is out of place."""
        manager = self._session.content.virtualDiskManager
        return int(
            self._session.read(
                lambda: manager.QueryVirtualDiskFragmentation(str(place), place.datacenter),
                "defragment it",
                str(place),
            )
        )

    def set_uuid(self, place: Place, uuid: str) -> None:
        """In the form that the disk data base has."""
        manager = self._session.content.virtualDiskManager
        self._session.call(
            lambda: manager.SetVirtualDiskUuid(str(place), place.datacenter, uuid),
            "set its uuid",
            str(place),
        )

    def make_folder(self, place: Place) -> None:
        """The folder of a disk with all above it, where it is missing. Those at the top of vSAN
        and vVols need the privilege Datastore.Config, so they are asked for only where they are
        missing."""
        top, *below = place.path.file.split("/")[:-1] or [""]
        if not top or has_folder(self._session, place):
            return
        makes_top = keeps_objects(self._session, place)
        in_top = place.path._replace(file=f"{top}/{place.path.name}")
        if makes_top and not (below and has_folder(self._session, place.at(in_top))):
            manager = self._session.content.datastoreNamespaceManager
            self._make(lambda: manager.CreateDirectory(place.datastore, top), place)
        if below or not makes_top:
            folder, files = place.path.folder, self._session.content.fileManager
            self._make(lambda: files.MakeDirectory(folder, place.datacenter, True), place)

    def _make(self, call: Callable[[], t.Any], place: Place) -> None:
        with contextlib.suppress(DiskExists):
            self._session.call(call, "make the folder", place.path.folder)

    def _run(self, start: Callable[[t.Any], t.Any], what: str, place: Place) -> None:
        manager = self._session.content.virtualDiskManager
        try:
            task = self._session.call(lambda: start(manager), what, str(place))
            wait(self._session, task, what, str(place), progress=self._hears)
        except DiskNotFound as error:
            error.hint = error.hint or "Check datastore and folder."
            raise


def keeps_objects(session: Session, place: Place) -> bool:
    """Whether the datastore has no files of its own, but an object for each folder and each disk,
    as vSAN and vVols have: their folders at the top are made in another way."""
    path = "capability.topLevelDirectoryCreateSupported"
    return properties(session, place.datastore, (path,)).get(path) is False


def cannot(error: BaseException) -> bool:
    """Whether the server said that it does not do such a thing at all."""
    return isinstance(error, UnsupportedDisk) and fault_name(error) in _CANNOT


def in_kib(size: int) -> int:
    """Raises InvalidRequest."""
    if size % KIB:
        raise InvalidRequest(
            "the size of a managed disk is a multiple of 1 KiB", found=f"{size} bytes"
        )
    return size // KIB
