# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where else the content of a damaged blob is stored: an id is content, whatever pack it is in."""

from __future__ import annotations

import threading
import typing as t

from .._device.errors import DiskError
from .format.pack import find_in_table, pack_name

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from .format.pack import Location, PackReader
    from .store.protocol import Store


class Copies:
    """The tables of all packs, read when the first damage is met and never before."""

    def __init__(self, store: Store, packs: PackReader) -> None:
        self._store, self._packs = store, packs
        self._lock = threading.Lock()
        self._tables: dict[bytes, bytes] | None = None

    def others(self, where: Location) -> Iterator[Location]:
        """Every place outside of the pack of `where` that should hold the same content."""
        for pack, table in self._load().items():
            if pack != where.pack:
                yield from find_in_table(pack, table, where.id)

    def _load(self) -> dict[bytes, bytes]:
        with self._lock:
            if self._tables is None:
                try:
                    self._tables = dict(self._read_all())
                except DiskError:  # no list of packs: what was met first is the better message
                    return {}
            return self._tables

    def _read_all(self) -> Iterator[tuple[bytes, bytes]]:
        for stored in list(self._store.list("packs/")):
            pack = pack_name(stored.key)
            if pack is None:
                continue
            try:
                yield pack, self._packs.raw_table(pack, stored.size)
            except DiskError:  # one more damaged pack; others may hold what it held
                continue
