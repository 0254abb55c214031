# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The one step that makes a restore point exist. docs/repository-format.md, "Tombs"."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskExists, DiskInUse, RepositoryNotFound
from ..format.config import KEY
from ..format.manifest import encode
from ..read.avoid import check_tombs

if t.TYPE_CHECKING:
    from collections.abc import Callable

    from ..access import Access
    from ..format.manifest import RestorePoint
    from ..read.avoid import Avoid
    from ..store.protocol import Session

    Put = Callable[[str, bytes], bool]  # False if the key is taken


def commit_point(
    access: Access, point: RestorePoint, avoid: Avoid, session: Session, put: Put
) -> None:
    """Write the manifest, all packs of which are durable. `avoid` is what the writer knew when it
    began.

    Raises DiskInUse where what the point needs may be gone, DiskExists, RepositoryNotFound.
    """
    data = encode(point, access.config, access.subkeys)
    check_tombs(access, avoid, session.key)
    _check_alive(access, session)
    if not put(point.key, data):
        raise DiskExists("a restore point of this id is there already", path=point.key)
    try:
        _check_alive(access, session)
    except DiskInUse:
        access.store.delete(point.key)
        raise
    if access.store.size(KEY) is None:
        raise RepositoryNotFound(
            "the repository was removed while the backup ran", path=access.store.url
        )


def _check_alive(access: Access, session: Session) -> None:
    if not session.is_alive():
        raise DiskInUse(
            "this backup was taken for dead, so packs that it uses may have been deleted",
            path=access.store.url,
            found=f"{session.key} is gone",
            hint="Nothing was committed: run it again. What it stored is used again.",
        )
