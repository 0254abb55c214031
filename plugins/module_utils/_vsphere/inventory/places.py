# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where things are in an inventory: folders, datacenters, clusters, hosts, pools, datastores."""

from __future__ import annotations

import dataclasses
import re
import typing as t

from ..._device.errors import ObjectNotFound
from ..connection import libraries
from ..connection.collect import collect_kinds
from ..connection.names import plain

if t.TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from ..connection.session import Session

# What users call them, the kinds of managed objects that are one, and what lists the VMs of one.
KINDS: dict[str, tuple[str, ...]] = {
    "datacenter": ("Datacenter",),
    "folder": ("Folder",),
    "cluster": ("ClusterComputeResource",),
    "lone host": ("ComputeResource",),  # what a host that is in no cluster is in
    "host": ("HostSystem",),
    "resource_pool": ("ResourcePool", "VirtualApp"),
    "datastore": ("Datastore",),
}
_MEMBERS = {
    "HostSystem": "vm",
    "ResourcePool": "vm",
    "VirtualApp": "vm",
    "Datastore": "vm",
    "Folder": "childEntity",
}
_ENOUGH = 10  # names in an error


@dataclasses.dataclass(frozen=True)
class Place:
    """One of them. `members` are the ids of its VMs, where they were asked for."""

    ref: t.Any
    kind: str
    name: str
    parent: str | None
    members: tuple[str, ...] = ()
    folder: str | None = None  # of a vApp, which is in a folder of VMs and in a resource pool


class Places:
    """All places of an inventory, by id. `hostname` is whose, for messages."""

    def __init__(self, places: Iterable[Place], hostname: str) -> None:
        self.hostname = hostname
        self._by_id = {place.ref._moId: place for place in places}

    def path(self, moref: str | None) -> str:
        """As in /DC0/vm/web, without the root folder."""
        names = [place.name for place in self._upwards(moref) if place.parent is not None]
        return "".join(f"/{name}" for name in reversed(names))

    def name(self, moref: str | None) -> str | None:
        """The name that a user sees: of `%2f`, a slash."""
        place = self._by_id.get(moref or "")
        return plain(place.name) if place else None

    def above(self, moref: str | None, what: str) -> Place | None:
        """The nearest place that is, or holds, this one: its cluster, its datacenter, …"""
        return next((one for one in self._upwards(moref) if one.kind in KINDS[what]), None)

    def find(self, what: str, patterns: Collection[str]) -> list[Place]:
        """Those whose name or path a pattern fits. Raises ObjectNotFound for one that fits none."""
        there = [place for place in self._by_id.values() if place.kind in KINDS[what]]
        named = [(place, plain(place.name), self.path(place.ref._moId)) for place in there]
        found: dict[str, Place] = {}
        for pattern in patterns:
            matches = matcher(pattern)
            fit = [place for place, name, path in named if matches(name) or matches(path)]
            if not fit:
                there_are = sorted({name for _place, name, _path in named})
                raise nothing(self.hostname, what.replace("_", " "), pattern, there_are)
            found.update((place.ref._moId, place) for place in fit)
        return list(found.values())

    def machines(self, places: Iterable[Place]) -> set[str]:
        """The ids of all VMs in these places, which are all of one sort, and beneath them."""
        roots = {place.ref._moId: place.kind for place in places}
        of_folders = not set(KINDS["folder"]).isdisjoint(roots.values())
        found = set[str]()
        for moref, place in self._by_id.items():
            start = self.folder(moref) if of_folders else moref
            if place.members and any(one.ref._moId in roots for one in self._upwards(start)):
                found.update(place.members)
        return found

    def folder(self, moref: str | None) -> str | None:
        """The id of the folder of VMs that a place is: a folder itself, or that of the vApp which a
        resource pool is, or is in."""
        place = self._by_id.get(moref or "")
        if place is None or place.kind in KINDS["folder"]:
            return moref
        return next((one.folder for one in self._upwards(moref) if one.folder is not None), None)

    def _upwards(self, moref: str | None) -> Iterator[Place]:
        while moref is not None and moref in self._by_id:
            place = self._by_id[moref]
            yield place
            moref = place.parent


def read_places(session: Session, members_of: Collection[str] = ()) -> Places:
    """The whole tree. VMs are listed of places of these kinds. Raises DiskError."""
    vim = libraries.vim()
    asked = {kind for what in members_of for kind in _listing(what)}
    wanted = {}
    for kind in (kind for kinds in KINDS.values() for kind in kinds):
        members = [_MEMBERS[kind]] if kind in asked else []
        folder = ["parentFolder"] if kind == "VirtualApp" else []
        wanted[getattr(vim, kind)] = ["name", "parent", *folder, *members]
    found = (_place(ref, values) for ref, values in collect_kinds(session, wanted))
    return Places(found, session.vcenter.hostname)


def matcher(pattern: str) -> t.Callable[[str], bool]:
    """Of whole names: `*` is anything, `?` one character, and nothing else is special."""
    parts = ({"*": ".*", "?": "."}.get(character) or re.escape(character) for character in pattern)
    compiled = re.compile("".join(parts), re.DOTALL)
    return lambda text: compiled.fullmatch(text) is not None


def _listing(what: str) -> tuple[str, ...]:
    if what == "cluster":  # it knows its hosts only
        return KINDS["host"]
    if what == "folder":  # it does not know the VMs of its vApps
        return KINDS["folder"] + KINDS["resource_pool"]
    return KINDS[what]


def _place(ref: t.Any, values: Mapping[str, t.Any]) -> Place:
    kind = type(ref).__name__.rpartition(".")[2]
    members = values.get(_MEMBERS.get(kind, ""), ())
    machine = libraries.vim().VirtualMachine
    parent, folder = values.get("parent"), values.get("parentFolder")
    return Place(
        ref,
        kind,
        values.get("name", ref._moId),
        None if parent is None else parent._moId,
        tuple(one._moId for one in members if isinstance(one, machine)),
        None if folder is None else folder._moId,
    )


def nothing(hostname: str, what: str, pattern: str, there: list[str]) -> ObjectNotFound:
    """The error for a pattern that fits none of what there is."""
    names = ", ".join(there[:_ENOUGH]) + (", …" if len(there) > _ENOUGH else "")
    return ObjectNotFound(
        f"there is no {what} {pattern!r}, or the user may not see it",
        path=hostname,
        expected=f"one of: {names}" if there else f"any {what} to be visible",
    )
