# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Are the maps of restore points good, is all there that they list, and whom does damage hit?"""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError
from ..._device.pipeline import ordered_map
from ..format.config import LARGEST_CHUNK
from ..format.map import GROUP, LARGEST, NO_ID
from ..format.pack import is_listed, pack_key
from .finding import Hit
from .packs import Fault

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..._device.progress import Progress
    from ..access import Access
    from ..format.manifest import PointDisk, RestorePoint
    from ..format.map import ChunkMap
    from ..format.pack import Location

GOOD, HEALED, LOST = "good", "healed", "lost"


class MapChecker:
    """Reads each map once and looks up everything that it lists. Fills `faults` and `wrong`."""

    def __init__(self, access: Access, sizes: dict[bytes, int], tables: dict[bytes, bytes]) -> None:
        self._access, self._sizes, self._tables = access, dict(sizes), tables
        self.faults: dict[bytes, Fault] = {}
        self.wrong: dict[str, str] = {}  # disk of a point, and what is wrong with its map
        self.used: set[bytes] = set()  # packs that something refers to
        self.count = 0

    def run(self, points: Iterable[RestorePoint], progress: Progress) -> None:
        maps = {
            ref.location: (point, disk, group)
            for point in points
            for disk in point.disks
            for group, ref in enumerate(disk.maps)
            if ref is not None
        }
        progress.start("maps", sum(location.length for location in maps))
        for location, (point, disk, group) in maps.items():
            self._look_up(location, f"{point.key}#{disk.name}: group {group}")
        loaded = ordered_map(lambda item: self._load(*item[1]), maps.items())
        for (location, (point, disk, group)), chunk_map in zip(maps.items(), loaded, strict=True):
            progress.advance(location.length)
            if chunk_map is not None:
                self._check(chunk_map, point, disk, group)
        self.count = len(maps)
        progress.finish()

    def _load(self, _point: RestorePoint, disk: PointDisk, group: int) -> ChunkMap | None:
        try:
            return self._access.load_map(disk, group)
        except DiskError as error:
            ref = disk.maps[group]
            if ref is not None:
                self.faults.setdefault(ref.location.pack, Fault("damaged", error.message))
            return None

    def _check(self, entries: ChunkMap, point: RestorePoint, disk: PointDisk, group: int) -> None:
        where = f"{point.key}#{disk.name}: group {group}"
        ids = bytearray()
        for entry in entries:
            ids += NO_ID if entry is None else entry.id
            if entry is not None:
                self._look_up(entry, where)
        ref = disk.maps[group]
        if ref is not None and self._access.subkeys.identify(ids) != ref.content:
            self.wrong[where] = "its map lists other chunks than its manifest says"

    def _look_up(self, entry: Location, where: str) -> None:
        self.used.add(entry.pack)
        size = self._size(entry.pack)
        if size is None:
            self.faults.setdefault(entry.pack, Fault("missing", "this pack is missing"))
        elif size < entry.offset + entry.length:
            found = f"this pack is cut short: {size} bytes are left"
            self.faults.setdefault(entry.pack, Fault("short", found))
        table = self._tables.get(entry.pack)
        if table is not None and not is_listed(entry, table):
            self.wrong[where] = f"refers to something that pack {entry.pack.hex()} does not hold"

    def _size(self, pack: bytes) -> int | None:
        """Of a pack that may have been written after the packs were listed."""
        if pack not in self._sizes:
            size = self._access.store.size(pack_key(pack))
            if size is None:
                return None
            self._sizes[pack] = size
        return self._sizes[pack]


class Damage(t.NamedTuple):
    """What a faulty pack does to restore points."""

    lost: list[Hit]
    healed: int  # blobs that are bad there and good elsewhere
    used: bool  # whether anything refers to the pack


class HitFinder:
    """Reads what restore points need of faulty packs, and says what cannot be had any more."""

    def __init__(self, access: Access, faults: Iterable[bytes]) -> None:
        self._access = access
        self._states: dict[Location, str] = {}
        self._inside: dict[Location, list[tuple[int, Location]]] = {}
        self.damage = {pack: Damage([], 0, False) for pack in faults}

    def run(self, points: Iterable[RestorePoint]) -> dict[bytes, Damage]:
        for point in points:
            for disk in point.disks:
                self._disk(point, disk)
        for where, state in self._states.items():
            damage = self.damage[where.pack]
            self.damage[where.pack] = damage._replace(
                used=True, healed=damage.healed + (state == HEALED)
            )
        return self.damage

    def _disk(self, point: RestorePoint, disk: PointDisk) -> None:
        chunk = self._access.config.chunk_size
        for group, ref in enumerate(disk.maps):
            if ref is None:
                continue
            start = group * GROUP * chunk
            if self._state(ref.location, LARGEST) == LOST:
                self._lost(ref.location.pack, point, disk, start, GROUP * chunk)
                continue
            for inside, entry in self._hit_in(ref.location, disk, group):
                self._lost(entry.pack, point, disk, start + inside * chunk, chunk)

    def _hit_in(self, where: Location, disk: PointDisk, group: int) -> list[tuple[int, Location]]:
        """The lost chunks of a map; many restore points share it."""
        if where not in self._inside:
            try:
                entries = list(enumerate(self._access.load_map(disk, group)))
            except DiskError:  # its pack is among the faulty ones, or was not a moment ago
                entries = []
            self._inside[where] = [
                (inside, entry)
                for inside, entry in entries
                if entry is not None and self._state(entry, LARGEST_CHUNK) == LOST
            ]
        return self._inside[where]

    def _state(self, where: Location, most: int) -> str:
        if where.pack not in self.damage:
            return GOOD
        if where not in self._states:
            self._states[where] = self._try(where, most)
        return self._states[where]

    def _try(self, where: Location, most: int) -> str:
        for read, state in ((self._access.packs.read, GOOD), (self._access.read_blob, HEALED)):
            try:
                read(where, most)
            except DiskError:
                continue
            return state
        return LOST

    def _lost(
        self, pack: bytes, point: RestorePoint, disk: PointDisk, start: int, length: int
    ) -> None:
        lost = self.damage[pack].lost
        length = min(length, disk.size - start)
        hit = Hit(point.id, point.source_name, disk.name, start, length)
        last = lost[-1] if lost else None
        if last and last[:3] == hit[:3] and last.offset + last.length == start:
            lost[-1] = last._replace(length=last.length + length)
        else:
            lost.append(hit)
