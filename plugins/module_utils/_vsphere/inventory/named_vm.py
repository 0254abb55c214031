# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The one virtual machine that a user means by a name, a folder path, a uuid or a moref."""

from __future__ import annotations

import re
import typing as t

from ..._device.errors import InvalidRequest, ObjectNotFound
from ..connection import libraries
from ..connection.collect import collect, properties
from ..connection.datacenters import is_meant
from ..connection.names import plain
from .places import read_places

if t.TYPE_CHECKING:
    from ..connection.session import Session

_MOREF = re.compile(r"vm-\d+")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def find_vm(session: Session, text: str) -> t.Any:
    """By name and path, in the datacenter that the options name, or in all.

    Raises ObjectNotFound, and InvalidRequest with all candidates where there are several.
    """
    datacenter = session.vcenter.datacenter
    found = {vm._moId: vm for vm in _candidates(session, text, datacenter)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise InvalidRequest(
            f"several virtual machines answer to {text}",
            path=session.vcenter.hostname,
            found=_described(session, list(found.values())),
            hint="Say which one by its folder path, instance uuid or moref.",
        )
    where = f" in datacenter {datacenter}" if datacenter else ""
    raise ObjectNotFound(
        f"there is no virtual machine {text}{where}",
        path=session.vcenter.hostname,
        hint="A virtual machine is named by its name (web01), the path of its folder and its name"
        " (prod/web01), its instance uuid, or its moref (vm-123); and the user must be allowed to"
        " see it.",
    )


def _candidates(session: Session, text: str, datacenter: str | None) -> t.Iterator[t.Any]:
    if _MOREF.fullmatch(text):
        yield from _by_moref(session, text)
    if _UUID.fullmatch(text):
        yield from _by_uuid(session, text)
    roots = _vm_folders(session, datacenter)
    if "/" in text:
        for folder in roots:
            yield from _by_path(session, folder, text)
    else:
        for folder in roots:
            yield from _by_name(session, folder, text)


def _by_moref(session: Session, moref: str) -> t.Iterator[t.Any]:
    kind = libraries.vim().VirtualMachine
    try:
        vm = kind(moref, session.content.rootFolder._stub)
        properties(session, vm, ("name",))
    except ObjectNotFound:
        return
    yield vm


def _by_uuid(session: Session, uuid: str) -> t.Iterator[t.Any]:
    index = session.content.searchIndex
    yield from (
        session.read(
            lambda: index.FindAllByUuid(uuid=uuid, vmSearch=True, instanceUuid=True),
            "look for a virtual machine by its instance uuid",
        )
        or ()
    )


def _vm_folders(session: Session, datacenter: str | None) -> list[tuple[str, t.Any]]:
    """(name, folder of virtual machines) of the datacenter, or of all. Raises ObjectNotFound."""
    rows = list(collect(session, libraries.vim().Datacenter, ("name", "vmFolder")))
    found = [facts for ref, facts in rows if is_meant(session, ref, facts["name"])]
    if datacenter is not None and not found:
        raise ObjectNotFound(
            f"there is no datacenter {datacenter}",
            path=session.vcenter.hostname,
            found=", ".join(plain(facts["name"]) for _ref, facts in rows) or "none",
        )
    return [(plain(facts["name"]), facts["vmFolder"]) for facts in found]


def _by_path(session: Session, root: tuple[str, t.Any], path: str) -> t.Iterator[t.Any]:
    """`prod/web01`, and the whole `/DC0/vm/prod/web01`, too."""
    name, folder = root
    parts = path.strip("/").split("/")
    if parts[:2] == [name, "vm"]:
        parts = parts[2:]
    for part in parts:
        folder = _child(session, folder, part)
        if folder is None:
            return
    if isinstance(folder, libraries.vim().VirtualMachine):
        yield folder


def _child(session: Session, folder: t.Any, name: str) -> t.Any:
    """None where there is none."""
    index = session.content.searchIndex
    return session.read(
        lambda: index.FindChild(folder, name), "look for a virtual machine by its path"
    )


def _by_name(session: Session, root: tuple[str, t.Any], name: str) -> t.Iterator[t.Any]:
    kind = libraries.vim().VirtualMachine
    for vm, facts in collect(session, kind, ("name",), container=root[1]):
        if plain(facts.get("name", "")) == name:
            yield vm


def _described(session: Session, vms: list[t.Any]) -> str:
    """/DC0/vm/prod/web01 (moref, instance uuid) of each."""
    places = read_places(session)
    paths = ("name", "parent", "resourcePool", "config.instanceUuid")
    told = []
    for vm, facts in collect(session, libraries.vim().VirtualMachine, paths, objects=vms):
        above = facts.get("parent") or facts.get("resourcePool")  # of a vApp
        folder = places.path(places.folder(above._moId if above is not None else None))
        uuid = facts.get("config.instanceUuid", "no uuid")
        told.append(f"{folder}/{plain(facts.get('name', '?'))} ({vm._moId}, {uuid})")
    return "; ".join(sorted(told))
