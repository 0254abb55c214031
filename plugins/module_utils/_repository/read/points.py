# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Listing restore points and finding the one that a user means."""

from __future__ import annotations

import re
import typing as t

from ..._device.errors import (
    AmbiguousRestorePoint,
    DiskError,
    DiskNotFound,
    RepositoryDamaged,
    RestorePointNotFound,
)
from ..._device.pipeline import ordered_map
from ..catalog.chunks import READERS
from ..catalog.summaries import change_summaries, load_summaries, open_summary, seal_summary
from ..format.manifest import KEY, PREFIX, RestorePoint
from .late import LateManifest, LateMaps

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..access import Access
    from ..catalog.summaries import Kept

LATEST = "latest"
_SHOWN = 5  # points that an error message lists


class PointRef(t.NamedTuple):
    """What a reference named: a point, and one of its disks if the user said which."""

    point: RestorePoint
    disk: str | None


def load_points(access: Access, source_id: str | None = None) -> list[RestorePoint]:
    """Newest last. Points that cannot be read are among them, with a problem.

    Only what the catalog does not know yet is read; maps are read when they are asked for.
    """
    prefix = PREFIX if source_id is None else f"{PREFIX}{source_id}/"
    known = load_summaries(access.catalog, prefix)
    listed = {stored.key: stored.version for stored in access.store.list(prefix)}
    listed = {key: version for key, version in listed.items() if KEY.fullmatch(key)}
    points = [
        point
        for key, kept in known.items()
        if listed.get(key) == kept.version and (point := _open(access, key, kept))
    ]
    gone = known.keys() - listed.keys()
    points += _read_new(access, listed, {point.key for point in points}, gone)
    return sorted(points, key=lambda point: (point.exact, point.id))


def _read_new(
    access: Access, listed: dict[str, str], known: set[str], gone: Iterable[str]
) -> list[RestorePoint]:
    points, kept = [], {}
    missing = [key for key in listed if key not in known]
    for key, point in ordered_map(lambda key: (key, _load(access, key)), missing, READERS):
        if point is not None and point.problem is None:
            kept[key] = seal_summary(access.catalog, point, listed[key])
            point = _open(access, key, kept[key])  # without its maps, which are most of it
        if point is not None:
            points.append(point)
    change_summaries(access.catalog, kept, gone)
    return points


def _open(access: Access, key: str, kept: Kept) -> RestorePoint | None:
    manifest = LateManifest(access)
    manifest.point = open_summary(
        access.catalog, key, kept, access.store.url, lambda number: LateMaps(manifest, number)
    )
    return manifest.point


def _load(access: Access, key: str) -> RestorePoint | None:
    try:
        return access.read_manifest(key)
    except DiskNotFound:  # deleted since it was listed
        return None
    except DiskError as error:
        return _unreadable(access, t.cast("re.Match[str]", KEY.fullmatch(key)), str(error))


def _unreadable(access: Access, match: re.Match[str], problem: str) -> RestorePoint:
    source_id, point_id, year, month, day, hour, minute, second = match.groups()
    return RestorePoint(
        id=point_id,
        name=point_id,
        # As late as it can have been: `latest` must not pass over it.
        exact=f"{year}-{month}-{day}T{hour}:{minute}:{second}.999999Z",
        source_kind="",
        source_id=source_id,
        source_name="",
        source_facts={},
        disks=[],
        stored=0,
        repository=access.store.url,
        id_hash=access.config.id_hash,
        problem=problem,
    )


def of_source(points: list[RestorePoint], source: str) -> list[RestorePoint]:
    """The points of every source that has, or ever had, this name or id."""
    ids = {point.source_id for point in points if source in (point.source_id, point.source_name)}
    return [point for point in points if point.source_id in ids]


def find_point(points: list[RestorePoint], reference: str) -> PointRef:
    """The point that `SOURCE@POINT[#DISK]`, or a bare point id or name, names.

    Raises RestorePointNotFound, AmbiguousRestorePoint, and RepositoryDamaged for a point with a
    problem.
    """
    source, at, rest = reference.rpartition("@")
    wanted, _hash, disk = rest.partition("#")
    candidates = of_source(points, source) if at else points
    if wanted == LATEST and at:
        matches = _latest_of_each(candidates)
    else:
        matches = [point for point in candidates if _answers_to(point, wanted)]
    if not matches:
        raise _not_found(reference, candidates or points)
    if len(matches) > 1:
        raise AmbiguousRestorePoint(
            f"{len(matches)} restore points answer to {reference!r}",
            path=points[0].repository,
            found=_listing(matches),
            hint="Name one by its id.",
        )
    point = matches[0]
    _check(point, candidates)
    if disk and disk not in (known.name for known in point.disks):
        raise _no_disk(point, disk)
    return PointRef(point, disk or None)


def _answers_to(point: RestorePoint, wanted: str) -> bool:
    return wanted in (point.id, point.name, point.created)


def _latest_of_each(points: list[RestorePoint]) -> list[RestorePoint]:
    """Newest first by source; `points` has the newest last."""
    return list({point.source_id: point for point in points}.values())


def _check(point: RestorePoint, candidates: list[RestorePoint]) -> None:
    if point.problem is None:
        return
    readable = [
        other
        for other in candidates
        if other.problem is None and other.source_id == point.source_id
    ]
    hint = f"The newest that can be read is {readable[-1].id}." if readable else None
    raise RepositoryDamaged(
        f"restore point {point.id} cannot be used: {point.problem}",
        path=point.repository,
        hint=hint,
    )


def disk_of(point: RestorePoint, name: str) -> int:
    """The position of a disk in point.disks. Raises RestorePointNotFound."""
    for number, disk in enumerate(point.disks):
        if disk.name == name:
            return number
    raise _no_disk(point, name)


def _no_disk(point: RestorePoint, name: str) -> RestorePointNotFound:
    return RestorePointNotFound(
        f"restore point {point.id} has no disk {name!r}",
        path=point.repository,
        found=", ".join(disk.name for disk in point.disks) or "no disk",
    )


def _not_found(reference: str, points: list[RestorePoint]) -> RestorePointNotFound:
    return RestorePointNotFound(
        f"no restore point answers to {reference!r}",
        path=points[0].repository if points else None,
        found=_listing(points) if points else "no restore point at all",
        hint="Write SOURCE@latest, SOURCE@NAME, SOURCE@2026-11-22T02:00:00Z or the id of a point.",
    )


def _listing(points: list[RestorePoint]) -> str:
    """The newest few, newest first."""
    newest = [_label(point) for point in reversed(points[-_SHOWN:])]
    more = len(points) - len(newest)
    return "; ".join(newest) + (f"; and {more} older" if more else "")


def _label(point: RestorePoint) -> str:
    name = "" if point.name == point.id else f" {point.name!r}"
    return f"{point.source_name or point.source_id}@{point.id}{name}"
