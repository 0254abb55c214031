# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""An object on its way into an object store."""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from ..._device.device import Buffer
    from .protocol import Store


class ObjectUpload:
    """Kept in memory, since a pack is known by its content and at most 64 MiB."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._data = bytearray()

    def write(self, data: Buffer) -> None:
        self._data += memoryview(data).cast("B")

    def commit(self, key: str) -> bool:
        data, self._data = self._data, bytearray()
        return self._store.put(key, data, if_absent=True)

    def abort(self) -> None:
        self._data = bytearray()
