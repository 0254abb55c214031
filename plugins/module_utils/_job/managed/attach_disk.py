# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A managed disk, or a first-class disk, at a virtual machine or away from it."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import DiskError, DiskInUse, InvalidRequest
from ..._vsphere.disks.attach import attach, change_mode, detach, disk_at, slot_on_controller
from ..._vsphere.disks.fcd import attach_first_class, detach_first_class
from ..._vsphere.disks.guestdisk import names_in_guest
from ..._vsphere.machine.free_slot import Wanted, find_slot
from ..._vsphere.machine.machine import look_at
from ..._vsphere.machine.uuids import api_uuid
from ..plan import Plan, Result, nothing_to_do
from . import attach_rules as rules
from .attach_scene import Scene, is_encrypted, look, with_uuid
from .names import refuse_working_name
from .work import told

if t.TYPE_CHECKING:
    from ..._vsphere.connection.session import Session
    from ..._vsphere.disks.fcd import FirstClassDisk
    from ..._vsphere.machine.free_slot import Slot
    from ..._vsphere.machine.machine import Attached, Machine, ManagedFile

PERSISTENT = "persistent"
MODES = (PERSISTENT, "independent_persistent", "independent_nonpersistent")
SHARINGS = ("none", "multiwriter")


@dataclasses.dataclass(frozen=True)
class AttachRequest:
    """`path` at, or away from, `vm`. None: as it is, or as usual for a disk newly attached."""

    path: str
    vm: str
    mode: str | None = None
    wanted: Wanted = dataclasses.field(default_factory=Wanted)
    sharing: str | None = None


def plan_attached(session: Session, request: AttachRequest) -> Plan:
    """Attach it, unless it is; then only its mode may change. Raises DiskError."""
    scene = look(session, request.path, request.vm)
    if scene.attached is not None:
        return _plan_as_attached(session, request, scene, scene.attached)
    return _plan_attach(session, request, scene)


def plan_detached(session: Session, request: AttachRequest) -> Plan:
    """Take it away from that machine; all files stay. Raises DiskError."""
    scene = look(session, request.path, request.vm)
    attached = scene.attached
    if attached is None:
        return nothing_to_do({"attachment": None}, {})
    rules.refuse_torn_chain(scene.machine, attached, request.path)
    warned = told(rules.warnings_of_detaching(scene.machine, attached))

    def apply() -> Result:
        _take_away(session, scene.machine, attached, request.path)
        return warned

    return Plan(_attachment(scene.machine, attached), {"attachment": None}, warned, apply)


def _take_away(session: Session, machine: Machine, attached: Attached, path: str) -> None:
    known = attached.device.vDiskId
    if known is not None:
        detach_first_class(session, machine.ref, known.id, path)
    else:
        detach(session, machine.ref, attached, path)


def _plan_attach(session: Session, request: AttachRequest, scene: Scene) -> Plan:
    machine = scene.machine
    refuse_working_name(scene.subject.place.path)
    rules.refuse_out_of_reach(session, machine, scene.subject.require_file())
    disk = with_uuid(session, scene.subject)
    mode, multi_writer = request.mode or PERSISTENT, request.sharing == "multiwriter"
    first_class = scene.subject.first_class
    rules.refuse_if_needed_elsewhere(session, disk, mode, multi_writer=multi_writer)
    if multi_writer:
        rules.refuse_sharing(machine)
    if first_class is not None:
        _check_first_class(request, machine, first_class)
    slot = find_slot(machine.devices, request.wanted)
    after = _foretold(machine, slot, mode, request.sharing or "none", disk.uuid)
    encrypted = is_encrypted(session, scene.subject)
    warned = told(rules.warnings_of_attaching(session, machine, disk, mode, encrypted=encrypted))

    def apply() -> Result:
        if first_class is not None:
            done = _attach_first_class(session, request, machine, first_class)
        else:
            done = attach(
                session,
                machine.ref,
                disk,
                wanted=request.wanted,
                mode=mode,
                multi_writer=multi_writer,
            )
        _refuse_second(session, machine, disk, done, multi_writer=multi_writer)
        return {**_attachment(look_at(session, machine.ref), done), **warned}

    return Plan({"attachment": None}, after, {**after, **warned}, apply)


def _refuse_second(
    session: Session, machine: Machine, disk: ManagedFile, done: Attached, *, multi_writer: bool
) -> None:
    """Another machine may have got the disk since we looked: then it goes again. vSphere itself
    minds only where both are running. Raises DiskInUse."""
    try:
        rules.refuse_if_needed_elsewhere(
            session, disk, done.mode or "", multi_writer=multi_writer, besides=machine
        )
    except DiskInUse as error:
        try:
            _take_away(session, machine, done, disk.path)
        except DiskError as failed:
            error.hint = (
                f"It could not be detached from {machine.name} again ({failed}), so it is attached"
                " there as well: detach it from one of them before anything is written to it."
            )
        raise


def _plan_as_attached(
    session: Session, request: AttachRequest, scene: Scene, attached: Attached
) -> Plan:
    """It is there: elsewhere at the machine, or shared otherwise, would need it to be detached."""
    before = _attachment(scene.machine, attached)
    _check_place(request, scene.machine, attached, before["attachment"])
    mode = request.mode
    if mode in (None, attached.mode):
        return nothing_to_do(before, before)
    rules.refuse_mode_change(scene.machine, attached, str(mode), request.path)
    after = {"attachment": {**before["attachment"], "mode": mode}}

    def apply() -> Result:
        change_mode(session, scene.machine.ref, attached, str(mode), request.path)
        return after

    return Plan(before, after, after, apply)


def _check_place(
    request: AttachRequest, machine: Machine, attached: Attached, facts: Result
) -> None:
    """Raises DiskInUse where it is attached otherwise than was asked for."""
    found = None
    if attached.slot is not None and not attached.slot.matches(request.wanted):
        found = f"{facts['name']} ({facts['controller']['type']})"
    elif request.sharing not in (None, facts["sharing"]):
        found = f"sharing: {facts['sharing']}"
    if found is not None:
        raise DiskInUse(
            f"it is attached to {machine.name} already, but otherwise",
            path=request.path,
            found=found,
            expected=_asked(request),
            hint="Detach it first (state: absent), or do not ask for that.",
        )


def _asked(request: AttachRequest) -> str:
    wanted = request.wanted
    asked = {
        "type": wanted.kind,
        "bus": wanted.bus,
        "unit": wanted.unit,
        "sharing": request.sharing,
    }
    return ", ".join(f"{name}: {value}" for name, value in asked.items() if value is not None)


def _check_first_class(request: AttachRequest, machine: Machine, disk: FirstClassDisk) -> None:
    """vSphere attaches first-class disks in its own way. Raises InvalidRequest, DiskInUse."""
    if request.sharing == "multiwriter":
        raise InvalidRequest(
            "a first-class disk cannot be attached with sharing: multiwriter", path=request.path
        )
    if request.mode not in (None, PERSISTENT) and machine.is_on:
        raise DiskInUse(
            f"vSphere attaches a first-class disk in mode {PERSISTENT}, and the mode cannot change"
            f" while {machine.name} is running",
            path=request.path,
            expected=request.mode,
            hint="Power it off first, or do not ask for a mode.",
        )
    if disk.consumers:
        raise DiskInUse(
            "the first-class disk is attached already",
            path=request.path,
            found=f"consumer {', '.join(disk.consumers)}",
            hint="Detach it there first. A container platform may have it attached: ask there.",
        )


def _attach_first_class(
    session: Session, request: AttachRequest, machine: Machine, disk: FirstClassDisk
) -> Attached:
    """vSphere chooses the mode. Where another is wanted and cannot be had, it is detached again."""
    slot = slot_on_controller(session, machine.ref, request.wanted)
    attach_first_class(session, machine.ref, disk, slot.key or 0, slot.unit)
    done = disk_at(look_at(session, machine.ref), slot)
    if request.mode in (None, done.mode):
        return done
    try:
        rules.refuse_mode_change(machine, done, str(request.mode), request.path)
        change_mode(session, machine.ref, done, str(request.mode), request.path)
    except BaseException:
        detach_first_class(session, machine.ref, disk.id, request.path)
        raise
    return disk_at(look_at(session, machine.ref), slot)


def _attachment(machine: Machine, attached: Attached) -> Result:
    """What is known of a disk that is attached."""
    slot, sharing = attached.slot, SHARINGS[attached.is_shared]
    facts = _facts(machine, slot, attached.mode or "", sharing, attached.uuid)
    return {"attachment": {**facts, "key": attached.device.key}}


def _foretold(machine: Machine, slot: Slot, mode: str, sharing: str, uuid: str | None) -> Result:
    """The same before it is done."""
    return {"attachment": {**_facts(machine, slot, mode, sharing, uuid), "key": None}}


def _facts(
    machine: Machine, slot: Slot | None, mode: str, sharing: str, uuid: str | None
) -> Result:
    scsi = slot is not None and slot.family == "scsi"
    return {
        "vm": machine.name,
        "moref": machine.ref._moId,
        "instance_uuid": machine.facts.get("config.instanceUuid"),
        "name": slot.name if slot else None,
        "controller": {"type": slot.kind, "bus": slot.bus} if slot else None,
        "unit": slot.unit if slot else None,
        "mode": mode,
        "sharing": sharing,
        "uuid": api_uuid(uuid) if uuid else None,
        "by_id": list(names_in_guest(uuid)) if scsi and uuid else [],
        "enable_uuid": machine.enable_uuid,
    }
