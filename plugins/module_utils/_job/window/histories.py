# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Which restore points are of which machine."""

from __future__ import annotations

import collections
import heapq
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    Row = dict[str, t.Any]
    Entries = dict[str, list[tuple[int, Row]]]


class Histories:
    """The good points of virtual machines among `points`, as vmdk_backup_info lists them."""

    def __init__(self, points: Iterable[Row]) -> None:
        self._by_uuid: Entries = collections.defaultdict(list)
        self._by_moref: Entries = collections.defaultdict(list)
        self._without_uuid: Entries = collections.defaultdict(list)
        for entry in enumerate(points):
            self._add(entry)

    def _add(self, entry: tuple[int, Row]) -> None:
        source = entry[1]["source"]
        if entry[1].get("problem") or source.get("kind") != "vm":
            return
        uuid, moref = source.get("instance_uuid"), source.get("moref", "")
        self._by_moref[moref].append(entry)
        if uuid:
            self._by_uuid[uuid].append(entry)
        else:
            self._without_uuid[moref].append(entry)

    def of(self, moref: str, uuid: str | None) -> list[Row]:
        """In their order. Its instance uuid stays, also where it is registered anew; without one,
        the id decides."""
        if not uuid:
            return [point for _number, point in self._by_moref.get(moref, ())]
        own, old = self._by_uuid.get(uuid, ()), self._without_uuid.get(moref, ())
        return [point for _number, point in heapq.merge(own, old, key=lambda entry: entry[0])]
