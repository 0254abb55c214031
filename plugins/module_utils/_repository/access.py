# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What every part needs to reach the objects of an opened repository."""

from __future__ import annotations

import threading
import typing as t

from .._device.errors import DiskError, DiskIOError, InvalidRequest, RepositoryDamaged
from .copies import Copies
from .format.chunk import Codec
from .format.manifest import decode
from .format.map import LARGEST, ChunkMap, chunk_count
from .format.pack import PackReader, pack_key

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .catalog.catalog import Catalog
    from .format.config import Config
    from .format.manifest import PointDisk, RestorePoint
    from .format.pack import Location
    from .format.subkeys import SubKeys
    from .store.protocol import Store

Result = t.TypeVar("Result")


class Access:
    """A store, how its repository is laid out, and the keys to it."""

    def __init__(self, store: Store, config: Config, subkeys: SubKeys) -> None:
        self.store, self.config, self.subkeys = store, config, subkeys
        self.codec = Codec()
        self.packs = PackReader(store, subkeys, self.codec)
        self._catalog: Catalog | None = None
        self._lock = threading.Lock()
        self.detours: dict[bytes, DiskError] = {}  # packs that were read around, and why
        self._copies = Copies(lambda: self.catalog, store, self.packs)

    @property
    def catalog(self) -> Catalog:
        """What this host knows of the repository; opened when it is first asked for."""
        from .catalog.catalog import Catalog

        with self._lock:
            if self._catalog is None:
                self._catalog = Catalog(self.config, self.subkeys, self.store.url)
            return self._catalog

    def read_chunk_into(self, where: Location, target: memoryview) -> None:
        """Fill target with a blob, from any pack that has it. Raises RepositoryDamaged."""
        self._read_somewhere(where, lambda place: self.packs.read_into(place, target))

    def read_blob(self, where: Location, most: int) -> bytearray:
        """A blob of at most `most` bytes, from any pack that has it. Raises RepositoryDamaged."""
        return self._read_somewhere(where, lambda place: self.packs.read(place, most))

    def read_manifest(self, key: str) -> RestorePoint:
        """Raises DiskNotFound, RepositoryDamaged."""
        return decode(key, self.store.get(key), self.config, self.subkeys, self.store.url)

    def read_map(self, place: Location, *, anywhere: bool = False) -> ChunkMap:
        """The map at this very place, or a copy of it anywhere. Raises RepositoryDamaged."""
        data = self.read_blob(place, LARGEST) if anywhere else self.packs.read(place, LARGEST)
        try:
            return ChunkMap.of_any_length(data)
        except ValueError as error:
            raise RepositoryDamaged(str(error), path=pack_key(place.pack)) from error

    def load_map(self, disk: PointDisk, group: int) -> ChunkMap:
        """The map of a group that is not all zeros. Raises RepositoryDamaged."""
        ref = disk.maps[group]
        if ref is None:
            raise InvalidRequest(f"group {group} is all zeros and has no map", path=disk.name)
        data = self.read_blob(ref.location, LARGEST)
        try:
            return ChunkMap(data, chunk_count(disk.size, self.config.chunk_size, group))
        except ValueError as error:
            raise RepositoryDamaged(str(error), path=disk.name) from error

    def _read_somewhere(self, where: Location, read: Callable[[Location], Result]) -> Result:
        try:
            return read(where)
        except (RepositoryDamaged, DiskIOError) as error:
            for place in self._copies.others(where):
                try:
                    content = read(place)
                except DiskError:
                    continue
                self.detours.setdefault(where.pack, error)
                return content
            raise
