# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A template whose disks are written to: it is a virtual machine meanwhile.

It becomes a template again when it is whole. One that is a mixture stays a machine, marked as
unfinished, so that nobody deploys it; the restore that completes it makes it a template again.
"""

from __future__ import annotations

import dataclasses
import typing as t

from ...._device.errors import DiskError
from ...._vsphere.connection.collect import properties
from ...._vsphere.machine.machine import look_at
from ...._vsphere.snapshots.unfinished import mark_of
from .restore_in_place import plan_in_place

if t.TYPE_CHECKING:
    from ...._vsphere.machine.machine import Machine
    from ...plan import Plan, Result
    from .scene import Scene

_OPTIONS = "config.extraConfig"


def plan_template_in_place(scene: Scene, machine: Machine) -> Plan:
    """As plan_in_place(), of which this raises the errors."""
    plan = plan_in_place(scene, machine)
    if plan.apply is None:
        return plan
    return dataclasses.replace(plan, apply=lambda: _apply(scene, machine))


def is_template_in_place(scene: Scene, machine: Machine) -> bool:
    """Whether it is a template, or was one until a restore of it was killed. Raises DiskError."""
    if _is_template(scene, machine.ref):
        return bool(scene.request.disks_from)
    killed = mark_of(machine.facts.get(_OPTIONS)) is not None
    return killed and bool(scene.point.source_facts.get("template"))


def _apply(scene: Scene, machine: Machine) -> Result:
    vm = machine.ref
    if _is_template(scene, vm):
        _to_machine(scene, machine)
    try:
        # It is another version of itself now, so it is compared once more.
        result = plan_in_place(scene, look_at(scene.session, vm)).run(check_mode=False)
    except DiskError:
        if mark_of(properties(scene.session, vm, (_OPTIONS,)).get(_OPTIONS)) is None:
            _to_template(scene, machine)
        raise
    _to_template(scene, machine)
    return result


def _is_template(scene: Scene, vm: t.Any) -> bool:
    return bool(properties(scene.session, vm, ("config.template",)).get("config.template"))


def _to_machine(scene: Scene, machine: Machine) -> None:
    session, host = scene.session, machine.facts["runtime.host"]
    parent = properties(session, host, ("parent",))["parent"]
    pool = properties(session, parent, ("resourcePool",))["resourcePool"]
    what = f"make the template {machine.name} a machine for a while"
    session.call(lambda: machine.ref.MarkAsVirtualMachine(pool, host), what, machine.name)


def _to_template(scene: Scene, machine: Machine) -> None:
    name = machine.name
    scene.session.call(machine.ref.MarkAsTemplate, f"make {name} a template again", name)
