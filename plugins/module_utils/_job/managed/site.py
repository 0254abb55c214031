# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where new managed disks are built: under names of our own, until they are complete.

Whoever comes second at a disk takes what the first one makes for what a killed job has left, and
deletes it; the first one finds that out, and touches nothing of the other.
"""

from __future__ import annotations

import contextlib
import typing as t

from ..._device.errors import CorruptDisk, DiskError, DiskInUse, DiskNotFound
from ..._transport.datastore import read_descriptor
from ..._vmdk.descriptor.descriptor import Descriptor
from ..._vsphere.disks.disks import VirtualDisks
from .describe import EAGER_NOTE, JOB_NOTE, NOT_NOTED

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..._transport.datastore import DatastoreDevice
    from ..._vsphere.disks.paths import Place
    from .work import ManagedDisk


class Identity(t.NamedTuple):
    """Another disk has another uuid; a disk that a machine has written to, another content id (of
    fresh disks they are all alike); one that has grown, another size. A disk that got the uuid of
    another one is known by the job that made it."""

    uuid: str | None
    cid: int | None
    sectors: int
    job: str | None


def identity(disk: ManagedDisk, place: Place) -> Identity | None:
    """None where there is no disk, or one that is half made. Raises DiskError."""
    try:
        descriptor = read_descriptor(disk.files, place)
        job = descriptor.get(f"ddb.{JOB_NOTE}")
        return Identity(descriptor.get("ddb.uuid"), descriptor.cid, descriptor.sectors, job)
    except (CorruptDisk, DiskNotFound):
        return None


class Site:
    """Makes disks, and changes them until they are complete.

    All methods raise DiskError, and DiskInUse rather than touch a disk that this job has not made.
    `warnings` is what users should know in the end.
    """

    def __init__(self, disk: ManagedDisk) -> None:
        self.disk = disk
        self.new, self.sent = disk.new, disk.sent
        self.warnings: list[str] = []
        self._made: dict[str, Identity | None] = {}

    def create(
        self,
        place: Place,
        size: int,
        disk_type: str,
        adapter_type: str,
        hears: Callable[[int], None] | None = None,
    ) -> None:
        """An empty disk of `size` bytes."""
        VirtualDisks(self.disk.session, hears).create(place, size, disk_type, adapter_type)
        self._claim(place)

    def copy(
        self,
        source: Place,
        place: Place,
        disk_type: str | None,
        adapter_type: str,
        hears: Callable[[int], None] | None = None,
    ) -> None:
        """All of a chain into one new disk. Without disk_type it stays as the source is."""
        VirtualDisks(self.disk.session, hears).copy(source, place, disk_type, adapter_type)
        self._claim(place)

    def set_uuid(self, place: Place, uuid: str) -> None:
        """In the form that the disk data base has."""
        self.require(place)
        self._disks().set_uuid(place, uuid)
        self._claim(place)

    def delete(self, place: Place) -> None:
        """With its extents."""
        self.require(place)
        self._disks().delete(place)
        del self._made[str(place)]

    def device(self, place: Place) -> DatastoreDevice:
        """Opened for reading."""
        return self.disk.device(place)

    def note_eager(self, place: Place) -> None:
        """Remember that it is eagerly zeroed; the note counts for this very disk."""
        uuid = read_descriptor(self.disk.files, place).get("ddb.uuid")
        if uuid is not None:
            self.note(place, EAGER_NOTE, uuid, NOT_NOTED)

    def note(self, place: Place, key: str, value: str, otherwise: str) -> None:
        """Into the data base of a disk that nobody needs yet: the write may go wrong half-way.
        `otherwise` is the warning where nothing was written."""
        error = self._write(place, key, value)
        if error is not None:
            self.warnings.append(f"{otherwise} ({error})")

    def sign(self, place: Place) -> None:
        """Note which job has made it. Where that cannot be, the uuid must do."""
        self._write(place, JOB_NOTE, self.disk.job)
        self._claim(place)

    def is_ours(self, place: Place, made_at: Place | None = None) -> bool:
        """Whether what is at `place` is what this job has made there, or at the other place."""
        made = self._made.get(str(made_at or place))
        return made is not None and identity(self.disk, place) == made

    def require(self, place: Place) -> None:
        """Raises DiskInUse."""
        if not self.is_ours(place):
            raise DiskInUse(
                "another job has begun to replace the disk as well",
                path=str(self.disk.place),
                found=f"a disk of its own, or none, at {place}",
                hint="What is there was left as it is. Let only one job at a time work on a disk.",
            )

    def clear(self) -> None:
        """What could not be completed; where even that fails, the next run does it."""
        for place in (self.new, self.sent):
            if str(place) in self._made:
                with contextlib.suppress(DiskError):
                    self.delete(place)

    def _write(self, place: Place, key: str, value: str) -> DiskError | None:
        """What is wrong where nothing was written."""
        self.require(place)
        files, before = self.disk.files, self.disk.files.read_small(place)
        descriptor = Descriptor(before, str(place))
        descriptor.set(f"ddb.{key}", value)
        data = descriptor.to_bytes()

        def chunks() -> tuple[bytes]:
            self.require(place)  # also before it is sent again
            return (data,)

        try:
            files.put(place, len(data), chunks)
        except DiskError as error:
            if files.read_small(place) != before:
                raise
            return error
        return None

    def _claim(self, place: Place) -> None:
        self._made[str(place)] = identity(self.disk, place)

    def _disks(self) -> VirtualDisks:
        return VirtualDisks(self.disk.session)
