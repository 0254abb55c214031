# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Removing a repository that nobody needs any more."""

from __future__ import annotations

from ..._device.errors import DiskError, DiskInUse, InvalidRequest
from ..format.config import KEY
from ..format.manifest import PREFIX as POINTS
from ..format.spare import delete_both, put_both, spare_key
from ..store.open import open_store

# What stands at the top of a repository, now or in later versions (docs/repository-format.md).
_USED = (KEY, "keys", "spare", "packs", "backups", "quarantine", "sessions", "tmp")
_RESERVED = ("locks", "tomb", "holds", "trash", "catalog")
_TOP = frozenset((*_USED, *_RESERVED))


def check_removable(url: str) -> None:
    """Raises InvalidRequest while there are restore points, readable or not, or foreign files;
    DiskInUse while a backup runs."""
    store = open_store(url)
    foreign = store.foreign(_TOP)
    if foreign is not None:
        raise InvalidRequest(
            "the directory holds something that is no part of a repository",
            path=url,
            found=foreign,
            hint="Move it elsewhere; nothing is deleted before.",
        )
    points = sum(1 for _stored in store.list(POINTS))
    if points:
        raise InvalidRequest(
            f"the repository holds {points} restore point{'s' if points > 1 else ''}",
            path=url,
            hint="Nothing is deleted while there is something to restore.",
        )
    sessions = store.sessions()
    if sessions:
        raise DiskInUse(
            "a backup into this repository is running",
            path=url,
            found=f"{store.url}/{sessions[0]}",
            hint="Wait for it to end, or end it.",
        )


def remove_repository(url: str) -> None:
    """Delete everything in it; repo.json first, so that half of it is no repository.

    Raises what check_removable() raises, DiskIOError; nothing is deleted then.
    """
    check_removable(url)
    store = open_store(url)
    data = store.get(KEY if store.size(KEY) is not None else spare_key(KEY))
    delete_both(store, KEY)
    try:
        # A backup that began since then is seen here, or it sees that repo.json is gone.
        check_removable(url)
    except DiskError:
        put_both(store, KEY, data)
        raise
    for stored in list(store.list("")):
        store.delete(stored.key)
    store.remove()
