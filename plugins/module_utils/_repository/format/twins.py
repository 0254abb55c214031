# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What has a spare copy: are both good, and putting back the one that is not."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError
from . import config as configuration
from . import keys
from .spare import spare_key

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ..store.protocol import Store
    from .subkeys import SubKeys

    Check = Callable[[str, bytes], object]  # raises RepositoryDamaged


class Twins(t.NamedTuple):
    """An object and its spare copy: what is wrong with each, and what they should be."""

    key: str
    wrong: DiskError | None
    spare_wrong: DiskError | None
    good: bytes | None  # None where nobody can tell


def examine_twins(store: Store, subkeys: SubKeys) -> Iterator[Twins]:
    """Every object that has a spare copy, or should have one. Raises DiskIOError."""
    yield _compare(
        store, configuration.KEY, lambda _key, data: configuration.verify(data, subkeys.sign)
    )
    for name in keys.key_names(store):
        yield _compare(store, name, keys.decode)


def mend_twins(store: Store, subkeys: SubKeys) -> list[str]:
    """Put back what is damaged or missing from its good twin; the keys that were written."""
    written = []
    for twins in examine_twins(store, subkeys):
        if twins.good is None:
            continue
        if twins.wrong is not None:
            store.put(twins.key, twins.good)
            written.append(twins.key)
        if twins.spare_wrong is not None:
            store.put(spare_key(twins.key), twins.good)
            written.append(spare_key(twins.key))
            if store.size(twins.key) is None:  # it was removed meanwhile: see delete_both()
                store.delete(spare_key(twins.key))
    return written


def _compare(store: Store, key: str, check: Check) -> Twins:
    data, wrong = _read(store, key, key, check)
    spare, spare_wrong = _read(store, spare_key(key), key, check)
    if data is not None and spare is not None and data != spare:
        # Both were written by holders of the key. What readers use decides.
        return Twins(key, None, _differs(key), data)
    return Twins(key, wrong, spare_wrong, spare if data is None else data)


def _differs(key: str) -> DiskError:
    return DiskError("is not the same as its twin", path=spare_key(key), expected=key)


def _read(
    store: Store, place: str, key: str, check: Check
) -> tuple[bytes | None, DiskError | None]:
    try:
        data = store.get(place)
        check(key, data)
    except DiskError as error:
        return None, error
    return data, None
