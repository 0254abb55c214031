# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A managed disk at work: what is there, what keeps us from it, and how a new one takes its place.

vSphere replaces nothing: it moves disks to names that are free. So a new disk is made under a name
of ours, the old one steps aside under another, and who finds such names knows what was going on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import typing as t

from ..._device.errors import (
    BadReference,
    ChainMismatch,
    CorruptDisk,
    DiskError,
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
from ..._vsphere.disks.fcd import is_first_class
from ..._vsphere.disks.folder import DatastoreFiles
from ..._vsphere.disks.paths import Place, find_place, parse_disk
from ..._vsphere.disks.users import refuse_users, users_of
from ..plan import Plan
from .describe import EAGER_NOTE, describe_managed

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..._device.progress import Progress
    from ..._vsphere.connection.session import Session
    from ..access import Access
    from ..plan import Result

# Between name and .vmdk; nobody else's. SENT is what is uploaded before it becomes NEW.
NEW, OLD, SENT = ".vdisk-new", ".vdisk-old", ".vdisk-sent"


@dataclasses.dataclass(frozen=True)
class ManagedDisk:
    """A place for a disk, and which of these names there is something under."""

    session: Session
    place: Place
    files: DatastoreFiles
    is_there: bool
    has_new: bool
    has_old: bool
    has_sent: bool

    @functools.cached_property
    def new(self) -> Place:
        """Where a disk is made."""
        return self._aside(NEW)

    @functools.cached_property
    def old(self) -> Place:
        """Where the one steps that is replaced."""
        return self._aside(OLD)

    @functools.cached_property
    def sent(self) -> Place:
        """Where an upload goes that vSphere has to convert."""
        return self._aside(SENT)

    @property
    def is_interrupted(self) -> bool:
        """Whether a killed job has left this disk half replaced."""
        return self.has_old

    def leftovers(self) -> list[Place]:
        """What a killed job has left."""
        pairs = ((self.new, self.has_new), (self.sent, self.has_sent), (self.old, self.has_old))
        return [place for place, there in pairs if there]

    def device(self, place: Place | None = None) -> DatastoreDevice:
        """Opened for reading. Raises DiskNotFound, UnsupportedDisk, …"""
        place = place or self.place
        descriptor = read_descriptor(self.files, place)
        return DatastoreDevice(self.session, self.files, place, descriptor)

    def describe(self, place: Place | None = None) -> Result:
        """The `disk` value of results. Raises DiskError."""
        return describe_managed(self.device(place))

    def _aside(self, mark: str) -> Place:
        return self.place.named(f"{self.place.path.stem}{mark}.vmdk")


def look(access: Access, text: str) -> ManagedDisk:
    """What is at that place. Raises BadReference, ObjectNotFound, AccessDenied, …"""
    if is_first_class(text):
        raise InvalidRequest(
            "this is not done with first-class disks",
            path=text,
            hint="They are created, inspected, resized, attached, and cloned from.",
        )
    path = parse_disk(text)
    if path.stem.endswith((NEW, OLD, SENT)):
        raise BadReference(
            "is a name that only a job gives a disk for as long as it works on it",
            path=text,
            hint="Run that job again: it finishes what it has begun.",
        )
    session = shared_session(access.vcenter)
    place = find_place(session, path)
    names = [path.name, *(f"{path.stem}{mark}.vmdk" for mark in (NEW, OLD, SENT))]
    found = find_disks(session, place, names)
    disk = ManagedDisk(session, place, DatastoreFiles(session), *(name in found for name in names))
    _refuse_stranger(disk)
    return disk


def _refuse_stranger(disk: ManagedDisk) -> None:
    """The old disk steps aside and the new one takes its place: a job never leaves all three."""
    if disk.is_there and disk.has_old and disk.has_new:
        raise DiskExists(
            "somebody put a disk here while another one was being replaced",
            path=str(disk.place),
            found=f"also {disk.old} (what was here) and {disk.new} (what was to come)",
            hint="Rename or delete those of the three that nobody needs, and run it again.",
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

    def apply() -> Result:
        settle(disk)
        return {**make(look(access, text)).run(check_mode=False), "changed": True}

    files = [*([disk.place] if disk.is_there else []), *disk.leftovers()]
    state = {"files": [str(place) for place in files]}
    shown = after if after is not None else {"disk": _as_settled(disk)}
    return Plan(before=state, after={"files": [str(disk.place)]}, result=shown, apply=apply)


def _as_settled(disk: ManagedDisk) -> Result:
    """The disk that will be at its place once what was begun is finished."""
    place = disk.place if disk.is_there else disk.new if disk.has_new else disk.old
    return {**disk.describe(place), "path": str(disk.place)}


def settle(disk: ManagedDisk) -> None:
    """Finish what was begun. The old disk goes only when there is one at its place."""
    disks = VirtualDisks(disk.session)
    if not disk.is_there:
        # The old one stepped aside only when the new one was complete.
        disks.move(disk.new if disk.has_new else disk.old, disk.place)
        if not disk.has_new:
            return
    refuse_users(users_of(disk.session, disk.old, None), disk.old, "delete it")
    disks.delete(disk.old)


def replace(disk: ManagedDisk, make: Callable[[Place], None]) -> None:
    """make() builds the new disk at a place of ours; then it takes the place of what is there."""
    disks = VirtualDisks(disk.session)
    for place in disk.leftovers():  # perhaps incomplete
        disks.delete(place)
    if not disk.is_there:
        disks.make_folder(disk.place)
    before = _identity(disk)
    try:
        make(disk.new)
        _refuse_changed(disk, before)
    except DiskError:
        _drop(disk)
        raise
    if disk.is_there:
        disks.move(disk.place, disk.old)
    _move_in(disk, disks)
    if disk.is_there:
        disks.delete(disk.old)


def _identity(disk: ManagedDisk) -> tuple[str | None, int | None] | None:
    """Of what is at the place: it changes when another disk comes, or somebody writes to it."""
    if not disk.is_there:
        return None
    descriptor = read_descriptor(disk.files, disk.place)
    return descriptor.get("ddb.uuid"), descriptor.cid


def _refuse_changed(disk: ManagedDisk, before: tuple[str | None, int | None] | None) -> None:
    """Making the new disk may have taken hours. Raises DiskInUse, ChainMismatch."""
    names = (disk.place.path.name, disk.old.path.name)
    found = find_disks(disk.session, disk.place, names)
    if (names[0] in found) != disk.is_there or names[1] in found or _identity(disk) != before:
        raise DiskInUse(
            "it was changed, or replaced, while the new disk was being made",
            path=str(disk.place),
            hint="What is there was left as it is. Find out who else works on it.",
        )
    if disk.is_there:
        refuse_used(disk, "replace it")


def _move_in(disk: ManagedDisk, disks: VirtualDisks) -> None:
    try:
        disks.move(disk.new, disk.place)
    except DiskError as error:
        if disk.is_there:
            try:
                disks.move(disk.old, disk.place)
            except DiskError:
                told = f"The old disk is now {disk.old}; run this again, and it is put right."
                error.hint = " ".join(filter(None, (error.hint, told)))
        raise


def _drop(disk: ManagedDisk) -> None:
    """What could not be completed; where even that fails, the next run does it."""
    with contextlib.suppress(DiskError):
        found = find_disks(disk.session, disk.place, [disk.new.path.name, disk.sent.path.name])
        for name in found:
            VirtualDisks(disk.session).delete(disk.place.named(name))


def note_eager(disk: ManagedDisk, place: Place) -> None:
    """Remember that it is eagerly zeroed. Where the server does not let us, it counts as thick."""
    descriptor = read_descriptor(disk.files, place)
    uuid = descriptor.get("ddb.uuid")
    if uuid is None:
        return
    descriptor.set(f"ddb.{EAGER_NOTE}", uuid)
    data = descriptor.to_bytes()
    with contextlib.suppress(DiskError):
        disk.files.put(place, len(data), lambda: (data,))


def refuse_used(disk: ManagedDisk, what: str) -> None:
    """Raises DiskInUse naming the virtual machine, ChainMismatch naming children."""
    device = disk.device()
    refuse_users(
        users_of(disk.session, disk.place, device.descriptor.get("ddb.uuid")), disk.place, what
    )
    children = _children(disk)
    if children:
        raise ChainMismatch(
            f"cannot {what}: other disks stand on it",
            path=str(disk.place),
            found=", ".join(children),
            hint="Those would be lost. Delete them first if nobody needs them.",
        )


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
    """None also where that cannot be told: it is then no plain child."""
    try:
        descriptor = read_descriptor(disk.files, place)
        hint = descriptor.parent_hint
        return None if hint is None else str(place.named(hint))
    except (CorruptDisk, DiskNotFound, UnsupportedDisk):
        return None


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
