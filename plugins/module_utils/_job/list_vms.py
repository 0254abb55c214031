# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Virtual machines, and whether their disks can be protected."""

from __future__ import annotations

import dataclasses
import functools
import itertools
import typing as t

from .._vsphere.connection import libraries
from .._vsphere.connection.collect import collect
from .._vsphere.connection.rest import Rest
from .._vsphere.connection.session import open_session
from .._vsphere.inventory.inventory import select
from .._vsphere.inventory.protect import PATHS, examine
from .._vsphere.inventory.tags import Tags

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from .._vsphere.connection.session import Session
    from .._vsphere.connection.target import VCenter
    from .._vsphere.inventory.inventory import Chosen, Selection
    from .plan import Result

    # What more is known of some VMs, by moref.
    Lookup = Callable[[list[Chosen]], dict[str, dict[str, t.Any]]]

# Devices of a VM take some 100 KB of memory while they are looked at.
AT_ONCE = 500


def list_vms(
    vcenter: VCenter, selection: Selection, *, disks: bool = True, tags: bool = True
) -> Result:
    """vms, as vmdk_vm_info returns them. Raises DiskError."""
    with open_session(vcenter) as session, Rest(vcenter) as rest:
        return {"vms": list(described(session, selection, Tags(rest), disks=disks, tags=tags))}


def described(
    session: Session, selection: Selection, known: Tags, *, disks: bool = True, tags: bool = True
) -> Iterator[dict[str, t.Any]]:
    """The elements of vms, in vCenter's order. Raises DiskError."""
    lookups: list[Lookup] = [functools.partial(_tags, session, known)] if tags else []
    if disks:
        lookups.append(functools.partial(_reports, session))
    yield from _described(select(session, selection, known), lookups)


def _described(found: Iterator[Chosen], lookups: list[Lookup]) -> Iterator[dict[str, t.Any]]:
    while batch := list(itertools.islice(found, AT_ONCE)):
        more = [look_up(batch) for look_up in lookups]
        for one in batch:
            if all(one.moref in each for each in more):  # else it vanished meanwhile
                facts = (fact for each in more for fact in each[one.moref].items())
                yield {**_as_dict(one), **dict(facts)}


def _tags(session: Session, tags: Tags, batch: list[Chosen]) -> dict[str, dict[str, t.Any]]:
    # An ESXi host has no tags, and nobody to ask for them.
    has_tags = session.content.about.apiType == "VirtualCenter"
    found = tags.of_machines([one.moref for one in batch]) if has_tags else {}
    return {one.moref: {"tags": found.get(one.moref, [])} for one in batch}


def _reports(session: Session, batch: list[Chosen]) -> dict[str, dict[str, t.Any]]:
    machine = libraries.vim().VirtualMachine
    rows = collect(session, machine, PATHS, objects=[one.ref for one in batch])
    return {ref._moId: dataclasses.asdict(examine(values)) for ref, values in rows}


def _as_dict(one: Chosen) -> dict[str, t.Any]:
    return {
        "name": one.name,
        "moref": one.moref,
        "instance_uuid": one.instance_uuid,
        "uuid": one.uuid,
        "power_state": one.power_state,
        "template": one.template,
        "datacenter": one.datacenter,
        "cluster": one.cluster,
        "host": one.host,
        "folder": one.folder,
        "resource_pool": one.resource_pool,
        "custom_attributes": dict(one.attributes),
    }
