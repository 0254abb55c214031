# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The mark of a disk that has a transaction. docs/transactions.md says who does what about it.

It lies beside the file of a disk, and in a folder of this host for a disk that is none. That of
the first disk, the leader's, tells everything; those of further disks only lead to it. So one
rename of one file commits a transaction over several disks.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import typing as t

from .device_key import device_key, keys_of_relatives
from .errors import CorruptDisk, DiskInUse, DiskNotFound, InvalidRequest, from_oserror
from .files import remove_if_there, sync_directory, write_durably
from .planted import Obeyed

if t.TYPE_CHECKING:
    from collections.abc import Iterator

SUFFIX = ".vdisk-transaction"
STATE_DIRECTORY = "/var/lib/vdisk-lifecycle"  # VDISK_STATE_DIR says another
PENDING, COMMITTING, OVER = "pending", "committing", "over"
_MAX_BYTES = 1 << 20
_VERSION = 1
_OURS = Obeyed(
    "is the mark of a transaction that anybody could have put there",
    "If the transaction is yours, give the file to root; else remove it.",
)
_NOT_THERE = (FileNotFoundError, NotADirectoryError)
_ours: set[str] = set()  # ids of transactions that this process is committing


class Member(t.NamedTuple):
    """A disk, by its name, where its writes are, and what it was before them.

    path: what users call a disk that is no file. place: its mark, see place_of(); a device may
    have got another name since, and be known by that alone.
    """

    disk: str
    overlay: str
    identity: str
    path: str
    place: str


@dataclasses.dataclass(frozen=True)
class Mark:
    """path: that of the leader's mark."""

    path: str
    id: str
    since: str
    state: str
    members: tuple[Member, ...]

    def changed_to(self, state: str) -> Mark:
        """Durable when it returns."""
        changed = dataclasses.replace(self, state=state)
        changed.save()
        return changed

    def save(self) -> None:
        """Replace the leader's mark as a whole. What lies beside it keeps no folder in its name,
        so that the folder can move."""
        members = [
            [
                _from(self.path, member.disk),
                _from(self.path, member.overlay),
                *member[2:4],
                _from(self.path, member.place),
            ]
            for member in self.members
        ]
        facts = {"id": self.id, "since": self.since, "state": self.state, "members": members}
        _store(self.path, {"version": _VERSION, **facts})

    def require_current(self) -> None:
        """To be called under the locks of its disks or overlays. Raises DiskInUse."""
        facts = _load(self.path)
        if facts is None or "leader" in facts or _parsed(self.path, facts) != self:
            raise DiskInUse(
                "another run has gone on with this transaction just now",
                path=self.members[0].disk,
                hint="Look what has become of it (vmdk_info), and run this again.",
            )

    @contextlib.contextmanager
    def current(self) -> Iterator[None]:
        """What is found to be wrong within the block may be so since another run has gone on."""
        try:
            yield
        except (CorruptDisk, DiskNotFound):
            self.require_current()
            raise

    def save_followers(self) -> None:
        """The marks of the other disks. Raises InvalidRequest where one has another transaction."""
        for member in self.members[1:]:
            if _load(member.place) is None:
                leader = _from(member.place, self.path)
                _store(member.place, {"version": _VERSION, "id": self.id, "leader": leader})
            elif not self.has(member):
                raise _has_another(member.disk)

    def has(self, member: Member) -> bool:
        """Whether the disk says so, too: its own mark leads here. That of another disk, copied
        with its folder or made by who may write there, says nothing about it."""
        there = _load(member.place)
        if there is None or there.get("id") != self.id:
            return False
        if "leader" not in there:
            return member.place == self.path
        return _resolved(member.place, str(there["leader"])) == self.path

    def require_all(self) -> None:
        """Raises CorruptDisk where a disk does not belong to it, or not any more."""
        for member in self.members:
            if not self.has(member):
                raise CorruptDisk(
                    "is named in a transaction to which it does not belong",
                    path=member.disk,
                    found=self.path,
                    expected=f"a mark of the same transaction: {member.place}",
                    hint=f"If {self.path} is a copy, remove it, and then restore the disk there.",
                )

    def remove(self) -> None:
        """All marks, durably one after the other: those of others, without the leader's, mean
        nothing that anybody could tell."""
        for member in (*self.members[1:], self.members[0]):
            if self.has(member):
                remove_if_there(member.place)
                sync_directory(os.path.dirname(member.place))


def state_folder(kind: str) -> str:
    """Where this host keeps what must outlive a reboot."""
    return os.path.join(os.environ.get("VDISK_STATE_DIR") or STATE_DIRECTORY, kind)


def make_folder(path: str) -> None:
    """Make it if it is one of this host's own. Raises DiskNotFound, AccessDenied and the like."""
    above = os.path.dirname(path)
    if above == state_folder("").rstrip(os.sep) and not os.path.isdir(path):
        try:
            os.makedirs(path, mode=0o755, exist_ok=True)
            sync_directory(above)
            sync_directory(os.path.dirname(above))
        except OSError as error:
            raise from_oserror(error, "make the folder", path) from error


def is_file(name: str) -> bool:
    """Whether a disk lies in files of its own, and no device or server."""
    return "://" not in name and device_key(name) is None


def place_of(name: str) -> str:
    """The file of the mark of a disk: a path, a block device or the address of a server."""
    if is_file(name):
        return os.path.realpath(name) + SUFFIX
    return _place_of_key(name if "://" in name else f"device {device_key(name)}")


def _place_of_key(key: str) -> str:
    name = hashlib.sha256(os.fsencode(key)).hexdigest()[:24]
    return os.path.join(state_folder("transactions"), name)


def find(name: str) -> Mark | None:
    """The transaction of a disk, whichever of its disks it is. Raises UnsafePath, CorruptDisk."""
    return _find_at(place_of(name), name)


def _find_at(place: str, name: str) -> Mark | None:
    facts = _load(place)
    if facts is None:
        return None
    mark = _led(place, facts, name) if "leader" in facts else _parsed(place, facts)
    places = [member.place for member in mark.members]
    if places[0] != mark.path or place not in places:
        raise CorruptDisk(
            "has the mark of another disk beside it",
            path=name,
            found=place,
            expected=f"that of a transaction of {mark.members[0].disk}",
            hint="If the disk was renamed by hand, give it its name back; else remove that mark.",
        )
    return mark


def _led(place: str, facts: dict[str, t.Any], name: str) -> Mark:
    leader = _resolved(place, str(facts["leader"]))
    there = _load(leader)
    if there is None or there.get("id") != facts.get("id") or "leader" in there:
        raise CorruptDisk(
            "belongs to a transaction over several disks, whose record is missing: nobody can tell "
            "whether it was committed",
            path=name,
            found=place,
            expected=leader,
            hint="Bring that file back; or remove this mark, and then restore the disk.",
        )
    return _parsed(leader, there)


def refuse_writing(name: str) -> None:
    """Raises InvalidRequest where a transaction is pending: what it holds fits only what was."""
    for mark in _others(name):
        _refuse_half_merged(mark, name)
        _refuse_pending(mark, name)


def refuse_reading(name: str) -> None:
    """Raises InvalidRequest for a disk that is neither as before its transaction nor as after."""
    for mark in _others(name):
        _refuse_half_merged(mark, name)


def _others(name: str) -> Iterator[Mark]:
    """Transactions of the disk, of its partitions and of what it is a partition of, but those
    that this process is committing."""
    places = [place_of(name)]
    if not is_file(name) and "://" not in name:
        places += [_place_of_key(f"device {key}") for key in keys_of_relatives(name)]
    for place in places:
        mark = _find_at(place, name)
        if mark is not None and mark.state != OVER and mark.id not in _ours:
            yield mark


def _refuse_pending(mark: Mark, name: str) -> None:
    raise InvalidRequest(
        "has a pending transaction, so nothing else may change it",
        path=name,
        found=f"writes since {mark.since} in {mark.members[0].overlay}",
        hint="Commit or discard it first: vmdk_mount with state: committed, or discarded.",
    )


def _refuse_half_merged(mark: Mark, name: str) -> None:
    if mark.state == COMMITTING:
        raise InvalidRequest(
            "holds a part of its transaction only: the commit is not complete",
            path=name,
            found=mark.path,
            hint="Finish it: vmdk_mount with this disk and state: committed.",
        )


@contextlib.contextmanager
def going_on_with(mark: Mark) -> Iterator[None]:
    """Within the block, this process may open the disks of the transaction for writing."""
    _ours.add(mark.id)
    try:
        yield
    finally:
        _ours.discard(mark.id)


def _has_another(disk: str) -> InvalidRequest:
    return InvalidRequest(
        "has another transaction already",
        path=disk,
        hint="Commit or discard that first: vmdk_mount with state: committed, or discarded.",
    )


# Files


def _from(place: str, path: str) -> str:
    """A plain name for what lies beside the mark."""
    same = os.path.isabs(path) and os.path.dirname(path) == os.path.dirname(place)
    return os.path.basename(path) if same else path


def _resolved(place: str, name: str) -> str:
    if "\0" in name:
        raise _unreadable(place)
    if "://" in name or os.path.isabs(name):
        return name
    if os.path.basename(name) != name or not name:
        raise CorruptDisk("this mark of a transaction names no file", path=place, found=name)
    return os.path.join(os.path.dirname(place), name)


def _store(place: str, facts: dict[str, t.Any]) -> None:
    make_folder(os.path.dirname(place))
    write_durably(place, json.dumps(facts, indent=1).encode(), mode=0o644)


def _load(place: str) -> dict[str, t.Any] | None:
    """None where there is none. Raises UnsafePath, CorruptDisk."""
    try:
        # A pipe must not make us wait, nor a link lead us elsewhere.
        fd = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except _NOT_THERE:
        return None
    except OSError as error:
        if error.strerror and os.path.islink(place):
            raise _OURS.refusal(place, "a link") from None
        raise from_oserror(error, "read the mark of a transaction", place) from error
    try:
        _OURS.require_ours(place, os.fstat(fd))
        with open(fd, "rb", closefd=False) as stream:
            data = stream.read(_MAX_BYTES + 1)
    finally:
        os.close(fd)
    try:
        facts = json.loads(data)
        if len(data) > _MAX_BYTES or facts["version"] != _VERSION:
            raise ValueError("not of ours")
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _unreadable(place) from None
    return t.cast("dict[str, t.Any]", facts)


def _unreadable(place: str) -> CorruptDisk:
    return CorruptDisk(
        "this mark of a transaction cannot be read",
        path=place,
        hint="Bring it back from a copy; or remove it, and then restore the disk.",
    )


def _parsed(place: str, facts: dict[str, t.Any]) -> Mark:
    try:
        members = tuple(
            Member(
                _resolved(place, disk),
                _resolved(place, overlay),
                str(identity),
                str(path),
                _resolved(place, mark),
            )
            for disk, overlay, identity, path, mark in facts["members"]
        )
        mark = Mark(place, str(facts["id"]), str(facts["since"]), facts["state"], members)
    except (ValueError, KeyError, TypeError):
        raise _unreadable(place) from None
    if mark.state not in (PENDING, COMMITTING, OVER) or not members:
        raise _unreadable(place)
    return mark
