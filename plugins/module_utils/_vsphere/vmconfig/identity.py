# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Whether a new VM may have the identity of a recorded one: only where nobody else has it."""

from __future__ import annotations

import typing as t

from ..._device.errors import InvalidRequest
from ..connection import libraries
from ..connection.collect import collect, properties
from .placement import KEEP

if t.TYPE_CHECKING:
    from ..connection.session import Session
    from .placement import Placement


def check_identity(session: Session, document: dict[str, t.Any], placement: Placement) -> None:
    """Raises InvalidRequest, with the name of the VM that has what is to be kept; DiskError."""
    if placement.uuid == KEEP:
        _check_uuid(session, document["instance_uuid"], "instance uuid", is_instance=True)
        _check_uuid(session, document["uuid"], "BIOS uuid", is_instance=False)
    if placement.mac == KEEP:
        _check_addresses(session, document)


def _check_uuid(session: Session, uuid: str | None, what: str, *, is_instance: bool) -> None:
    if uuid is None:
        return
    index = session.content.searchIndex
    found = session.read(
        lambda: index.FindAllByUuid(uuid=uuid, vmSearch=True, instanceUuid=is_instance),
        f"look for its {what}",
    )
    for vm in found or ():
        name = properties(session, vm, ("name",)).get("name")
        raise _taken(vm, name, f"{what} {uuid}", "uuid")


def _check_addresses(session: Session, document: dict[str, t.Any]) -> None:
    """vCenter has no index of addresses: every VM is looked at."""
    wanted = {
        str(each["macAddress"]).lower() for each in document["devices"] if each.get("macAddress")
    }
    if not wanted:
        return
    paths = ("name", "config.hardware.device")
    for vm, row in collect(session, libraries.vim().VirtualMachine, paths):
        for device in row.get("config.hardware.device", ()):
            address = getattr(device, "macAddress", None)
            if address and address.lower() in wanted:
                raise _taken(vm, row.get("name"), f"MAC address {address}", "mac")


def _taken(vm: t.Any, name: str | None, what: str, option: str) -> InvalidRequest:
    return InvalidRequest(
        f"the virtual machine {name or 'without a name'} ({vm._moId}) has the {what} that is to be"
        " kept",
        hint=f"Let that one go first, or let the new one have another ({option}: new).",
    )
