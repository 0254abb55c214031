# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Sessions: who is at work in a repository. docs/repository-format.md, "Sessions"."""

from __future__ import annotations

import threading
import typing as t

from ..._device.errors import DiskError

if t.TYPE_CHECKING:
    from collections.abc import Callable

SESSIONS = "sessions/"
TEMPORARY = "tmp/"  # what is not whole yet
# A writer says every now and then that it lives; who said nothing for so long is taken for dead.
GRACE = 24 * 3600  # seconds


class Heartbeat:
    """A thread that says every hour that the session lives."""

    def __init__(self, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._stop = threading.Event()
        self._beating = threading.Lock()
        threading.Thread(target=self._live, name="session", daemon=True).start()

    def _live(self) -> None:
        while not self._stop.wait(GRACE / 24):
            with self._beating:
                self._beat_once()

    def _beat_once(self) -> None:
        if self._stop.is_set():
            return
        try:
            self._beat()
        except DiskError:  # the next hour will do; the writer itself meets the trouble too
            pass

    def stop(self) -> None:
        """No more beats when it returns."""
        self._stop.set()
        with self._beating:
            pass
