# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""What the manifests and maps of a repository refer to; nothing is guessed."""

from __future__ import annotations

import typing as t

from ..._device.errors import DiskError, DiskNotFound, RepositoryDamaged
from ..catalog.maps import packs_needed
from ..format.manifest import PREFIX as POINTS
from .healers import healing_packs

if t.TYPE_CHECKING:
    from ..access import Access
    from ..format.manifest import RestorePoint
    from ..format.pack import Location


class Manifests(t.NamedTuple):
    """`problems` are those that cannot be read: nobody knows what they need."""

    points: list[RestorePoint]
    problems: tuple[str, ...]


def read_manifests(access: Access, without: frozenset[str] = frozenset()) -> Manifests:
    """From the store itself, all but the keys `without`. Raises DiskIOError."""
    points, problems = [], []
    for key in sorted(stored.key for stored in access.store.list(POINTS)):
        if key in without:
            continue
        try:
            points.append(access.read_manifest(key))
        except DiskNotFound:  # dropped while we listed
            continue
        except RepositoryDamaged as error:
            problems.append(str(error))
    return Manifests(points, tuple(problems))


def maps_of(points: list[RestorePoint]) -> dict[Location, str]:
    """Every map once, and the name of the first point that has it."""
    maps: dict[Location, str] = {}
    for point in points:
        for disk in point.disks:
            for ref in disk.maps:
                if ref is not None:
                    maps.setdefault(ref.location, f"{point.source_name}@{point.id}")
    return maps


def needed_by(access: Access, points: list[RestorePoint], problems: list[str]) -> frozenset[bytes]:
    """The packs that restoring these points reads, also in place of damaged ones. What nobody
    knows is told in `problems`.

    Raises DiskIOError.
    """
    names = maps_of(points)
    packs, damaged = set[bytes](), set[bytes]()
    for place, found in packs_needed(access, names):
        if not isinstance(found, DiskError):
            packs |= found
            continue
        if not isinstance(found, RepositoryDamaged):
            raise found
        try:
            packs |= _from_a_copy(access, place)
            damaged.add(place.pack)
        except RepositoryDamaged as error:
            problems.append(f"{names[place]}: {error}")
    return frozenset(packs | healing_packs(access, names, packs, damaged))


def _from_a_copy(access: Access, place: Location) -> frozenset[bytes]:
    """Where its own pack is damaged, any pack that has the map will do."""
    entries = access.read_map(place, anywhere=True)
    return frozenset((place.pack, *(entry.pack for entry in entries if entry is not None)))
