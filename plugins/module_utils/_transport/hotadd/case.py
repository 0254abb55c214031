# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""All that decides whether the proxy may have a disk attached, read afresh."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import DiskError
from ..._vsphere.connection.collect import properties
from ..._vsphere.disks.reach import VSAN, host_without, lives_on
from ..._vsphere.machine.machine import ManagedFile

if t.TYPE_CHECKING:
    from ..._vsphere.connection.session import Session
    from ..._vsphere.machine.machine import Machine
    from ..frozen import FrozenDisk

PRIVILEGES = ("VirtualMachine.Config.AddExistingDisk", "VirtualMachine.Config.RemoveDisk")
ENCRYPTED = ("Cryptographer.AddDisk", "Cryptographer.Access")  # for disks that are


@dataclasses.dataclass(frozen=True)
class Host:
    """Of a virtual machine. `version` is like 8.0.2; both are empty where they may not be read."""

    moref: str
    version: str
    build: str


@dataclasses.dataclass(frozen=True)
class Target:
    """The disk. `vm` is the machine that a snapshot of it holds still, if one does."""

    file: ManagedFile
    storage: str  # kind of the datastore
    backing: t.Any = None
    vm: t.Any = None
    vm_name: str = ""
    is_encrypted: bool = False

    @classmethod
    def of(cls, disk: FrozenDisk) -> Target:
        backing = disk.device.backing
        file = ManagedFile(disk.path, getattr(backing, "datastore", None), disk.uuid)
        return cls(file, disk.storage, backing, disk.vm, disk.vm_name, disk.is_encrypted)


@dataclasses.dataclass(frozen=True)
class Case:
    """One disk and the proxy. `unreached` names the proxy's host if that lacks the
    datastore; `lacking` are privileges that the user has not."""

    disk: Target
    proxy: Machine
    proxy_tracks_changes: bool
    proxy_on_vsan: bool
    proxy_host: Host
    vm_host: Host
    unreached: str | None
    lacking: tuple[str, ...]


def case_of(session: Session, disk: Target, proxy: Machine) -> Case:
    """`proxy` as it is now. Raises DiskError."""
    tracking = "config.changeTrackingEnabled"
    proxy_host = _host(session, proxy.facts.get("runtime.host"))
    datastore = disk.file.datastore
    return Case(
        disk=disk,
        proxy=proxy,
        proxy_tracks_changes=bool(properties(session, proxy.ref, (tracking,)).get(tracking)),
        proxy_on_vsan=lives_on(session, proxy, VSAN),
        proxy_host=proxy_host,
        vm_host=proxy_host if disk.vm is None else _host_of(session, disk.vm),
        unreached=None if datastore is None else host_without(session, proxy, datastore),
        lacking=_lacking(session, proxy, (*PRIVILEGES, *(ENCRYPTED if disk.is_encrypted else ()))),
    )


def _host_of(session: Session, vm: t.Any) -> Host:
    path = "runtime.host"
    return _host(session, properties(session, vm, (path,)).get(path))


def _host(session: Session, ref: t.Any) -> Host:
    if ref is None:
        return Host("", "", "")
    version, build = "config.product.version", "config.product.build"
    facts = properties(session, ref, (version, build))
    return Host(str(ref._moId), str(facts.get(version, "")), str(facts.get(build, "")))


def _lacking(session: Session, proxy: Machine, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """None where vCenter does not tell: then trying will."""
    manager, sessions = session.content.authorizationManager, session.content.sessionManager
    try:
        answers = session.read(
            lambda: manager.HasPrivilegeOnEntities(
                [proxy.ref], sessions.currentSession.key, list(wanted)
            ),
            "read the user's privileges",
        )
    except DiskError:
        return ()
    told = (each for answer in answers for each in answer.privAvailability)
    return tuple(each.privId for each in told if not each.isGranted)
