# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The directory of a local repository."""

from __future__ import annotations

import os

from ..._device.errors import DiskExists, from_oserror
from ..._device.files import sync_directory


class LocalTree:
    """Keys are paths below its root."""

    def __init__(self, path: str) -> None:
        self.root = os.path.abspath(path)

    def path(self, key: str) -> str:
        return os.path.join(self.root, *key.split("/"))

    def make_folder(self, path: str) -> None:
        """Like mkdir -p, and durable. The root is made for its owner only."""
        if os.path.isdir(path):
            return
        parent = os.path.dirname(path)
        self.make_folder(parent)
        try:
            os.mkdir(path, 0o700 if path == self.root else 0o777)
            sync_directory(parent)
        except FileExistsError:  # another writer was faster
            if not os.path.isdir(path):
                raise DiskExists("a directory is needed here", path=path, found="a file") from None
        except OSError as error:
            raise from_oserror(error, "make the directory", path) from error
