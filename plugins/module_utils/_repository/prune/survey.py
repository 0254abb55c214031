# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a collection is going to do: found by reading only, so that check mode tells the truth."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ..._device.errors import DiskNotFound, RepositoryDamaged
from ..format import times
from ..format.pack import pack_sizes
from ..format.quarantine import quarantine_key, quarantined
from ..format.tomb import (
    PREFIX,
    Tomb,
    decode_tomb,
    decode_witnesses,
    packs_key,
    tomb_of,
    witnesses_key,
)
from .references import needed_by, read_manifests

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..access import Access


@dataclasses.dataclass
class Survey:
    """What there is to do. Packs by name, tombs by id; `problems` forbid all deleting."""

    sizes: dict[bytes, int]  # of all packs
    delete: frozenset[bytes] = frozenset()
    spare: frozenset[bytes] = frozenset()
    condemn: list[tuple[str, frozenset[bytes]]] = dataclasses.field(default_factory=list)
    new: frozenset[bytes] = frozenset()  # of `condemn`, those that no tomb has named before
    unwitnessed: list[str] = dataclasses.field(default_factory=list)
    finished: list[str] = dataclasses.field(default_factory=list)
    stale: list[str] = dataclasses.field(default_factory=list)  # quarantine of packs long gone
    waiting: list[str] = dataclasses.field(default_factory=list)
    problems: tuple[str, ...] = ()

    @property
    def changes(self) -> bool:
        return bool(self.delete or self.condemn or self.unwitnessed or self.finished or self.stale)

    def bytes_of(self, packs: frozenset[bytes]) -> int:
        return sum(self.sizes[pack] for pack in packs)

    def as_dict(self) -> dict[str, t.Any]:
        """The `collected` value of module results."""
        return {
            "condemned": len(self.new),
            "condemned_bytes": self.bytes_of(self.new),
            "deleted": len(self.delete),
            "deleted_bytes": self.bytes_of(self.delete),
            "spared": len(self.spare),
            "waiting": self.waiting,
            "problems": list(self.problems),
        }


class _Tombs(t.NamedTuple):
    known: list[tuple[Tomb, frozenset[str] | None]]  # with its witnesses
    useless: list[str]  # nobody can read them, so they condemn nothing


class Limits(t.NamedTuple):
    """By whose clock, and how long a condemned pack is left for those who read it."""

    now: datetime.datetime
    grace: datetime.timedelta

    def due(self, tomb: Tomb) -> datetime.datetime | None:
        """When its packs may go; None if they may go now."""
        due = times.parse(tomb.written) + self.grace
        return due if due > self.now else None

    def is_from_the_future(self, tomb: Tomb) -> bool:
        """A clock ran ahead; nothing shall wait for years."""
        return times.parse(tomb.written) > self.now + self.grace


def survey(
    access: Access,
    living: Callable[[], frozenset[str]],
    limits: Limits,
    *,
    freed: frozenset[bytes] = frozenset(),
    without: frozenset[str] = frozenset(),
    emptied: frozenset[bytes] = frozenset(),
) -> Survey:
    """`living` lists the sessions of others; `freed` are packs that points needed which this run
    dropped or rewrote. For forecasts: `without` are keys of manifests that will be gone, `emptied`
    are packs that no manifest will need. Raises DiskIOError."""
    tombs = _read_tombs(access)
    # Every witness is on a list that was made before; who is not alive now has committed, or never
    # will. So what is referred to is read after this line.
    sessions = living()
    manifests = read_manifests(access, without)
    problems: list[str] = []
    needed = needed_by(access, manifests.points, problems) - emptied
    found = Survey(pack_sizes(access.store), problems=(*manifests.problems, *problems))
    found.finished += tombs.useless
    for tomb, witnesses in tombs.known:
        _judge(found, tomb, needed, limits, _reason_to_wait(tomb, witnesses, sessions, limits))
        if witnesses is None and tomb.id not in found.finished:
            found.unwitnessed.append(tomb.id)
    if not found.problems:
        condemned = frozenset[bytes]().union(*(tomb.packs for tomb, _witnesses in tombs.known))
        unclaimed = frozenset(found.sizes) - needed - condemned
        if sessions:
            unclaimed = _leave_to_writers(found, unclaimed, freed, sessions)
        if unclaimed:
            found.new = unclaimed
            found.condemn.append((times.to_second(limits.now), unclaimed))
        staying = needed | (found.sizes.keys() - found.delete)
        found.stale = sorted(map(quarantine_key, quarantined(access.store) - staying))
    return found


def _reason_to_wait(
    tomb: Tomb, witnesses: frozenset[str] | None, sessions: frozenset[str], limits: Limits
) -> str | None:
    if witnesses is None:
        return "for the next run"
    due = limits.due(tomb)
    if due is not None:
        return f"until {times.to_second(due)}"
    running = sorted(witnesses & sessions)
    if running:
        return f"for the end of {_count(len(running), 'writer')} ({', '.join(running[:3])})"
    return None


def _judge(
    found: Survey, tomb: Tomb, needed: frozenset[bytes], limits: Limits, wait: str | None
) -> None:
    there = tomb.packs & found.sizes.keys()
    rest = there - needed
    if not there:
        found.finished.append(tomb.id)
        return
    if found.problems:
        found.waiting.append(f"{_count(len(there), 'pack')} until all points can be read")
        return
    ahead = limits.is_from_the_future(tomb)
    if wait is None:
        found.delete |= rest
    elif rest:
        found.waiting.append(f"{_count(len(rest), 'pack')} {wait}")
    if wait is None or ahead or there & needed:
        found.spare |= there & needed
        found.finished.append(tomb.id)
        if wait is not None and rest:
            # In its place a tomb without what a witness has committed since: from now on that may
            # be used again.
            written = times.to_second(limits.now) if ahead else tomb.written
            found.condemn.append((written, rest))


def _leave_to_writers(
    found: Survey, unclaimed: frozenset[bytes], freed: frozenset[bytes], sessions: frozenset[str]
) -> frozenset[bytes]:
    """Without what a writer may just have written: condemning that is safe, but until the next
    collection nobody could use it again, and all of it would be stored twice."""
    left = unclaimed - freed
    if left:
        found.waiting.append(
            f"{_count(len(left), 'pack')} for a run while nobody writes ({min(sessions)} does)"
        )
    return unclaimed & freed


def _read_tombs(access: Access) -> _Tombs:
    keys = sorted(stored.key for stored in access.store.list(PREFIX))
    ids = dict.fromkeys(known[0] for known in map(tomb_of, keys) if known)
    tombs = _Tombs([], [])
    for tomb_id in ids:
        try:
            data = access.store.get(packs_key(tomb_id))
            tomb = decode_tomb(packs_key(tomb_id), data, access.config, access.subkeys)
        except (DiskNotFound, RepositoryDamaged):
            tombs.useless.append(tomb_id)
        else:
            tombs.known.append((tomb, _read_witnesses(access, tomb_id)))
    return tombs


def _read_witnesses(access: Access, tomb_id: str) -> frozenset[str] | None:
    key = witnesses_key(tomb_id)
    try:
        return decode_witnesses(key, access.store.get(key), access.config, access.subkeys)
    except (DiskNotFound, RepositoryDamaged):
        return None


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" + ("" if number == 1 else "s")
