# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What every part needs to reach the objects of an opened repository."""

from __future__ import annotations

import typing as t

from .._device.errors import InvalidRequest, RepositoryDamaged
from .format.chunk import Codec
from .format.map import LARGEST, ChunkMap, chunk_count
from .format.pack import PackReader

if t.TYPE_CHECKING:
    from .format.config import Config
    from .format.manifest import PointDisk
    from .format.subkeys import SubKeys
    from .store.protocol import Store


class Access:
    """A store, how its repository is laid out, and the keys to it."""

    def __init__(self, store: Store, config: Config, subkeys: SubKeys) -> None:
        self.store, self.config, self.subkeys = store, config, subkeys
        self.codec = Codec()
        self.packs = PackReader(store, subkeys, self.codec)

    def load_map(self, disk: PointDisk, group: int) -> ChunkMap:
        """The map of a group that is not all zeros. Raises RepositoryDamaged."""
        ref = disk.maps[group]
        if ref is None:
            raise InvalidRequest(f"group {group} is all zeros and has no map", path=disk.name)
        data = self.packs.read(ref.location, LARGEST)
        try:
            return ChunkMap(data, chunk_count(disk.size, self.config.chunk_size, group))
        except ValueError as error:
            raise RepositoryDamaged(str(error), path=disk.name) from error
