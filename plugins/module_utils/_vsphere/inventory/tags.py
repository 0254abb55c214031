# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Tags of virtual machines, by category and name."""

from __future__ import annotations

import typing as t
from concurrent.futures import ThreadPoolExecutor

from ..._device.errors import ObjectNotFound
from .places import matcher, nothing

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ..connection.rest import Rest

_ASSOCIATION = "cis/tagging/tag-association"
_MACHINE = "VirtualMachine"
# The API tells of one tag at a time.
_THREADS = 8
_AT_ONCE = 1000  # machines in one question


class Tags:
    """Of one vCenter. What a tag is called is asked for once."""

    def __init__(self, rest: Rest) -> None:
        self._rest = rest
        self._labels: dict[str, str] | None = None

    @property
    def labels(self) -> dict[str, str]:
        """`category:name` by the id of a tag. Raises DiskError."""
        if self._labels is None:
            categories = {each["id"]: each["name"] for each in self._all("cis/tagging/category")}
            self._labels = {
                tag["id"]: f"{categories.get(tag['category_id'], '?')}:{tag['name']}"
                for tag in self._all("cis/tagging/tag")
            }
        return self._labels

    def machines_with(self, patterns: Iterable[str]) -> set[str]:
        """The ids of the VMs with any of these tags, each `name` or `category:name`.

        Raises ObjectNotFound for a tag that is not there, DiskError.
        """
        tags = {tag for pattern in patterns for tag in self._find(pattern)}
        found = self._rest.post(
            _ASSOCIATION, "list-attached-objects-on-tags", {"tag_ids": sorted(tags)}
        )
        return {
            one["id"]
            for each in found or ()
            for one in each["object_ids"] or ()
            if one["type"] == _MACHINE
        }

    def of_machines(self, morefs: Collection[str]) -> dict[str, list[str]]:
        """The tags of VMs, by id, as `category:name`. Raises DiskError."""
        found: dict[str, list[str]] = {}
        waiting = list(morefs)
        if not self.labels:
            return found
        for start in range(0, len(waiting), _AT_ONCE):
            objects = [{"id": one, "type": _MACHINE} for one in waiting[start : start + _AT_ONCE]]
            answer = self._rest.post(
                _ASSOCIATION, "list-attached-tags-on-objects", {"object_ids": objects}
            )
            for each in answer or ():
                labels = (self.labels.get(tag) for tag in each["tag_ids"] or ())
                found[each["object_id"]["id"]] = sorted(label for label in labels if label)
        return found

    def attach(self, moref: str, labels: Iterable[str]) -> list[str]:
        """Put tags, as `category:name`, on a VM; those that are not there are returned.

        Raises DiskError.
        """
        ids = {label: tag for tag, label in self.labels.items()}
        wanted = list(labels)
        body = {
            "object_id": {"id": moref, "type": _MACHINE},
            "tag_ids": [ids[label] for label in wanted if label in ids],
        }
        if body["tag_ids"]:
            self._rest.post(_ASSOCIATION, "attach-multiple-tags-to-object", body)
        return [label for label in wanted if label not in ids]

    def _find(self, pattern: str) -> list[str]:
        matches = matcher(pattern)
        found = [
            tag
            for tag, label in self.labels.items()
            if matches(label) or matches(label.partition(":")[2])
        ]
        if not found:
            hostname, there = self._rest.vcenter.hostname, sorted(self.labels.values())
            raise nothing(hostname, "tag", pattern, there)
        return found

    def _all(self, path: str) -> list[t.Any]:
        ids = self._rest.get(path) or []
        with ThreadPoolExecutor(_THREADS) as pool:
            found = pool.map(lambda one: self._one(path, one), ids)
            return [each for each in found if each is not None]

    def _one(self, path: str, item: str) -> t.Any:
        """None where somebody has deleted it meanwhile."""
        try:
            return self._rest.get(path, item)
        except ObjectNotFound:
            return None
