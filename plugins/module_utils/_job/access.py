# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Opening any disk reference, restore points included."""

from __future__ import annotations

import dataclasses
import os
import re
import typing as t

from .._device.errors import InvalidRequest, TransportUnavailable
from .._transport.open import open_disk
from .._transport.reference import Reference, Road, is_on_datastore, parse
from .._vsphere.connection.target import from_options
from .key_file import secrets_of

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from .._device.raw import RawDevice
    from .._repository.format.manifest import RestorePoint
    from .._repository.read.points import PointRef
    from .._repository.read.reader import PointDevice
    from .._repository.repository import Repository
    from .._transport.datastore import DatastoreDevice
    from .._transport.nbd.client import NbdDevice
    from .._vmdk.opening.disk import Disk
    from .._vsphere.connection.target import VCenter

    AnyDisk = Disk | RawDevice | DatastoreDevice | NbdDevice | PointDevice


_PLAIN = re.compile(r"\w[\w .-]*")


@dataclasses.dataclass(frozen=True)
class Access:
    """What opening a disk needs beyond its reference."""

    repository: str | None = None
    passphrase: str | None = dataclasses.field(default=None, repr=False)
    key_file: str | None = None
    allow_outside: tuple[str, ...] = ()
    # The options that say which vCenter, as the module was given them.
    vsphere: Mapping[str, t.Any] = dataclasses.field(default_factory=dict, repr=False, hash=False)
    # By process: one that was forked, such as the one that serves a mount, must open its own.
    _opened: dict[int, Repository] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def vcenter(self) -> VCenter:
        """Where managed disks are. Raises InvalidRequest where the options do not say,
        TransportUnavailable for a module that has no such options."""
        if not self.vsphere:
            raise TransportUnavailable(
                "no managed disk is opened here",
                hint="Clone it to a file on this host first (vdisk.lifecycle.vmdk_clone).",
            )
        return from_options(self.vsphere)

    def parse(self, text: str) -> Reference:
        """Raises BadReference."""
        return parse(text, has_repository=self.repository is not None)

    def open(self, text: str, *, writable: bool = False) -> AnyDisk:
        """The device that a reference names. Raises DiskError."""
        reference = self.parse(text)
        if reference.road is Road.RESTORE_POINT:
            return self._open_point(reference.text)
        vcenter = self.vcenter if reference.road is Road.DATASTORE else None
        return open_disk(
            reference, writable=writable, allow_outside=self.allow_outside, vcenter=vcenter
        )

    def is_managed(self, text: str) -> bool:
        """Whether the disk is on a datastore of vSphere."""
        return is_on_datastore(text)

    def open_repository(self, otherwise: tuple[str | bytes, ...] = ()) -> Repository:
        """Opened once, since that costs a key derivation. `otherwise` is tried where nothing was
        given to open it with.

        Raises RepositoryNotFound, WrongKey, MissingLibrary.
        """
        if self.repository is None:
            raise InvalidRequest("the option repository is missing")
        # Imported here: plain disks need the standard library only.
        from .._repository.repository import Repository

        process = os.getpid()
        if process not in self._opened:
            self._opened[process] = Repository.open(self.repository, self.secrets, otherwise)
        return self._opened[process]

    @property
    def secrets(self) -> tuple[str | bytes, ...]:
        """What was given to open the repository with. Raises InvalidRequest for a bad key file."""
        return secrets_of(self.passphrase, self.key_file)

    def find(self, text: str) -> PointRef:
        """The restore point that a reference names. Raises RestorePointNotFound, …"""
        return self.open_repository().find(text)

    def pin(self, text: str) -> str:
        """The same restore point by a reference that will always mean it, as `latest` does not."""
        point, disk = self.find(text)
        return f"{lasting_name(point)}#{disk or only_disk(point)}"

    def lasting(self, text: str) -> str:
        """A reference that means the same disk tomorrow, from whatever folder."""
        reference = self.parse(text)
        if reference.road is Road.RESTORE_POINT:
            return self.pin(text)
        is_file = reference.road in (Road.VMDK, Road.RAW)
        return os.path.realpath(reference.text) if is_file else reference.text

    def _open_point(self, text: str) -> PointDevice:
        repository = self.open_repository()
        point, disk = repository.find(text)
        return repository.open_disk(point, disk or only_disk(point))


def lasting_name(point: RestorePoint) -> str:
    """`web01@20261122T020000Z-3f9a2c1b`: the reference that always means this restore point."""
    # A name such as "[prod] web" or "a/b" would be read as something else than a point.
    plain = _PLAIN.fullmatch(point.source_name)
    return f"{point.source_name if plain else point.source_id}@{point.id}"


def only_disk(point: RestorePoint) -> str:
    """Raises InvalidRequest where a reference must say which disk it means."""
    names = [disk.name for disk in point.real_disks]
    if len(names) == 1:
        return names[0]
    raise InvalidRequest(
        f"restore point {point.id} has {len(names)} disks",
        path=point.repository,
        found=", ".join(names),
        hint=f"Say which, as in {point.source_name}@{point.name}#{names[0]}.",
    )
