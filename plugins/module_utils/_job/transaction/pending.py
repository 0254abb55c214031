# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Beginning a transaction, or going on with one, and opening its disks."""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import os
import typing as t
import uuid

from ..._device.errors import DiskInUse, InvalidRequest, ReadOnlyDisk
from ..._device.files import remove_if_there
from ..._device.transaction_mark import (
    COMMITTING,
    OVER,
    PENDING,
    Mark,
    Member,
    find,
    is_file,
    make_folder,
    place_of,
    state_folder,
)
from ..._device.transaction_overlay import (
    TransactionOverlay,
    make_overlay,
    refuse_failed,
    remove_overlay,
    require_overlay,
)
from ..._transport.claims import claim_name
from ..._transport.reference import Road
from ..._vmdk.opening.disk import Disk
from ..kept_disk import open_kept
from .identity import identity_of, require_same

if t.TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ..._device.device import BlockDevice
    from ..access import Access

OVERLAY_SUFFIX = ".vdisk-overlay"


class Transaction(t.NamedTuple):
    """paths: the references of its disks, in the order of the mark's members."""

    mark: Mark
    paths: tuple[str, ...]
    is_new: bool = False

    def as_dict(self, state: str | None = None) -> dict[str, t.Any]:
        """For results."""
        return {
            "overlay": self.mark.members[0].overlay,
            "since": self.mark.since,
            "state": state or self.mark.state,
        }

    def openers(self, access: Access) -> dict[str, Callable[[], BlockDevice]]:
        """For each path, what opens the disk as the transaction sees it."""
        return {
            path: functools.partial(_open, access, path, member, self.mark)
            for path, member in zip(self.paths, self.mark.members, strict=True)
        }


def _open(access: Access, path: str, member: Member, mark: Mark) -> BlockDevice:
    base = open_kept(access, path, writable=False)
    try:
        with mark.current():
            require_same(base, state_of(member), member.disk)
            return TransactionOverlay(base, member.overlay, member.identity)
    except BaseException:
        base.close()
        raise


def state_of(member: Member) -> str:
    """What the disk was: see identity.py. The rest of the words says whose the overlay is."""
    return member.identity.split(" ")[1]


def owner_of(place: str) -> str:
    """Whose an overlay is, in the words of its log: a disk, by where its mark is."""
    return hashlib.sha256(os.fsencode(place)).hexdigest()[:16]


def found(access: Access, paths: Sequence[str]) -> Transaction | None:
    """The transaction of these disks, in whatever state; None where they have none.

    Raises InvalidRequest where they have different ones, or it has other disks as well.
    """
    mark = mark_of(access, paths)
    if mark is None:
        return None
    by_place = {_place(access, path): path for path in paths}
    if mark.state == PENDING and {member.place for member in mark.members} != set(by_place):
        raise InvalidRequest(
            "belongs to a transaction over other disks than were named",
            path=paths[0],
            found=", ".join(paths),
            expected=", ".join(member.disk for member in mark.members),
            hint="Name them all: one in path, the others in disks.",
        )
    known = (by_place.get(one.place) or _known(access, one, mark.state) for one in mark.members)
    return Transaction(mark, tuple(known))


def mark_of(access: Access, paths: Sequence[str]) -> Mark | None:
    """The first that one of these disks has."""
    names = (_name(access, path) for path in paths)
    marks = (None if name is None else find(name) for name in names)
    return next((mark for mark in marks if mark is not None), None)


def _known(access: Access, member: Member, state: str) -> str:
    """What a further disk was called. Raises InvalidRequest where that is another one by now, and
    is going to be written."""
    path = member.path or member.disk
    if state == COMMITTING and _place(access, path) != member.place:
        raise InvalidRequest(
            "belongs to the transaction, and has another name by now",
            path=path,
            hint="Name it as it is called now, in disks.",
        )
    return path


def _name(access: Access, path: str) -> str | None:
    return claim_name(access.parse(path))


def _place(access: Access, path: str) -> str | None:
    name = _name(access, path)
    return None if name is None else place_of(name)


def begin(access: Access, paths: Sequence[str], overlay: str | None) -> Transaction:
    """One that is pending goes on. The disks are looked at, and not changed.

    Raises InvalidRequest for disks that could not be committed, CorruptDisk where a disk was
    changed since or the overlay is damaged, NoSpace, DiskExists.
    """
    there = found(access, paths)
    if there is not None and there.mark.state == PENDING:
        _require_usable(access, there, overlay)
        there.mark.save_followers()
        return there
    with contextlib.ExitStack() as opened:
        members = [
            _member(access, path, _overlay(access, path, overlay, number), opened)
            for number, path in enumerate(paths)
        ]
        with contextlib.ExitStack() as undo:
            for member, disk in members:
                _make_folder(member)
                undo.callback(remove_overlay, member.overlay, member.identity)
                make_overlay(member.overlay, disk.size, member.identity)
            mark = _new_mark(tuple(member for member, _disk in members))
            undo.callback(remove_if_there, mark.path)
            mark.save()
            mark.require_current()  # on a share, it may be somebody else's that root writes
            undo.pop_all()
        mark.save_followers()
    return Transaction(mark, tuple(paths), is_new=True)


def require_beginnable(access: Access, paths: Sequence[str], overlay: str | None) -> Transaction:
    """What begin() would give, or raises what it would raise; nothing is changed."""
    there = found(access, paths)
    if there is not None and there.mark.state == PENDING:
        _require_usable(access, there, overlay)
        return there
    with contextlib.ExitStack() as opened:
        members = [
            _member(access, path, _overlay(access, path, overlay, number), opened)[0]
            for number, path in enumerate(paths)
        ]
    return Transaction(_new_mark(tuple(members)), tuple(paths))


def _new_mark(members: tuple[Member, ...]) -> Mark:
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    return Mark(members[0].place, uuid.uuid4().hex, now, PENDING, members)


def _member(
    access: Access, path: str, overlay: str, opened: contextlib.ExitStack
) -> tuple[Member, BlockDevice]:
    """Nobody else has the disk as long as it is open, so nobody else begins, either."""
    reference = access.parse(path)
    name = claim_name(reference)
    if name is None:
        raise _has_none(path, reference.road)
    mark = find(name)
    if mark is not None and mark.state == OVER:
        raise DiskInUse(
            "another run ends its transaction just now", path=path, hint="Run this again."
        )
    if mark is not None:
        raise InvalidRequest("has another transaction already", path=path, found=mark.path)
    disk = open_kept(access, path, writable=True)  # it could be committed: no children, ...
    opened.callback(disk.close)
    _require_writable(disk)
    _require_one_name(disk)
    known_as = "" if is_file(name) else reference.text
    place = place_of(name)
    identity = f"{owner_of(place)} {identity_of(disk)}"
    return Member(name, overlay, identity, known_as, place), disk


def _require_writable(disk: BlockDevice) -> None:
    """Raises ReadOnlyDisk where a part of it can never be written."""
    if not isinstance(disk, Disk):
        return
    for line, path in disk.links[0].extents:
        if line.access != "RW" or line.kind == "ZERO":
            raise ReadOnlyDisk(
                "cannot be written, so no transaction could be committed to it",
                path=path or disk.name,
                found=str(line),
                hint="Convert the disk to monolithicSparse first (vmdk_convert).",
            )


def _require_one_name(disk: BlockDevice) -> None:
    """Raises InvalidRequest: who goes by another hard link would not see the mark."""
    paths = disk.files() if isinstance(disk, Disk) else [getattr(disk, "name", "")]
    for path in paths:
        found = os.stat(path) if os.path.isfile(path) else None
        if found is not None and found.st_nlink > 1:
            raise InvalidRequest(
                "has other names (hard links) under which nobody would see its transaction",
                path=path,
                found=f"{found.st_nlink} names",
                expected="one",
                hint="Remove the others; if one of them is a backup, make it a copy of its own.",
            )


def _has_none(path: str, road: Road) -> InvalidRequest:
    if road is Road.RESTORE_POINT:
        hint = "Writes to it are forgotten when it is unmounted anyway (read_only: false)."
        return InvalidRequest("a restore point is never changed", path=path, hint=hint)
    return InvalidRequest(
        f"no transaction can be committed to a {road.value} in place",
        path=path,
        hint="Attach the disk to this machine (vmdk_attach) and name its device;"
        " or clone it to a file, change that, and clone it back (vmdk_clone).",
    )


def _overlay(access: Access, path: str, overlay: str | None, number: int) -> str:
    """Where the writes to a disk are kept."""
    if overlay is not None:
        place = os.path.abspath(os.path.expanduser(overlay))
        return f"{place}.{number}" if number else place
    name = _name(access, path)
    if name is None:
        raise _has_none(path, access.parse(path).road)
    if is_file(name):
        return name + OVERLAY_SUFFIX
    return os.path.join(state_folder("overlays"), owner_of(place_of(name)) + OVERLAY_SUFFIX)


def _make_folder(member: Member) -> None:
    folder = os.path.dirname(member.overlay)
    make_folder(folder)
    if not os.path.isdir(folder):
        raise InvalidRequest(
            "the folder for the writes of the transaction is not there", path=folder
        )


def _require_usable(access: Access, transaction: Transaction, overlay: str | None) -> None:
    mark = transaction.mark
    if overlay is not None and os.path.abspath(overlay) != mark.members[0].overlay:
        raise InvalidRequest(
            "its transaction keeps its writes elsewhere",
            path=transaction.paths[0],
            found=mark.members[0].overlay,
            expected=overlay,
            hint="Leave out the option overlay, or commit or discard the transaction first.",
        )
    with mark.current():
        for path, member in zip(transaction.paths, mark.members, strict=True):
            with access.open(path) as disk:
                require_same(disk, state_of(member), member.disk)
                require_overlay(member.overlay, disk.size, member.identity)
            refuse_failed(member.overlay)
