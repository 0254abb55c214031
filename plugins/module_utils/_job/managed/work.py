# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A managed disk at work: what is there, what a killed job has left, and what keeps us from it."""

from __future__ import annotations

import dataclasses
import os
import typing as t

from ..._device.errors import (
    BadReference,
    ChainMismatch,
    CorruptDisk,
    DiskExists,
    DiskInUse,
    DiskNotFound,
    InvalidRequest,
    UnsupportedDisk,
)
from ..._transport.datastore import DatastoreDevice, read_descriptor
from ..._vsphere.connection.shared import shared_session
from ..._vsphere.disks.browse import find_disks
from ..._vsphere.disks.disks import VirtualDisks
from ..._vsphere.disks.fcd import are_known, is_first_class, look_up
from ..._vsphere.disks.folder import DatastoreFiles
from ..._vsphere.disks.paths import Place, find_place, parse_disk
from ..._vsphere.disks.users import refuse_users, users_of
from ..._vsphere.machine.uuids import api_uuid
from ..plan import Plan
from . import names
from .describe import describe_managed

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..._device.progress import Progress
    from ..._vmdk.descriptor.descriptor import Descriptor
    from ..._vsphere.connection.session import Session
    from ..access import Access
    from ..plan import Result


@dataclasses.dataclass(frozen=True)
class ManagedDisk:
    """A place for a disk, and what there is of it. `unfinished` is what jobs have made for it that
    were killed, or are at work this moment; `job` is the number of this one."""

    session: Session
    place: Place
    files: DatastoreFiles
    is_there: bool
    has_old: bool
    unfinished: tuple[Place, ...]
    job: str = dataclasses.field(default_factory=names.new_job)
    owner: str | None = None  # the id of the machine whose disk it is, and may be replaced under it

    @property
    def new(self) -> Place:
        """Where a disk is made."""
        return self.place.named(names.made_name(self.place.path, names.NEW, self.job))

    @property
    def sent(self) -> Place:
        """Where an upload goes that vSphere has to convert."""
        return self.place.named(names.made_name(self.place.path, names.SENT, self.job))

    @property
    def old(self) -> Place:
        """Where the one steps that is replaced."""
        return self.place.named(names.old_name(self.place.path))

    @property
    def is_interrupted(self) -> bool:
        """Whether a killed job has left this disk half replaced."""
        return self.has_old

    def leftovers(self) -> list[Place]:
        """What killed jobs have left."""
        return [*self.unfinished, *([self.old] if self.has_old else [])]

    def device(self, place: Place | None = None) -> DatastoreDevice:
        """Opened for reading. Raises DiskNotFound, UnsupportedDisk, …"""
        place = place or self.place
        descriptor = read_descriptor(self.files, place)
        return DatastoreDevice(self.session, self.files, place, descriptor)

    def describe(self, place: Place | None = None) -> Result:
        """The `disk` value of results. Raises DiskError."""
        return describe_managed(self.device(place))


def look(access: Access, text: str) -> ManagedDisk:
    """What is at that place. Raises BadReference, ObjectNotFound, AccessDenied, …"""
    if is_first_class(text):
        raise InvalidRequest(
            "this is not done with first-class disks",
            path=text,
            hint="They are created, inspected, resized, attached, and cloned from.",
        )
    path = parse_disk(text)
    names.refuse_working_name(path)
    session = shared_session(access.vcenter)
    place = find_place(session, path)
    found = find_disks(session, place, [path.name, names.pattern(path)])
    return ManagedDisk(
        session,
        place,
        DatastoreFiles(session),
        is_there=path.name in found,
        has_old=names.old_name(path) in found,
        unfinished=tuple(place.named(name) for name in names.made_by_jobs(path, found)),
    )


def _refuse_puzzle(disk: ManagedDisk) -> None:
    """The old disk steps aside and the new one takes its place. All three are there where another
    job, or somebody else, came in between: then nobody can tell which of them is whole."""
    if disk.is_there and disk.has_old and disk.unfinished:
        others = ", ".join(map(str, disk.unfinished))
        raise DiskExists(
            "a job was killed while it replaced the disk, and somebody else put one here as well",
            path=str(disk.place),
            found=f"also {disk.old} (what was here) and {others} (what was to come)",
            hint="Rename or delete those that nobody needs, and run it again. Or delete all of them"
            " with vdisk.lifecycle.vmdk_create and state: absent.",
        )


def require(disk: ManagedDisk) -> None:
    """Raises DiskNotFound."""
    if not disk.is_there:
        raise DiskNotFound("there is no such disk", path=str(disk.place))


def settled(
    access: Access, text: str, make: Callable[[ManagedDisk], Plan], after: Result | None = None
) -> Plan:
    """The plan for a disk; what a killed job has left is finished first."""
    disk = look(access, text)
    if not disk.is_interrupted:
        return make(disk)
    _refuse_puzzle(disk)

    def apply() -> Result:
        settle(disk)
        return {**make(look(access, text)).run(check_mode=False), "changed": True}

    files = [*([disk.place] if disk.is_there else []), *disk.leftovers()]
    state = {"files": [str(place) for place in files]}
    shown = after if after is not None else {"disk": _as_settled(disk)}
    return Plan(before=state, after={"files": [str(disk.place)]}, result=shown, apply=apply)


def _as_settled(disk: ManagedDisk) -> Result:
    """The disk that will be at its place once what was begun is finished."""
    return {**disk.describe(disk.place if disk.is_there else disk.old), "path": str(disk.place)}


def settle(disk: ManagedDisk) -> None:
    """Finish what was begun. Only a new disk that was complete got to the place of the old one;
    where there is none, nobody can tell of any other whether it is complete, so the old one goes
    back."""
    disks = VirtualDisks(disk.session)
    if not disk.is_there:
        disks.move(disk.old, disk.place)
        return
    refuse_users(users_of(disk.session, disk.old, None), disk.old, "delete it")
    if not find_disks(disk.session, disk.place, [disk.place.path.name]):
        raise DiskInUse(
            "another job is replacing it",
            path=str(disk.place),
            found=f"the disk that was there is {disk.old}",
            hint="It was left as it is. Run this again when that job has ended.",
        )
    disks.delete(disk.old)


def refuse_used_leftovers(disk: ManagedDisk) -> None:
    """Raises DiskInUse where somebody has attached what a killed job has left."""
    for place in disk.leftovers():
        refuse_users(users_of(disk.session, place, None), place, "delete it")


def refuse_used(disk: ManagedDisk, what: str) -> None:
    """Raises DiskInUse naming the virtual machine, ChainMismatch naming children."""
    descriptor = disk.device().descriptor
    users = users_of(disk.session, disk.place, descriptor.get("ddb.uuid"))
    others = [user for user in users if user.runs or user.moref != disk.owner]
    refuse_users(others, disk.place, what)
    _refuse_first_class(disk, descriptor, what)
    children = _children(disk)
    if children:
        raise ChainMismatch(
            f"cannot {what}: other disks stand on it",
            path=str(disk.place),
            found=", ".join(children),
            hint="Those would be lost. Delete them first if nobody needs them.",
        )


def _refuse_first_class(disk: ManagedDisk, descriptor: Descriptor, what: str) -> None:
    """vCenter would go on believing in a disk that is gone, or elsewhere. It marks their files;
    copies of those have the mark as well, but are nobody's. Raises DiskInUse."""
    mark = descriptor.get("ddb.fcd.uuid")
    if not mark or not are_known(disk.session):
        return
    known = look_up(disk.session, disk.place.datastore, api_uuid(mark))
    if known is None:
        return
    # On vSAN a folder has two names.
    if known.path == str(disk.place) or _uuid(disk, known.path) == descriptor.get("ddb.uuid"):
        name = f"[{disk.place.path.datastore}] fcd:{known.name}"
        raise DiskInUse(
            f"cannot {what}: it is the file of a first-class disk",
            path=str(disk.place),
            found=f"{name} (id {known.id})",
            hint=f'Give path: "{name}": then vCenter does it, and knows of it.',
        )


def _uuid(disk: ManagedDisk, path: str) -> str | None:
    """Of the disk at another path. None where there is none."""
    try:
        return read_descriptor(disk.files, disk.place.at(parse_disk(path))).get("ddb.uuid")
    except DiskNotFound:
        return None


def refuse_child(before: Result, what: str) -> None:
    """Raises InvalidRequest."""
    if len(before["chain"]) > 1:
        raise InvalidRequest(
            f"cannot {what}: it is the redo log of a snapshot",
            path=before["path"],
            found=f"the parent {before['chain'][1]}",
            hint="Remove the snapshot, or clone the disk to a new one.",
        )


def _children(disk: ManagedDisk) -> list[str]:
    """Disks of the folder that name it as their parent."""
    found = []
    for name in find_disks(disk.session, disk.place, ["*.vmdk"]):
        beside = disk.place.named(name)
        if beside == disk.place:
            continue
        parent = _parent(disk, beside)
        if parent == str(disk.place):
            found.append(str(beside))
    return found


def _parent(disk: ManagedDisk, place: Place) -> str | None:
    """None also where that cannot be told, or is on another datastore."""
    try:
        descriptor = read_descriptor(disk.files, place)
        hint = descriptor.parent_hint
        return None if hint is None else str(place.named(hint))
    except (BadReference, CorruptDisk, DiskNotFound, UnsupportedDisk):
        return None


def told(warnings: list[str]) -> Result:
    """For a result."""
    return {"warnings": warnings} if warnings else {}


def percentages(progress: Progress, label: str, size: int) -> Callable[[int], None]:
    """Turns what a task says into bytes of progress."""
    progress.start(label, size)
    done = 0

    def hears(percent: int) -> None:
        nonlocal done
        now = size * max(0, min(100, percent)) // 100
        if now > done:
            progress.advance(now - done)
            done = now

    return hears


def label_of(place: Place) -> str:
    """For progress."""
    return os.path.basename(place.path.file)
