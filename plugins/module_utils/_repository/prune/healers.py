# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Packs that stand in for damaged ones: points made before the damage live on these copies."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError, RepositoryDamaged
from ..catalog.maps import packs_needed
from ..format.pack import locations, pack_sizes
from ..format.quarantine import quarantined

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..access import Access
    from ..format.pack import Location


def healing_packs(
    access: Access, maps: Iterable[Location], needed: set[bytes], damaged: set[bytes]
) -> set[bytes]:
    """Other packs with what `maps` need from packs that are missing, in quarantine or `damaged`.

    No map refers to them for that, so a collection would take them for garbage.
    """
    there = pack_sizes(access.store).keys()
    distrusted = quarantined(access.store) | damaged
    ill = needed & distrusted | needed - there
    wanted = _blobs_in(access, maps, ill) if ill else set()
    found = set[bytes]()
    for pack in sorted(there - distrusted, key=lambda pack: (pack not in needed, pack)):
        if not wanted:
            break
        try:
            ids = {blob.id for blob in locations(pack, access.packs.raw_table(pack))}
        except RepositoryDamaged:
            continue
        if wanted & ids:
            found.add(pack)
            wanted -= ids
    return found


def _blobs_in(access: Access, maps: Iterable[Location], packs: set[bytes]) -> set[bytes]:
    """The ids of the blobs in these packs that the maps need, the maps themselves among them."""
    ids = set[bytes]()
    for place, needs in packs_needed(access, maps):
        if place.pack in packs:
            ids.add(place.id)
        if isinstance(needs, DiskError) or needs & packs:
            ids.update(entry.id for entry in _entries(access, place) if entry.pack in packs)
    return ids


def _entries(access: Access, place: Location) -> list[Location]:
    """None where no copy can be read: whoever needs that is told elsewhere."""
    try:
        chunk_map = access.read_map(place, anywhere=True)
    except RepositoryDamaged:
        return []
    return [entry for entry in chunk_map if entry is not None]
