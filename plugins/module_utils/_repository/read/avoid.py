# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Packs that a writer must not use again: condemned ones, and those in quarantine."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError, DiskInUse, DiskNotFound
from ..format.quarantine import quarantined
from ..format.tomb import PREFIX as TOMBS
from ..format.tomb import decode_tomb, decode_witnesses, tomb_of, witnesses_key

if t.TYPE_CHECKING:
    from ..access import Access


class Avoid(t.NamedTuple):
    """What packs_to_avoid() found. `everything`: no pack that exists may be used again."""

    packs: frozenset[bytes]
    everything: bool
    warnings: tuple[str, ...]
    tombs: frozenset[str]  # ids of the tombs that were there


def packs_to_avoid(access: Access) -> Avoid:
    """A writer calls it after it began its session, and lists packs and manifests only then.

    Raises DiskIOError where the store cannot be listed.
    """
    packs, warnings, tombs = set[bytes](), [], set[str]()
    for key in sorted(stored.key for stored in access.store.list(TOMBS)):
        known = tomb_of(key)
        if known is None:  # somebody's own file: no collection goes by it either
            continue
        tombs.add(known[0])
        if known[1] == "witnesses":
            continue
        try:
            packs |= _condemned(access, key)
        except DiskNotFound:  # done with meanwhile: what it condemned is gone, or was spared
            continue
        except DiskError as error:
            warnings.append(_nothing_reused(error))
    return Avoid(
        packs=frozenset(packs | quarantined(access.store)),
        everything=bool(warnings),
        warnings=tuple(warnings),
        tombs=frozenset(tombs),
    )


def check_tombs(access: Access, avoid: Avoid, session: str) -> None:
    """A writer calls it right before it commits, `session` being the key of its own session.

    Raises DiskInUse where a collection that does not know of this writer has begun meanwhile.
    """
    for stored in list(access.store.list(TOMBS)):
        known = tomb_of(stored.key)
        if known is None or known[1] != "witnesses" or known[0] in avoid.tombs:
            continue
        if session not in _witnesses(access, stored.key):
            raise DiskInUse(
                "packs that this backup uses may have been deleted meanwhile",
                path=access.store.url,
                found=witnesses_key(known[0]),
                hint="Nothing is lost and nothing was committed: run it again.",
            )


def _witnesses(access: Access, key: str) -> frozenset[str]:
    try:
        return decode_witnesses(key, access.store.get(key), access.config, access.subkeys)
    except DiskError as error:
        raise DiskInUse(
            f"nobody can tell whether packs of this backup are being deleted: {error}",
            path=access.store.url,
            hint="Nothing was committed: run it again.",
        ) from error


def _condemned(access: Access, key: str) -> frozenset[bytes]:
    return decode_tomb(key, access.store.get(key), access.config, access.subkeys).packs


def _nothing_reused(error: DiskError) -> str:
    return f"A list of packs to delete cannot be read, so nothing stored is used again: {error}"
