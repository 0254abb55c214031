# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where a machine is made again: where users say, else where it was, as far as that is there."""

from __future__ import annotations

import dataclasses
import typing as t

from ...._device.errors import InvalidRequest, ObjectNotFound
from ...._vsphere.connection import libraries
from ...._vsphere.connection.collect import collect, properties
from ...._vsphere.inventory.places import read_places
from ...._vsphere.vmconfig.devices import datastore_of
from ...._vsphere.vmconfig.identity import check_identity
from ...._vsphere.vmconfig.placement import KEEP, NEW, Placement
from ...._vsphere.vmconfig.plain import REFERENCE

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ...._vsphere.connection.session import Session
    from ...._vsphere.inventory.places import Places

AUTO = "auto"


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What users say of the new machine's place. Names, or paths in the inventory."""

    host: str | None = None
    cluster: str | None = None
    resource_pool: str | None = None
    folder: str | None = None
    datastore: str | None = None
    network_map: Mapping[str, str] = dataclasses.field(default_factory=dict)
    datastore_map: Mapping[str, str] = dataclasses.field(default_factory=dict)


def place_machine(
    session: Session, document: dict[str, t.Any], wanted: Wanted, name: str
) -> Placement:
    """With new ids and addresses. Raises ObjectNotFound, InvalidRequest, DiskError."""
    finder = _Finder(session, document, wanted)
    pool = finder.pool()
    folder = finder.folder(pool)
    placement = Placement(
        folder=folder,
        pool=pool,
        host=finder.host(pool),
        name=None if name == document["name"] else name,
        network_map=wanted.network_map,
        datastore_map=_datastores(document, wanted),
    )
    finder.check_datastores(folder, placement.datastore_map)
    return placement


def with_identity(
    session: Session, document: dict[str, t.Any], placement: Placement, identity: str
) -> Placement:
    """`auto`: ids and addresses are kept if nobody else has them. Raises DiskError."""
    if identity != AUTO:
        return dataclasses.replace(placement, mac=identity, uuid=identity)
    mac = dataclasses.replace(placement, mac=KEEP, uuid=NEW)
    uuid = dataclasses.replace(placement, mac=NEW, uuid=KEEP)
    return dataclasses.replace(
        placement,
        mac=KEEP if _is_free(session, document, mac) else NEW,
        uuid=KEEP if _is_free(session, document, uuid) else NEW,
    )


def _is_free(session: Session, document: dict[str, t.Any], placement: Placement) -> bool:
    try:
        check_identity(session, document, placement)
    except InvalidRequest:
        return False
    return True


class _Finder:
    def __init__(self, session: Session, document: dict[str, t.Any], wanted: Wanted) -> None:
        self._session, self._document, self._wanted = session, document, wanted
        self._places: Places = read_places(session)

    def pool(self) -> t.Any:
        """A resource pool: of a host or a cluster the one at its root."""
        wanted = self._wanted
        if wanted.resource_pool is not None:
            return self._in_cluster(wanted.resource_pool, wanted.cluster)
        if wanted.cluster is not None:
            return self._root_pool(self._one("cluster", wanted.cluster))
        if wanted.host is not None:
            host = self._one("host", wanted.host)
            return self._root_pool(properties(self._session, host, ("parent",))["parent"])
        recorded = self._recorded("resourcePool", "resource_pool")
        host = self._recorded("runtime.host", "host")
        if recorded is None and host is not None:  # templates are in no pool
            return self._root_pool(properties(self._session, host, ("parent",))["parent"])
        if recorded is None:
            raise ObjectNotFound(
                "where the machine was is not there, or not to be told from others",
                path=self._session.vcenter.hostname,
                found=f"no resource pool {self._recorded_name('resourcePool')}",
                hint="Say where to make it: cluster, host or resource_pool.",
            )
        if isinstance(recorded, libraries.vim().VirtualApp):  # only the vApp itself makes those
            return self._root_pool(properties(self._session, recorded, ("owner",))["owner"])
        return recorded

    def host(self, pool: t.Any) -> t.Any:
        """None where vCenter is to choose one."""
        if self._wanted.host is not None:
            return self._one("host", self._wanted.host)
        owner = properties(self._session, pool, ("owner",))["owner"]
        facts = properties(self._session, owner, ("host", "configurationEx"))
        paths = ("runtime.connectionState", "runtime.inMaintenanceMode")
        kind = libraries.vim().HostSystem
        usable = {
            ref._moId: ref
            for ref, row in collect(self._session, kind, paths, objects=facts.get("host", ()))
            if row.get(paths[0]) == "connected" and not row.get(paths[1])
        }
        recorded = self._recorded("runtime.host", "host")
        if recorded is not None and recorded._moId in usable:
            return recorded
        drs = getattr(facts.get("configurationEx"), "drsConfig", None)
        if drs is not None and drs.enabled:
            return None
        return next(iter(usable.values()), None)  # a cluster without DRS chooses none

    def folder(self, pool: t.Any) -> t.Any:
        """Of the datacenter that the pool is in."""
        datacenter = self._places.above(pool._moId, "datacenter")
        if self._wanted.folder is not None:
            return self._one("folder", self._wanted.folder)
        recorded = self._recorded("parent", "folder")
        if recorded is not None and datacenter is not None:
            there = self._places.above(recorded._moId, "datacenter")
            if there is not None and there.ref._moId == datacenter.ref._moId:
                return recorded
        if datacenter is None:
            raise ObjectNotFound(
                "the datacenter of the resource pool is not to be seen",
                path=self._session.vcenter.hostname,
                hint="Name a folder, and give the user System.View on the datacenter.",
            )
        return properties(self._session, datacenter.ref, ("vmFolder",))["vmFolder"]

    def check_datastores(self, folder: t.Any, datastore_map: Mapping[str, str]) -> None:
        """Before anything is made. Raises ObjectNotFound."""
        datacenter = self._places.above(folder._moId, "datacenter")
        if datacenter is None:
            return
        stores = properties(self._session, datacenter.ref, ("datastore",)).get("datastore", ())
        kind = libraries.vim().Datastore
        rows = collect(self._session, kind, ("name",), objects=stores)
        there = {str(row["name"]) for _ref, row in rows if "name" in row}
        for recorded in _recorded_datastores(self._document):
            name = datastore_map.get(recorded, recorded)
            if name not in there:
                raise ObjectNotFound(
                    f"there is no datastore {name} in {datacenter.name}",
                    path=self._session.vcenter.hostname,
                    found=", ".join(sorted(there)) or "none that the user may see",
                    hint=f"Say in datastore_map which one to use in place of {recorded}, or in"
                    " datastore which one to use for all.",
                )

    def _in_cluster(self, pool: str, cluster: str | None) -> t.Any:
        found = self._places.find("resource_pool", [pool])
        if cluster is not None:
            within = self._one("cluster", cluster)
            found = [each for each in found if self._cluster_of(each.ref) == within._moId]
        return self._only("resource pool", pool, [each.ref for each in found])

    def _cluster_of(self, pool: t.Any) -> str | None:
        cluster = self._places.above(pool._moId, "cluster")
        return None if cluster is None else cluster.ref._moId

    def _root_pool(self, compute: t.Any) -> t.Any:
        return properties(self._session, compute, ("resourcePool",))["resourcePool"]

    def _one(self, what: str, name: str) -> t.Any:
        found = [each.ref for each in self._places.find(what, [name])]
        return self._only(what.replace("_", " "), name, found)

    def _only(self, what: str, name: str, found: list[t.Any]) -> t.Any:
        if len(found) == 1:
            return found[0]
        raise InvalidRequest(
            f"several places are a {what} {name}" if found else f"there is no such {what} {name}",
            path=self._session.vcenter.hostname,
            found=", ".join(self._places.path(each._moId) for each in found) or None,
            hint="Name it by its path.",
        )

    def _recorded(self, path: str, what: str) -> t.Any:
        """What was recorded, by its id in the same vCenter, else the only one of that name."""
        text = (self._document["place"].get(path) or {}).get(REFERENCE)
        if text is None:
            return None
        moref = text.partition(":")[2]
        if self._document["vcenter"] == self._session.identity and self._places.name(moref):
            return next(ref for ref in self._all(what) if ref._moId == moref)
        name = self._recorded_name(path)
        found = [ref for ref in self._all(what) if self._places.name(ref._moId) == name]
        return found[0] if len(found) == 1 else None

    def _recorded_name(self, path: str) -> str | None:
        text = (self._document["place"].get(path) or {}).get(REFERENCE)
        name: str | None = self._document["names"].get(text)
        return name

    def _all(self, what: str) -> list[t.Any]:
        return [each.ref for each in self._places.find(what, ["*"])]


def _datastores(document: dict[str, t.Any], wanted: Wanted) -> dict[str, str]:
    if wanted.datastore is None:
        return dict(wanted.datastore_map)
    all_to_one = dict.fromkeys(_recorded_datastores(document), wanted.datastore)
    return {**all_to_one, **wanted.datastore_map}


def _recorded_datastores(document: dict[str, t.Any]) -> list[str]:
    """Of the home, and of all disks."""
    paths = [document["files"]["vmx"]]
    paths += [
        device["backing"]["fileName"]
        for device in document["devices"]
        if "capacityInKB" in device and (device.get("backing") or {}).get("fileName")
    ]
    return sorted({datastore_of(path) for path in paths})
