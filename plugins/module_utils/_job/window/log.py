# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What happened in a window, line by line: the only thing that its proxies share.

Each line is one event, appended under a lock. A line that a crash tore is left out.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import typing as t

from ..._device.errors import from_oserror

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    Event = dict[str, t.Any]


class Log:
    """Between __enter__ and __exit__ nobody else reads or writes it."""

    def __init__(self, path: str) -> None:
        self.path = path

    @contextlib.contextmanager
    def locked(self) -> Iterator[Log]:
        """Raises DiskIOError, AccessDenied."""
        try:
            os.makedirs(os.path.dirname(os.path.abspath(self.path)), mode=0o700, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise from_oserror(error, "open the log of the window", self.path) from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX)
            yield self
        finally:
            os.close(self._fd)

    def events(self) -> list[Event]:
        found = []
        for line in os.pread(self._fd, os.fstat(self._fd).st_size, 0).splitlines():
            with contextlib.suppress(ValueError):
                event = json.loads(line)
                if isinstance(event, dict):
                    found.append(event)
        return found

    def append(self, event: Event) -> None:
        """Durable when it returns. A torn line before it must not swallow it."""
        data = b"\n" + json.dumps(event, sort_keys=True).encode() + b"\n"
        try:
            os.lseek(self._fd, 0, os.SEEK_END)
            if os.write(self._fd, data) != len(data):
                raise OSError(28, os.strerror(28))
            os.fsync(self._fd)
        except OSError as error:
            raise from_oserror(error, "write the log of the window", self.path) from error
