# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the simulator is at: what a client no longer waits for may still be carried out."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator


class UnderWay:
    """Requests and tasks that have begun and not ended."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()

    @contextlib.contextmanager
    def one_more(self) -> Iterator[None]:
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, number: int) -> None:
        with self._lock:
            self.count += number
