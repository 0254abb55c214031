# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A machine of a restore point: the one that is there, or a new one."""

from __future__ import annotations

import re
import typing as t

from ...._device.errors import InvalidRequest, ObjectNotFound
from ...._vsphere.connection.names import plain
from ...._vsphere.inventory.named_vm import find_vm
from ...._vsphere.machine.machine import look_at
from ...._vsphere.snapshots.unfinished import mark_of
from .restore_in_place import is_recorded, not_recorded, plan_in_place
from .restore_new import plan_new
from .scene import CONFIGURATION, DISKS, open_scene
from .template import is_template_in_place, plan_template_in_place

if t.TYPE_CHECKING:
    from ...plan import Plan
    from .scene import RestoreVmRequest, Scene

_NO_NAME = re.compile(r"vm-\d+|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|.*/.*")


def plan_restore_vm(request: RestoreVmRequest) -> Plan:
    """Compare with what is there; write only if it differs. Raises DiskError."""
    scene = open_scene(request)
    if request.new_name is not None:
        return _new(scene, request.new_name)
    text = request.vm or ""
    try:
        machine = look_at(scene.session, find_vm(scene.session, text))
    except ObjectNotFound:
        if _NO_NAME.fullmatch(text) or request.disks_from:  # nobody calls a new machine so
            raise
        return _new(scene, text)
    mark = mark_of(machine.facts.get("config.extraConfig"))
    if mark is not None and mark.made:  # by a restore that was killed, or is at work
        return _new(scene, plain(machine.name))
    if is_recorded(scene, machine):
        in_place = plan_in_place
        if is_template_in_place(scene, machine):
            in_place = plan_template_in_place
        return in_place(scene, machine)
    if request.disks_from:
        raise not_recorded(scene, machine)
    if scene.only or request.what == DISKS:
        raise not_recorded(scene, machine)
    return _new(scene, plain(machine.name))  # made by an earlier run with other ids, or a stranger


def _new(scene: Scene, name: str) -> Plan:
    if scene.only:
        raise InvalidRequest(
            "a new machine is made of all of its disks",
            found=scene.request.restore_point,
            hint="Leave out what follows the #, or restore the disk alone: say in dest where to.",
        )
    if scene.request.what == DISKS:
        raise InvalidRequest(
            f"there is no machine {name} that the disks could be restored to",
            hint=f"Leave out what: {DISKS} to get a new machine, or say {CONFIGURATION} to get one"
            " with empty disks.",
        )
    return plan_new(scene, name)
