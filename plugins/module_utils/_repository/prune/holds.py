# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Points that nobody may drop."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskNotFound, RepositoryDamaged
from ..format import times
from ..format.hold import PREFIX, Hold, decode_hold, encode_hold

if t.TYPE_CHECKING:
    import datetime

    from ..access import Access
    from ..format.manifest import RestorePoint


def hold_key(point: RestorePoint) -> str:
    return PREFIX + point.id


def load_holds(access: Access, without: frozenset[str] = frozenset()) -> list[Hold]:
    """All but the documents with the keys `without`.

    Raises RepositoryDamaged for one that cannot be read: what it protects is not known.
    """
    holds = []
    for key in sorted(stored.key for stored in access.store.list(PREFIX)):
        if key in without:
            continue
        try:
            data = access.store.get(key)
            holds.append(decode_hold(key, data, access.config, access.subkeys))
        except DiskNotFound:  # released meanwhile
            continue
        except RepositoryDamaged as error:
            raise RepositoryDamaged(
                f"a hold cannot be read, so nothing is dropped: {error.message}",
                path=key,
                hint=f"Release it (release: [{key[len(PREFIX) :]}]) and hold the point anew.",
            ) from error
    return holds


def put_hold(access: Access, point: RestorePoint, reason: str, now: datetime.datetime) -> None:
    """From now on nobody drops this point."""
    hold = Hold(hold_key(point), point.key, reason, times.to_second(now))
    access.store.put(hold.key, encode_hold(hold, access.config, access.subkeys))
