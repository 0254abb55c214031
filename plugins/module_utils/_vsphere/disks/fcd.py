# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""First-class disks: managed disks that have a name and an id of their own, and need no VM."""

from __future__ import annotations

import concurrent.futures
import dataclasses
import re
import typing as t

from ..._device.errors import DiskError, DiskNotFound, InvalidRequest, UnsupportedDisk
from ..connection import libraries
from ..connection.errors import fault_name
from ..connection.tasks import wait
from .paths import ManagedPath, find_place, parse_disk

if t.TYPE_CHECKING:
    from ..connection.session import Session
    from .paths import Place

MIB = 1 << 20  # vSphere counts the capacity of first-class disks in these
_REFERENCE = re.compile(r"\[([^\]]+)\]\s*fcd:\s*(.*\S)\s*", re.DOTALL)
_PROVISIONING = {
    "thin": "thin",
    "thick": "lazyZeroedThick",
    "eagerZeroedThick": "eagerZeroedThick",
}
_GONE = ("NotFound", "InvalidArgument")  # what is said of an id that there is not
_AT_ONCE = 8  # questions under way while a name is looked for


class FirstClassName(t.NamedTuple):
    """What `[datastore] fcd:NAME` says; NAME may be the id as well."""

    datastore: str
    name: str


def parse_first_class(text: str) -> FirstClassName | None:
    """None for everything that is not written as a first-class disk. Raises InvalidRequest."""
    found = _REFERENCE.fullmatch(text.strip())
    if found is not None:
        return FirstClassName(found[1].strip(), found[2])
    if re.match(r"\[[^\]]+\]\s*fcd:", text):
        raise InvalidRequest(
            "the first-class disk has no name", path=text, expected="[datastore] fcd:NAME"
        )
    return None


def is_first_class(text: str) -> bool:
    """Whether a reference names one. Raises InvalidRequest."""
    return parse_first_class(text) is not None


@dataclasses.dataclass(frozen=True)
class FirstClassDisk:
    """As vCenter knows it. `consumers` are the ids of those that have it attached."""

    id: str
    name: str
    datastore: t.Any
    path: str
    size: int
    disk_type: str | None
    created: str
    consumers: tuple[str, ...]
    encrypted: bool

    def facts(self) -> dict[str, t.Any]:
        """For results."""
        names = ("id", "name", "created", "encrypted")
        return {**{name: getattr(self, name) for name in names}, "consumers": list(self.consumers)}


@dataclasses.dataclass(frozen=True)
class DiskSnapshot:
    """A snapshot of a first-class disk; its description is all the name it has."""

    id: str
    description: str
    created: str

    def answers_to(self, name: str) -> bool:
        """Whether that is its id or its description."""
        return name in (self.id, self.description)


def find_first_class(session: Session, datastore: t.Any, name: str) -> FirstClassDisk | None:
    """By id or by name. Raises InvalidRequest where several have that name, DiskError."""
    manager = _manager(session)
    ids = [each.id for each in session.read(lambda: manager.ListVStorageObject(datastore), _LIST)]
    for known in ids:
        if known.lower() == name.lower():
            return look_up(session, datastore, known)
    sick: list[DiskError] = []

    def ask(known: str) -> FirstClassDisk | None:
        try:
            return look_up(session, datastore, known)
        except DiskError as error:
            sick.append(error)
            return None

    with concurrent.futures.ThreadPoolExecutor(_AT_ONCE) as pool:
        disks = list(pool.map(ask, ids))
    found = [disk for disk in disks if disk is not None and disk.name == name]
    if sick and not found:  # it may be the one that is meant
        raise sick[0]
    if len(found) > 1:
        raise InvalidRequest(
            f"several first-class disks have the name {name}",
            found="; ".join(f"fcd:{disk.id} ({disk.path})" for disk in found),
            hint="Say which one by its id, as in [datastore] fcd:ID.",
        )
    return found[0] if found else None


_LIST = "list the first-class disks"


def place_of_first_class(
    session: Session, name: FirstClassName
) -> tuple[Place, FirstClassDisk | None]:
    """Its file, or its datastore only where there is no such disk. Raises ObjectNotFound, …"""
    place = find_place(session, ManagedPath(name.datastore, ""))
    disk = find_first_class(session, place.datastore, name.name)
    return (place if disk is None else place.at(parse_disk(disk.path))), disk


def place_of_disk(session: Session, text: str) -> Place:
    """Of a path on a datastore, or of a first-class disk. Raises BadReference, DiskNotFound, …"""
    name = parse_first_class(text)
    if name is None:
        return find_place(session, parse_disk(text))
    place, disk = place_of_first_class(session, name)
    if disk is None:
        raise no_such_disk(text)
    return place


def require_first_class(session: Session, datastore: t.Any, name: str) -> FirstClassDisk:
    """Raises DiskNotFound, InvalidRequest, DiskError."""
    disk = find_first_class(session, datastore, name)
    if disk is None:
        raise no_such_disk(f"fcd:{name}")
    return disk


def no_such_disk(text: str) -> DiskNotFound:
    """For a reference to a first-class disk."""
    return DiskNotFound("the datastore has no first-class disk of that name or id", path=text)


def create_first_class(
    session: Session, datastore: t.Any, name: str, size: int, disk_type: str
) -> FirstClassDisk:
    """It is kept when a virtual machine that has it attached is deleted. Raises DiskError."""
    vslm = libraries.vim().vslm
    backing = vslm.CreateSpec.DiskFileBackingSpec(
        datastore=datastore, provisioningType=_PROVISIONING[disk_type]
    )
    spec = vslm.CreateSpec(
        name=name, keepAfterDeleteVm=True, backingSpec=backing, capacityInMB=in_mib(size)
    )
    manager = _manager(session)
    what = f"create the first-class disk {name}"
    task = session.call(lambda: manager.CreateDisk_Task(spec), what)
    return _from_vslm(wait(session, task, what), datastore)


def extend_first_class(session: Session, disk: FirstClassDisk, size: int) -> None:
    """Raises DiskError."""
    manager, megabytes = _manager(session), in_mib(size)
    _run(
        session,
        lambda: manager.ExtendDisk_Task(_id(disk.id), disk.datastore, megabytes),
        "extend it",
        disk,
    )


def delete_first_class(session: Session, disk: FirstClassDisk) -> None:
    """With its files. Raises DiskError; vCenter refuses it while the disk is attached."""
    manager = _manager(session)
    _run(
        session,
        lambda: manager.DeleteVStorageObject_Task(_id(disk.id), disk.datastore),
        "delete it",
        disk,
    )


def attach_first_class(
    session: Session, vm: t.Any, disk: FirstClassDisk, controller: int, unit: int
) -> None:
    """`controller` is the key of one that is there. Raises DiskError."""
    _run(
        session,
        lambda: vm.AttachDisk_Task(_id(disk.id), disk.datastore, controller, unit),
        "attach it",
        disk,
    )


def detach_first_class(session: Session, vm: t.Any, known: str, target: str) -> None:
    """`known` is its id, `target` its name for a message. Raises DiskError."""
    task = session.call(lambda: vm.DetachDisk_Task(_id(known)), "detach it", target)
    wait(session, task, "detach it", target)


def snapshots_of(session: Session, disk: FirstClassDisk) -> list[DiskSnapshot]:
    """The oldest first. Raises DiskError."""
    manager = _manager(session)
    info = session.read(
        lambda: manager.RetrieveSnapshotInfo(_id(disk.id), disk.datastore),
        "list its snapshots",
        _label(disk),
    )
    return [
        DiskSnapshot(each.id.id, str(each.description), each.createTime.isoformat())
        for each in sorted(info.snapshots or (), key=lambda each: each.createTime)
    ]


def create_snapshot(session: Session, disk: FirstClassDisk, description: str) -> None:
    """Raises DiskError."""
    manager = _manager(session)
    _run(
        session,
        lambda: manager.VStorageObjectCreateSnapshot_Task(
            _id(disk.id), disk.datastore, description
        ),
        "make a snapshot of it",
        disk,
    )


def delete_snapshot(session: Session, disk: FirstClassDisk, snapshot: DiskSnapshot) -> None:
    """The disk keeps the content it has. Raises DiskError."""
    _with_snapshot(session, disk, snapshot, _manager(session).DeleteSnapshot_Task, "delete")


def revert_to_snapshot(session: Session, disk: FirstClassDisk, snapshot: DiskSnapshot) -> None:
    """The disk gets the content of the snapshot. Raises DiskError."""
    method = _manager(session).RevertVStorageObject_Task
    _with_snapshot(session, disk, snapshot, method, "revert it to")


def _with_snapshot(
    session: Session, disk: FirstClassDisk, snapshot: DiskSnapshot, method: t.Any, verb: str
) -> None:
    _run(
        session,
        lambda: method(_id(disk.id), disk.datastore, _id(snapshot.id)),
        f"{verb} its snapshot {snapshot.description}",
        disk,
    )


def _run(session: Session, start: t.Callable[[], t.Any], what: str, disk: FirstClassDisk) -> None:
    task = session.call(start, what, _label(disk))
    wait(session, task, what, _label(disk))


def _label(disk: FirstClassDisk) -> str:
    return f"fcd:{disk.name} ({disk.path})"


def are_known(session: Session) -> bool:
    """Whether the server manages first-class disks: a vCenter does, a single host does not."""
    kind = libraries.vim().vslm.vcenter.VStorageObjectManager
    return isinstance(session.content.vStorageObjectManager, kind)


def _manager(session: Session) -> t.Any:
    manager = session.content.vStorageObjectManager
    if not are_known(session):
        raise UnsupportedDisk(
            "this server manages no first-class disks",
            path=session.vcenter.hostname,
            hint="They need a vCenter (6.5 or later), not a single ESXi host.",
        )
    return manager


def look_up(session: Session, datastore: t.Any, known: str) -> FirstClassDisk | None:
    """By its id. None where there is none, or not any more. Raises DiskError."""
    manager = _manager(session)
    try:
        found = session.read(
            lambda: manager.RetrieveVStorageObject(_id(known), datastore),
            "look at a first-class disk",
            f"fcd:{known}",
        )
    except DiskError as error:
        if fault_name(error) in _GONE:
            return None
        raise
    return _from_vslm(found, datastore)


def _from_vslm(found: t.Any, datastore: t.Any) -> FirstClassDisk:
    config = found.config
    backing = config.backing
    types = {theirs: ours for ours, theirs in _PROVISIONING.items()}
    return FirstClassDisk(
        id=config.id.id,
        name=config.name,
        datastore=datastore,
        path=str(getattr(backing, "filePath", "")),
        size=config.capacityInMB * MIB,
        disk_type=types.get(getattr(backing, "provisioningType", None) or ""),
        created=config.createTime.isoformat(),
        consumers=tuple(each.id for each in config.consumerId or ()),
        encrypted=getattr(backing, "keyId", None) is not None,
    )


def _id(text: str) -> t.Any:
    return libraries.vim().vslm.ID(id=text)


def in_mib(size: int) -> int:
    """Raises InvalidRequest."""
    if size % MIB:
        raise InvalidRequest(
            "the size of a first-class disk is a multiple of 1 MiB", found=f"{size} bytes"
        )
    return size // MIB
