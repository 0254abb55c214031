# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A point that nobody can delete for a while. docs/repository-format.md, "Retained points"."""

from __future__ import annotations

import dataclasses
import datetime
import typing as t

from ..._device.errors import DiskError, InvalidRequest
from ..format import times
from ..format.config import KEY
from ..format.keys import PREFIX as KEYS
from ..format.pack import pack_key
from ..format.spare import SPARE
from ..store.immutable import object_lock

if t.TYPE_CHECKING:
    from ..access import Access
    from ..format.manifest import RestorePoint
    from ..format.map import MapRef

LONGEST = 10 * 366 * 86400  # seconds; a slip of the pen cannot be taken back
# Packs are locked for longer than they need be, so that not every backup has to extend the locks
# of all that it uses again: this many seconds, but no more than a quarter of the time.
_AHEAD = 7 * 86400


@dataclasses.dataclass(frozen=True)
class Retention:
    """What the user asks for."""

    seconds: int
    mode: str = "compliance"


class Retainer:
    """Locks what one new point needs, and then the point. Without a wish it does nothing."""

    def __init__(self, access: Access, wish: Retention | None, clock: str) -> None:
        self._access = access
        self._until = self._ahead = None
        if wish is None:
            self._lock = None
            return
        if not 0 < wish.seconds <= LONGEST:
            raise InvalidRequest(
                "retain is out of range", found=f"{wish.seconds} seconds", expected="up to 10 years"
            )
        begin = times.parse(clock)
        self._until = begin + datetime.timedelta(seconds=wish.seconds)
        self._ahead = self._until + datetime.timedelta(seconds=min(_AHEAD, wish.seconds // 4))
        self._lock = object_lock(access.store, wish.mode)

    @property
    def until(self) -> str | None:
        """For the manifest."""
        return _text(self._until)

    def check(self) -> None:
        """Raises InvalidRequest where the store cannot do it; before anything is read."""
        if self._lock is not None:
            self._lock.check()

    def secure(self, point: RestorePoint, earlier: list[RestorePoint]) -> RestorePoint:
        """Lock all that the point needs; the point then says for how long that holds at least.

        `earlier` are readable points of the same source: what those use is locked already for as
        long as they say, so no request is needed for that.
        """
        if self._lock is None or self._until is None or self._ahead is None:
            return dataclasses.replace(point, retain_until=self.until)
        base, packs = self._to_lock(point, _best(earlier, t.cast("str", self.until)))
        self._lock.extend([*self._top(), *map(pack_key, sorted(packs))], self._ahead)
        held = t.cast("str", _text(self._ahead))
        if base is not None and base.locked_until:
            held = min(held, base.locked_until)
        return dataclasses.replace(point, retain_until=self.until, locked_until=held)

    def _to_lock(
        self, point: RestorePoint, base: RestorePoint | None
    ) -> tuple[RestorePoint | None, set[bytes]]:
        """The base, if it is of use, and the packs of the point that it does not need."""
        if base is not None:
            try:
                packs = _packs_of(self._access, point, base)
                return base, packs - _packs_of(self._access, base, point)
            except DiskError:  # it is gone, or cannot be read: then all of them are locked
                pass
        return None, _packs_of(self._access, point, None)

    def put(self, key: str, data: bytes) -> bool:
        """The manifest, if the key is free."""
        if self._lock is None or self._until is None:
            return self._access.store.put(key, data, if_absent=True)
        return self._lock.put(key, data, self._until)

    def _top(self) -> list[str]:
        """Without these few objects nothing can be read."""
        store = self._access.store
        return [KEY, *(found.key for prefix in (KEYS, SPARE) for found in store.list(prefix))]


def _best(points: list[RestorePoint], until: str) -> RestorePoint | None:
    """The newest whose packs are all locked for long enough."""
    locked = [point for point in points if point.locked_until and point.locked_until >= until]
    return locked[-1] if locked else None


def _packs_of(access: Access, point: RestorePoint, without: RestorePoint | None) -> set[bytes]:
    """Packs that a point uses through maps that the other does not have."""
    known = _refs(without) if without else {}
    packs: set[bytes] = set()
    for ref, (number, group) in _refs(point).items():
        if ref in known:
            continue
        packs.add(ref.location.pack)
        chunk_map = access.load_map(point.disks[number], group)
        packs.update(entry.pack for entry in chunk_map if entry is not None)
    return packs


def _refs(point: RestorePoint) -> dict[MapRef, tuple[int, int]]:
    """Every map once, and where it is used: disk and group."""
    return {
        ref: (number, group)
        for number, disk in enumerate(point.disks)
        for group, ref in enumerate(disk.maps)
        if ref is not None
    }


def _text(time: datetime.datetime | None) -> str | None:
    return None if time is None else times.to_second(time)
