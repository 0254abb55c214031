# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where else the content of a damaged blob is stored: an id is content, whatever pack it is in."""

from __future__ import annotations

import threading
import typing as t

from .._device.errors import DiskError
from .catalog.chunks import find_chunks, list_packs

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .catalog.catalog import Catalog
    from .format.pack import Location, PackReader
    from .store.protocol import Store


class Copies:
    """What the tables of packs say; they are read when the first damage is met and never before."""

    def __init__(self, catalog: Callable[[], Catalog], store: Store, reader: PackReader) -> None:
        """catalog() opens it; without damage, nobody needs it."""
        self._catalog, self._store, self._reader = catalog, store, reader
        self._lock = threading.Lock()
        self._packs: set[bytes] | None = None

    def others(self, where: Location) -> Iterator[Location]:
        """Every place outside of the pack of `where` that should hold the same content."""
        packs = self._list() - {where.pack}
        return find_chunks(self._catalog(), where.id, packs)

    def _list(self) -> set[bytes]:
        """The packs whose tables can be read. Of others, nobody knows what they hold."""
        with self._lock:
            if self._packs is None:
                try:
                    self._packs = list_packs(self._catalog(), self._store, self._reader).usable
                except DiskError:  # no list of packs: what was met first is the better message
                    return set()
            return self._packs
