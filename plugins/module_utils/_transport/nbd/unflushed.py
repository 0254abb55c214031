# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What was written, and may be in the memory of the server only."""

from __future__ import annotations

import threading
import typing as t

LIMIT = 64 << 20  # bytes kept; then the server is asked to store them


class Written(t.NamedTuple):
    """data: None for zeros."""

    offset: int
    length: int
    data: bytes | None


class Unflushed:
    """A server that is started anew may have lost all that it was not asked to flush; so that is
    kept here, and sent once more after a connection was lost. NFS does the same (RFC 8881, 3.2)."""

    def __init__(self) -> None:
        self._kept: list[Written] = []
        self._forgotten = 0  # of those that ever were
        self._lock = threading.Lock()
        self._bytes = 0

    def add(self, written: Written) -> None:
        """Acknowledged by the server."""
        with self._lock:
            self._kept.append(written)
            self._bytes += len(written.data or b"")

    @property
    def is_much(self) -> bool:
        """Time to flush."""
        return self._bytes >= LIMIT

    def all(self) -> list[Written]:
        """In the order of writing."""
        with self._lock:
            return list(self._kept)

    def mark(self) -> int:
        """For forget(): all until now. Several threads may flush at the same time."""
        with self._lock:
            return self._forgotten + len(self._kept)

    def forget(self, mark: int) -> None:
        """All until then are stored for good."""
        with self._lock:
            count = max(0, mark - self._forgotten)
            gone, self._kept = self._kept[:count], self._kept[count:]
            self._bytes -= sum(len(written.data or b"") for written in gone)
            self._forgotten += len(gone)
