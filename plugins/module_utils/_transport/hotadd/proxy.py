# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""The virtual machine that this host is, in the vCenter of the disks."""

from __future__ import annotations

import typing as t

from ..._device.errors import AccessDenied, TransportUnavailable, VSphereFault
from ..._vsphere.connection.collect import properties
from ..._vsphere.inventory.named_vm import find_vm
from ..._vsphere.machine.machine import Machine, look_at
from ..._vsphere.machine.uuids import plain_uuid

if t.TYPE_CHECKING:
    from ..._vsphere.connection.session import Session
    from .this_host import ThisHost

_OVERRIDE = "Name the virtual machine that this host is in the option proxy_vm."


def find_proxy(session: Session, named: str | None, host: ThisHost) -> Machine:
    """The one that is named, or has this host's BIOS uuid; and in any case truly this host.

    Raises TransportUnavailable, ObjectNotFound, DiskError.
    """
    candidates = [find_vm(session, named)] if named else _by_bios_uuid(session, host)
    found, unlike = [], []
    for vm in candidates:
        try:
            machine = look_at(session, vm)
        except (AccessDenied, VSphereFault) as error:  # a copy on a host that is away, perhaps
            unlike.append(str(error))
            continue
        why = _unlike(session, machine, host)
        if why is None:
            found.append(machine)
        else:
            unlike.append(f"{machine.name}: {why}")
    if len(found) == 1:
        return found[0]
    raise _not_one(session, host, found, unlike)


def _by_bios_uuid(session: Session, host: ThisHost) -> list[t.Any]:
    index, found = session.content.searchIndex, {}
    for uuid in host.uuids:
        vms = session.read(
            lambda uuid=uuid: index.FindAllByUuid(  # type: ignore[misc]
                uuid=uuid, vmSearch=True, instanceUuid=False
            ),
            "look for the virtual machine that this host is",
        )
        found.update({vm._moId: vm for vm in vms or ()})
    return list(found.values())


def _unlike(session: Session, machine: Machine, host: ThisHost) -> str | None:
    """Why it is not this host. A copy of a machine may have the same BIOS uuid."""
    if not machine.is_on:
        return "it is not running"
    uuid = str(properties(session, machine.ref, ("config.uuid",)).get("config.uuid", ""))
    if host.uuids and uuid.lower() not in host.uuids:
        return f"its BIOS uuid is {uuid}, and that of this host {host.bios_uuid}"
    if _macs(machine) & host.macs or _disks(machine) & host.disks:
        return None
    if not machine.enable_uuid and not _macs(machine):
        return "it has no network address to know it by; set disk.EnableUUID = TRUE"
    return "none of its network addresses and disks is one of this host: a copy of it?"


def _macs(machine: Machine) -> set[str]:
    addresses = (getattr(device, "macAddress", None) for device in machine.devices)
    return {str(mac).lower() for mac in addresses if mac}


def _disks(machine: Machine) -> set[str]:
    known = (getattr(disk.backing, "uuid", None) for disk in machine.disks)
    return {plain_uuid(uuid) for uuid in known if uuid}


def _not_one(
    session: Session, host: ThisHost, found: list[Machine], unlike: list[str]
) -> TransportUnavailable:
    where = f"of the vCenter {session.vcenter.hostname}"
    if found:
        names = ", ".join(f"{machine.name} ({machine.ref._moId})" for machine in found)
        message = f"several virtual machines {where} look like this host"
        return TransportUnavailable(message, found=names, hint=_OVERRIDE)
    if unlike:
        return TransportUnavailable(
            f"this host is not that virtual machine {where}",
            found="; ".join(unlike),
            hint="Disks are attached to the machine that reads them, and to no other.",
        )
    return TransportUnavailable(
        f"this host is no virtual machine {where}",
        found=f"BIOS uuid {host.bios_uuid}" if host.bios_uuid else "no BIOS uuid",
        hint=f"Run the job on a virtual machine there. {_OVERRIDE}" if not host.bios_uuid else None,
    )
