# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What every restore of a machine has at hand: what was asked for, the point, the vCenter."""

from __future__ import annotations

import atexit
import dataclasses
import functools
import typing as t

from ...._device.errors import InvalidRequest
from ...._device.progress import Silent
from ...._vsphere.connection.rest import Rest
from ...._vsphere.connection.shared import shared_session
from ...._vsphere.inventory.inventory import Selection
from ...._vsphere.inventory.policies import Policies
from ...._vsphere.inventory.tags import Tags
from ...._vsphere.vmconfig.compare import differences
from ...._vsphere.vmconfig.record import record
from ...list_vms import described
from ..document import NAME, read_document
from .placing import AUTO, Wanted

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ...._device.progress import Progress
    from ...._repository.format.manifest import PointDisk, RestorePoint
    from ...._repository.read.reader import PointDevice
    from ...._vsphere.connection.session import Session
    from ...._vsphere.vmconfig.compare import Difference
    from ...._vsphere.vmconfig.placement import Placement
    from ...access import Access, AnyDisk
    from ...plan import Result
    from ..document import VmDocument

ALL, DISKS, CONFIGURATION = "all", "disks", "configuration"
ROADS = ("hotadd", "nfc", "datastore")


@dataclasses.dataclass(frozen=True)
class RestoreVmRequest:
    """The machine `vm` as in the restore point, or a new one. `what` None: as is usual."""

    restore_point: str
    access: Access
    vm: str | None = None
    new_name: str | None = None
    what: str | None = None
    wanted: Wanted = dataclasses.field(default_factory=Wanted)
    identity: str = AUTO
    transport: tuple[str, ...] = ROADS
    proxy_vm: str | None = None
    force: bool = False
    verify: bool = False
    # {name of a disk of the point: a disk of this host, whose content is meant in its place}
    disks_from: Mapping[str, str] = dataclasses.field(default_factory=dict)
    progress: Progress = dataclasses.field(default_factory=Silent)


@dataclasses.dataclass(frozen=True)
class Scene:
    """Of one restore. `disks` are those of the point that are meant; `only`: not all."""

    request: RestoreVmRequest
    session: Session
    point: RestorePoint
    disks: list[PointDisk]
    only: bool
    document: VmDocument | None

    @property
    def configuration(self) -> dict[str, t.Any]:
        """As it was recorded. Raises RestorePointNotFound."""
        if self.document is None:  # says so
            return read_document(self.request.access.open_repository(), self.point).configuration
        return self.document.configuration

    def without_content(self) -> dict[str, int]:
        """{slot: bytes} of the recorded disks that the point does not hold."""
        document, held = self.configuration, {disk.name for disk in self.disks}
        sizes = {
            document["slots"][str(device["key"])]: device["capacityInKB"] << 10
            for device in document["devices"]
            if "capacityInKB" in device
        }
        return {slot: size for slot, size in sizes.items() if slot not in held}

    def label(self, slot: str) -> str:
        """How progress calls a disk."""
        name = self.request.new_name or self.request.vm or self.point.source_name
        return f"{name} {slot}"

    def content(self, disk: PointDisk) -> AnyDisk:
        """What a disk shall have, in place: that of the point, or of a disk of this host."""
        if disk.name in self.request.disks_from:
            return self.request.access.open(self.request.disks_from[disk.name])
        return self.open(disk)

    def open(self, disk: PointDisk) -> PointDevice:
        """The content of a disk of the point."""
        return self.request.access.open_repository().open_disk(self.point, disk.name)

    def reference(self, disk: PointDisk) -> str:
        """What will always mean this disk, as `latest` does not."""
        if disk.name in self.request.disks_from:
            return self.request.disks_from[disk.name]
        return f"{self.point.source_id}@{self.point.id}#{disk.name}"

    @functools.cached_property
    def tags(self) -> Tags | None:
        """None at a host without vCenter."""
        return self._known_tags if self._has_vcenter else None

    @functools.cached_property
    def policies(self) -> Policies | None:
        """Storage policies; None at a host without vCenter."""
        return Policies(self.session) if self._has_vcenter else None

    @functools.cached_property
    def _known_tags(self) -> Tags:
        rest = Rest(self.session.vcenter)
        atexit.register(rest.close)
        return Tags(rest)

    @property
    def _has_vcenter(self) -> bool:
        return bool(self.session.content.about.apiType == "VirtualCenter")

    def describe(self, vm: t.Any) -> Result:
        """The `vm` value of results."""
        chosen = described(self.session, Selection(names=(str(vm._moId),)), self._known_tags)
        return next(each for each in chosen if each["moref"] == vm._moId)

    def differences(self, vm: t.Any, placement: Placement | None) -> list[Difference]:
        """Between the recorded configuration and the machine's; none where none was recorded."""
        if self.document is None:
            return []
        now = record(self.session, vm, tags=self.tags, policies=self.policies)
        return differences(self.document.configuration, now, placement)


def open_scene(request: RestoreVmRequest) -> Scene:
    """Raises RestorePointNotFound, InvalidRequest for a point of a disk, DiskError."""
    repository = request.access.open_repository()
    point, name = repository.find(request.restore_point)
    if point.source_kind != "vm":
        raise InvalidRequest(
            f"restore point {point.id} is one of a disk, not of a virtual machine",
            path=point.repository,
            found=point.source_name,
            hint="Restore the disk: say in dest where to.",
        )
    if name == NAME:
        raise InvalidRequest(
            "the configuration of a machine is not restored as one of its disks",
            hint="Leave out #configuration, and say what: configuration.",
        )
    _check_disks_from(request, point, name)
    has_document = any(disk.is_configuration for disk in point.disks)
    return Scene(
        request=request,
        session=shared_session(request.access.vcenter),
        point=point,
        disks=[disk for disk in point.real_disks if name in (None, disk.name)],
        only=name is not None,
        document=read_document(repository, point) if has_document else None,
    )


def _check_disks_from(request: RestoreVmRequest, point: RestorePoint, only: str | None) -> None:
    """Raises InvalidRequest for what would not be done, or done to a disk that was not meant."""
    if request.disks_from and request.what == CONFIGURATION:
        raise InvalidRequest(
            f"disks_from says what disks shall hold, and what: {CONFIGURATION} restores none",
            hint="Leave out one of them.",
        )
    paths = list(request.disks_from.values())
    if len(set(paths)) < len(paths):
        raise InvalidRequest(
            "disks_from has the same disk for several", found=", ".join(sorted(paths))
        )
    sizes = {disk.name: disk.size for disk in point.real_disks if only in (None, disk.name)}
    for name, path in request.disks_from.items():
        if name not in sizes:
            raise InvalidRequest(
                f"disks_from names the disk {name}, and what is restored has none of that name",
                path=point.repository,
                found=", ".join(sizes),
            )
        with request.access.open(path) as disk:
            if disk.size != sizes[name]:
                raise InvalidRequest(
                    f"disks_from has a disk of another size for {name}",
                    path=path,
                    found=f"{disk.size} bytes",
                    expected=f"{sizes[name]} bytes",
                )
