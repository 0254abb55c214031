# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Deleting packs that nothing refers to. Why it is safe: docs/repository-format.md, "Deleting".

A pack is condemned in one run (a tomb is written), and deleted in a later one if every writer that
may not have seen the tomb is gone and if, after that, still no manifest refers to the pack.
"""

from __future__ import annotations

import os
import typing as t

from ..._device.errors import ObjectLocked
from ..format.pack import pack_key
from ..format.tomb import Tomb, encode_tomb, encode_witnesses, packs_key, witnesses_key
from .lease import living_sessions

if t.TYPE_CHECKING:
    from ..access import Access
    from .lease import Lease
    from .survey import Survey

_CHECKED = 64  # deletions after which we look again whether we are taken for dead


def collect(access: Access, lease: Lease, survey: Survey) -> int:
    """Do what the survey, which was made under this lease, found to be done; how many packs the
    store did not let us delete. Those leave the survey; the next collections find them again.

    Raises DiskInUse where the lease was lost, DiskIOError. It may end anywhere.
    """
    locked = _delete(access, lease, survey)
    survey.delete -= locked
    lease.check()
    made = [_condemn(access, written, packs) for written, packs in survey.condemn]
    _name_witnesses(access, lease, [*made, *survey.unwitnessed])
    # Last: until here what was condemned is so by the old tomb or by a new one.
    for tomb_id in survey.finished:
        lease.check()
        access.store.delete(packs_key(tomb_id))
        access.store.delete(witnesses_key(tomb_id))
    for key in survey.stale:
        access.store.delete(key)
    return len(locked)


def _delete(access: Access, lease: Lease, survey: Survey) -> frozenset[bytes]:
    """The packs that the store keeps."""
    locked = set()
    for number, pack in enumerate(sorted(survey.delete)):
        if number % _CHECKED == 0:
            lease.check()
        try:
            access.store.delete(pack_key(pack))
        except ObjectLocked:
            locked.add(pack)
    return frozenset(locked)


def _condemn(access: Access, written: str, packs: frozenset[bytes]) -> str:
    tomb = Tomb(os.urandom(16).hex(), written, packs)
    access.store.put(tomb.key, encode_tomb(tomb, access.config, access.subkeys))
    return tomb.id


def _name_witnesses(access: Access, lease: Lease, tombs: list[str]) -> None:
    """The tombs are there: a writer that begins from now on sees them. All others are witnesses,
    but for ourselves, since we refer to nothing any more."""
    if not tombs:
        return
    witnesses = living_sessions(access.store) - {lease.session.key}
    for tomb_id in tombs:
        data = encode_witnesses(tomb_id, witnesses, access.config, access.subkeys)
        access.store.put(witnesses_key(tomb_id), data)
