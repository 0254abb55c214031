# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The maps of a point, read when they are asked for: a list of thousands needs none."""

from __future__ import annotations

import threading
import typing as t
from collections.abc import Sequence

from ..._device.errors import DiskError, DiskNotFound, RepositoryDamaged, RestorePointNotFound
from ..catalog.summaries import change_summaries
from ..format.map import MapRef

if t.TYPE_CHECKING:
    from collections.abc import Iterator

    from ..access import Access
    from ..format.manifest import PointDisk, RestorePoint


def read_point(access: Access, point: RestorePoint) -> RestorePoint:
    """The same point with all its maps in memory. Raises RestorePointNotFound where it is gone
    meanwhile, RepositoryDamaged, DiskIOError."""
    try:
        found = access.read_manifest(point.key)
        if [disk.root for disk in found.disks] != [disk.root for disk in point.disks]:
            raise RepositoryDamaged("it holds another content than a moment ago", path=point.key)
    except DiskNotFound as error:
        raise RestorePointNotFound(
            f"restore point {point.id} was deleted a moment ago", path=point.repository
        ) from error
    except DiskError:
        # Storage that decays does not say so: lists would go on to call this point good.
        change_summaries(access.catalog, {}, [point.key])
        raise
    return found


class LateManifest:
    """Reads a manifest again, once."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._lock = threading.Lock()
        self._found: RestorePoint | None = None
        self.point: RestorePoint | None = None  # which one; known when its summary is

    def disk(self, number: int) -> PointDisk:
        with self._lock:
            if self._found is None:
                self._found = read_point(self._access, t.cast("RestorePoint", self.point))
            return self._found.disks[number]


class LateMaps(Sequence["MapRef | None"]):
    """The maps of one disk. What they are asked for raises what read_point() raises."""

    def __init__(self, manifest: LateManifest, number: int) -> None:
        self._manifest, self._number = manifest, number

    def _maps(self) -> Sequence[MapRef | None]:
        return self._manifest.disk(self._number).maps

    def __len__(self) -> int:
        return len(self._maps())

    @t.overload
    def __getitem__(self, index: int) -> MapRef | None: ...

    @t.overload
    def __getitem__(self, index: slice) -> Sequence[MapRef | None]: ...

    def __getitem__(self, index: int | slice) -> MapRef | Sequence[MapRef | None] | None:
        return self._maps()[index]

    def __iter__(self) -> Iterator[MapRef | None]:
        return iter(self._maps())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]
