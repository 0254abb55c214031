# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A session in a local repository: an empty file, locked as long as its writer lives."""

from __future__ import annotations

import os
import typing as t

from ..._device.errors import from_oserror
from ..._device.files import remove_if_there
from .locked import create_locked
from .session import SESSIONS, Heartbeat

if t.TYPE_CHECKING:
    from .local_tree import LocalTree


class LocalSession:
    """A writer at work."""

    def __init__(self, tree: LocalTree) -> None:
        self.key = f"{SESSIONS}{os.urandom(16).hex()}"
        self._path = tree.path(self.key)
        tree.make_folder(os.path.dirname(self._path))
        self._fd = create_locked(self._path)
        self._heartbeat = Heartbeat(self._touch)  # for file systems that know no locks

    def is_alive(self) -> bool:
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except FileNotFoundError:
            return False
        except OSError as error:
            raise from_oserror(error, "look at it", self._path) from error

    def end(self) -> None:
        self._heartbeat.stop()
        remove_if_there(self._path)
        os.close(self._fd)

    def _touch(self) -> None:
        try:
            os.utime(self._fd)
        except OSError as error:
            raise from_oserror(error, "touch it", self._path) from error
