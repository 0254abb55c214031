# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Choosing virtual machines out of an inventory of any size."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import ObjectNotFound
from ..connection import libraries
from ..connection.collect import collect
from ..connection.names import plain
from .places import Place, Places, matcher, nothing, read_places

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from ..connection.session import Session
    from .tags import Tags

PATHS = (
    "name",
    "parent",
    "runtime.host",
    "runtime.powerState",
    "config.template",
    "config.instanceUuid",
    "config.uuid",
    "resourcePool",
    "customValue",
)
# Options of a selection that name places, and the field of Selection each is in.
_LOCATIONS = {
    "cluster": "clusters",
    "host": "hosts",
    "folder": "folders",
    "resource_pool": "resource_pools",
    "datastore": "datastores",
}


@dataclasses.dataclass(frozen=True)
class Selection:
    """What a VM must be. Of several values of one field any will do; every field must be met.

    Names are patterns with * and ?. Places may be given by their path, tags as `category:name`, VMs
    by their moref or UUID. Whatever is beneath a folder or a resource pool is in it.
    """

    names: tuple[str, ...] = ()
    clusters: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()
    resource_pools: tuple[str, ...] = ()
    datastores: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    power_state: str | None = None
    template: bool | None = None


@dataclasses.dataclass(frozen=True)
class Chosen:
    """A VM that was selected, and where it is. Names are as users see them."""

    ref: t.Any
    name: str
    instance_uuid: str | None
    uuid: str | None
    power_state: str
    template: bool
    datacenter: str | None
    cluster: str | None
    host: str | None
    folder: str | None
    resource_pool: str | None
    attributes: Mapping[str, str]

    @property
    def moref(self) -> str:
        return str(self.ref._moId)


def select(session: Session, selection: Selection, tags: Tags) -> Iterator[Chosen]:
    """The VMs that `selection` means, each once, in vCenter's order.

    Raises ObjectNotFound where a place, a tag or an attribute is not there: a typing mistake must
    not look like an empty selection. DiskError.
    """
    given = [what for what, field in _LOCATIONS.items() if getattr(selection, field)]
    places = read_places(session, given)
    fields = _attribute_names(session)
    fits = _test(selection, fields, session.vcenter.hostname)
    for ref, values in _candidates(session, selection, places, given, tags):
        chosen = _chosen(ref, values, places, fields)
        if fits(chosen):
            yield chosen


def _candidates(
    session: Session, selection: Selection, places: Places, given: list[str], tags: Tags
) -> Iterator[tuple[t.Any, dict[str, t.Any]]]:
    """Ask for as few as possible: what places and tags say is known before any VM is looked at."""
    machine = libraries.vim().VirtualMachine
    sets = [
        places.machines(places.find(what, getattr(selection, _LOCATIONS[what]))) for what in given
    ]
    if selection.tags:
        sets.append(tags.machines_with(selection.tags))
    within = _datacenter(session, places)
    root = None if within is None else within.ref
    if not sets and selection.names:
        sets.append(_named(session, selection.names, root))
    if not sets:
        yield from collect(session, machine, PATHS, container=root)
        return
    morefs = sorted(set.intersection(*sets))
    objects = [machine(moref, session.content.rootFolder._stub) for moref in morefs]
    for ref, values in collect(session, machine, PATHS, objects=objects):
        if within is None or _is_in(places, values, within):
            yield ref, values


def _named(session: Session, patterns: Iterable[str], root: t.Any) -> set[str]:
    """The ids of VMs by what they are called: of many, no more than that is read."""
    paths = ("name", "config.instanceUuid", "config.uuid")
    rows = collect(session, libraries.vim().VirtualMachine, paths, container=root)
    names = [matcher(pattern) for pattern in patterns]
    return {
        ref._moId
        for ref, values in rows
        if _is_called(names, plain(values.get("name", "")), ref._moId, *map(values.get, paths[1:]))
    }


def _datacenter(session: Session, places: Places) -> Place | None:
    """Raises ObjectNotFound where there is none, or where there are several of that name."""
    wanted = session.vcenter.datacenter
    if wanted is None:
        return None
    found = places.find("datacenter", [f"/{wanted.strip('/')}" if "/" in wanted else wanted])
    if len(found) > 1:
        raise ObjectNotFound(
            f"several datacenters have the name {wanted}",
            path=session.vcenter.hostname,
            found=", ".join(sorted(places.path(each.ref._moId) for each in found)),
            hint="Say which by its path.",
        )
    return found[0]


def _is_in(places: Places, values: Mapping[str, t.Any], datacenter: Place) -> bool:
    # Whichever of them the user may see.
    above = (values.get(name) for name in ("parent", "resourcePool", "runtime.host"))
    found = (places.above(_id(each), "datacenter") for each in above)
    there = next((each for each in found if each is not None), None)
    return there is not None and there.ref._moId == datacenter.ref._moId


def _test(
    selection: Selection, fields: Mapping[int, str], hostname: str
) -> Callable[[Chosen], bool]:
    """What is left to be looked at on the VM itself."""
    names = [matcher(pattern) for pattern in selection.names]
    wanted = {name: matcher(value) for name, value in selection.attributes.items()}
    for name in wanted:
        if name not in fields.values():
            raise nothing(hostname, "custom attribute", name, sorted(set(fields.values())))

    def fits(one: Chosen) -> bool:
        return (
            (not names or _is_called(names, one.name, one.moref, one.instance_uuid, one.uuid))
            and all(
                name in one.attributes and match(one.attributes[name])
                for name, match in wanted.items()
            )
            and selection.power_state in (None, one.power_state)
            and selection.template in (None, one.template)
        )

    return fits


def _is_called(names: Iterable[Callable[[str], bool]], *texts: str | None) -> bool:
    return any(matches(text) for matches in names for text in texts if text)


def _attribute_names(session: Session) -> dict[int, str]:
    """Of custom attributes, by key. An ESXi host has none."""
    manager = session.content.customFieldsManager
    if manager is None:
        return {}
    fields = session.read(lambda: manager.field, "read the custom attributes")
    return {field.key: field.name for field in fields or ()}


def _chosen(
    ref: t.Any, values: Mapping[str, t.Any], places: Places, fields: Mapping[int, str]
) -> Chosen:
    host = _id(values.get("runtime.host"))
    # A VM of a vApp is in no folder of its own.
    folder = _id(values.get("parent")) or places.folder(_id(values.get("resourcePool")))
    cluster = places.above(host, "cluster")
    datacenter = places.above(host, "datacenter")
    custom = values.get("customValue") or ()
    return Chosen(
        ref,
        name=plain(values.get("name", ref._moId)),
        instance_uuid=values.get("config.instanceUuid"),
        uuid=values.get("config.uuid"),
        power_state=str(values.get("runtime.powerState", "unknown")),
        template=bool(values.get("config.template", False)),
        datacenter=None if datacenter is None else plain(datacenter.name),
        cluster=None if cluster is None else plain(cluster.name),
        host=places.name(host),
        folder=places.path(folder) if folder else None,
        resource_pool=places.name(_id(values.get("resourcePool"))),
        attributes={fields[one.key]: one.value for one in custom if one.key in fields},
    )


def _id(ref: t.Any) -> str | None:
    return None if ref is None else ref._moId
