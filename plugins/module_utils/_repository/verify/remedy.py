# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a verification may change: packs into quarantine and out of it, and good twins copied."""

from __future__ import annotations

import typing as t

from ..format import times
from ..format.quarantine import Quarantine, encode, quarantine_key
from ..format.twins import mend_twins

if t.TYPE_CHECKING:
    from ..access import Access
    from .packs import Fault


class Remedy(t.NamedTuple):
    """Packs to put into quarantine, packs to let out of it, and keys to put back from twins."""

    faults: dict[bytes, Fault]
    lift: list[bytes]
    mend: list[str]

    @property
    def is_needed(self) -> bool:
        return any(self)


def apply_remedy(access: Access, remedy: Remedy) -> None:
    """Touches no restore point, only what writers use from now on. Raises NoSpace, DiskIOError."""
    session = access.store.begin_session()  # removal.py looks for it
    try:
        for pack, fault in remedy.faults.items():
            _put(access, pack, fault)
        for pack in remedy.lift:
            access.store.delete(quarantine_key(pack))
        if remedy.mend:
            mend_twins(access.store, access.subkeys)
    finally:
        session.end()


def _put(access: Access, pack: bytes, fault: Fault) -> None:
    when = times.to_second(times.now())
    document = Quarantine(pack, f"{fault.kind}: {fault.message}", when, fault.offsets)
    data = encode(document, access.config, access.subkeys)
    access.store.put(quarantine_key(pack), data)
