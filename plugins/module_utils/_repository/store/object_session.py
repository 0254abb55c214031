# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A session in an object store: an empty object that its writer puts again every hour."""

from __future__ import annotations

import os
import typing as t

from .session import SESSIONS, Heartbeat

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from .protocol import Store


class ObjectSession:
    """A writer at work."""

    def __init__(self, store: Store, touch: Callable[[str], None]) -> None:
        self.key = f"{SESSIONS}{os.urandom(16).hex()}"
        self._store = store
        self._store.put(self.key, b"")
        self._heartbeat = Heartbeat(lambda: touch(self.key))

    def is_alive(self) -> bool:
        return self._store.size(self.key) is not None

    def end(self) -> None:
        self._heartbeat.stop()
        self._store.delete(self.key)
