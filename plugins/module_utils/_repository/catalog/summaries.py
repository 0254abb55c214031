# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Restore points without their maps: all that a list of them needs."""

from __future__ import annotations

import dataclasses
import json
import typing as t

from ..format.manifest import PointDisk, RestorePoint
from .database import CatalogLost

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from ..format.map import MapRef
    from .catalog import Catalog

    MapsOf = Callable[[int], Sequence[MapRef | None]]  # by the position of the disk

_ELSEWHERE = ("disks", "repository", "root", "maps")  # members that are not simply JSON
_MEMBERS = "".join(field.name for field in dataclasses.fields(RestorePoint))
_DISK_MEMBERS = "".join(field.name for field in dataclasses.fields(PointDisk))


class Kept(t.NamedTuple):
    """What was kept of a manifest, and the version of the object that it was read from."""

    version: str
    sealed: bytes


def load_summaries(catalog: Catalog, prefix: str) -> dict[str, Kept]:
    """By the keys of the manifests; not checked yet. Nothing where the catalog was lost."""
    try:
        rows = catalog.database.rows(
            "SELECT key, version, body FROM points WHERE key >= ? AND key < ?",
            (prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1)),
        )
    except CatalogLost:
        return {}
    return {key: Kept(version, sealed) for key, version, sealed in rows}


def change_summaries(catalog: Catalog, kept: dict[str, Kept], gone: Iterable[str]) -> None:
    rows = [(key, *value) for key, value in kept.items()]
    forgotten = [(key,) for key in gone]
    if not rows and not forgotten:
        return
    try:
        with catalog.database.transaction():
            catalog.database.change("DELETE FROM points WHERE key = ?", forgotten)
            catalog.database.change("INSERT OR REPLACE INTO points VALUES (?, ?, ?)", rows)
    except CatalogLost:  # they are read again another time
        return


def seal_summary(catalog: Catalog, point: RestorePoint, version: str) -> Kept:
    facts = {**_plain(point), "disks": [_plain_disk(disk) for disk in point.disks]}
    return Kept(version, catalog.seal(_name(point.key, version), json.dumps(facts).encode()))


def open_summary(
    catalog: Catalog, key: str, kept: Kept, url: str, maps_of: MapsOf
) -> RestorePoint | None:
    """None: it is not what was kept."""
    body = catalog.unseal(_name(key, kept.version), kept.sealed)
    if body is None:
        return None
    facts = json.loads(body)
    disks = [
        PointDisk(**{**disk, "root": bytes.fromhex(disk["root"]), "maps": maps_of(number)})
        for number, disk in enumerate(facts["disks"])
    ]
    return RestorePoint(**{**facts, "repository": url, "disks": disks})


def _plain(item: RestorePoint | PointDisk) -> dict[str, t.Any]:
    names = (field.name for field in dataclasses.fields(item))
    return {name: getattr(item, name) for name in names if name not in _ELSEWHERE}


def _plain_disk(disk: PointDisk) -> dict[str, t.Any]:
    return {**_plain(disk), "root": disk.root.hex()}


def _name(key: str, version: str) -> str:
    """Newer versions of the collection may keep more: theirs are not ours."""
    return f"{key} {version} {_MEMBERS} {_DISK_MEMBERS}"
