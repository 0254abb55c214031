# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Telling how far a long job is, through a small file that anyone may read."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import typing as t

from .errors import from_oserror

INTERVAL = 0.5  # seconds between two writes of the file


class Progress(t.Protocol):
    """Receives how far one disk is."""

    def start(self, label: str, total: int) -> None:
        """A disk of `total` bytes begins."""

    def advance(self, count: int) -> None:
        """`count` bytes more are done. Any thread may call."""

    def finish(self) -> None:
        """The disk is done."""


class Silent:
    """Nobody is watching."""

    def start(self, label: str, total: int) -> None:
        """Nothing."""

    def advance(self, count: int) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class ProgressFile:
    """Keeps `{pid, label, done, total, seconds}` in a file, replaced as a whole, never torn.

    Progress is a courtesy: a file that cannot be written never stops the job. Only a folder that
    is gone says that whoever watches has, and then nothing is begun: raises DiskNotFound.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._label, self._done, self._total = "", 0, 0
        self._begin = self._written = time.monotonic()
        try:
            self._replace()  # says that the job lives
        except FileNotFoundError as error:
            raise from_oserror(error, "tell how far it is, so nothing was begun", path) from error
        except OSError:
            pass

    def start(self, label: str, total: int) -> None:
        with self._lock:
            self._label, self._done, self._total = label, 0, total
            self._begin = time.monotonic()
            self._write()

    def advance(self, count: int) -> None:
        with self._lock:
            self._done += count
            if time.monotonic() - self._written >= INTERVAL:
                self._write()

    def finish(self) -> None:
        with self._lock:
            self._done = self._total
            self._write()

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            self._replace()

    def _replace(self) -> None:
        self._written = time.monotonic()
        facts = {
            "pid": os.getpid(),
            "label": self._label,
            "done": self._done,
            "total": self._total,
            "seconds": round(self._written - self._begin, 3),
        }
        temporary = f"{self.path}.new"
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(facts, stream)
        os.replace(temporary, self.path)
