# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where the catalog of a repository is on this host."""

from __future__ import annotations

import hashlib
import os
import socket
import stat

VARIABLE = "VDISK_CACHE"


def catalog_path(repository_id: str, url: str) -> str | None:
    """A file that belongs to us alone, made if need be; None where that is not possible."""
    # The host is in the name: SQLite must not share a file over a network.
    place = hashlib.sha256(f"{url}\0{socket.gethostname()}".encode(errors="replace")).hexdigest()
    path = os.path.join(_folder(), f"{repository_id}-{place[:16]}.sqlite")
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        # SQLite gives the files beside it the same rights.
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    ours = stat.S_ISREG(status.st_mode) and status.st_uid == os.geteuid()
    return path if ours else None


def _folder() -> str:
    chosen = os.environ.get(VARIABLE)
    if chosen:
        return chosen
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the XDG specification: ignore others
        base = os.path.expanduser("~/.cache")
    return os.path.join(base, "vdisk.lifecycle")
