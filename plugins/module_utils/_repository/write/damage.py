# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What a backup does about damage that it met."""

from __future__ import annotations

import typing as t

from ..format.pack import pack_key
from ..format.quarantine import Quarantine, encode, quarantine_key

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..access import Access


def quarantine(access: Access, packs: Iterable[bytes], when: str) -> list[str]:
    """See to it that nobody, on whatever host, uses these packs again; warnings for the user."""
    warnings = []
    for pack in sorted(packs):
        record = Quarantine(pack, "a full backup met damage in it", when, ())
        data = encode(record, access.config, access.subkeys)
        access.store.put(quarantine_key(pack), data, if_absent=True)
        warnings.append(
            f"{access.store.url}/{pack_key(pack)} is damaged. What this backup needs of it was"
            " stored again; vmdk_verify tells what else is hit."
        )
    return warnings
