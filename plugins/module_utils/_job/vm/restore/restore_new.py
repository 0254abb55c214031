# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A new machine out of a restore point. Until it is whole it is marked as unfinished."""

from __future__ import annotations

import dataclasses
import typing as t

from ...._device.errors import (
    DigestMismatch,
    DiskExists,
    DiskInUse,
    InvalidRequest,
    ObjectNotFound,
)
from ...._vsphere.inventory.named_vm import find_vm
from ...._vsphere.machine.machine import look_at
from ...._vsphere.snapshots.journal import is_alive
from ...._vsphere.snapshots.unfinished import OPTION, is_known, is_of_this_host, mark_of
from ...._vsphere.vmconfig.identity import check_identity
from ...._vsphere.vmconfig.placement import KEEP, Found
from ...._vsphere.vmconfig.spec import check_format, make_spec
from ...plan import Plan, nothing_to_do
from .filling import verify_over_https
from .making import Making, make_template
from .mapping import pair_disks
from .placing import place_machine
from .results import difference_facts, disk_facts, unwanted, with_warnings
from .scene import CONFIGURATION

if t.TYPE_CHECKING:
    from ...._vsphere.machine.machine import Machine
    from ...._vsphere.vmconfig.placement import Placement
    from ...plan import Result
    from .scene import Scene


def plan_new(scene: Scene, name: str) -> Plan:
    """Raises DiskExists where a machine of that name is there and is another one, DiskError."""
    if "/" in name:
        raise InvalidRequest(
            "the name of a new machine has no slash", found=name, hint="Name its folder in folder."
        )
    placement = place_machine(scene.session, scene.configuration, scene.request.wanted, name)
    machine = find_machine(scene, name)
    if machine is not None and not _is_leftover(machine):
        return _compared(scene, machine, placement)
    if machine is None:  # else it is seen once that is gone
        _check(scene, placement)
    making = Making(scene, name, placement)
    return Plan(
        before={"vm": None if machine is None else "what a killed restore has left"},
        after={"vm": name, "disks": {disk.name: scene.point.id for disk in scene.disks}},
        result=_foretold(scene, name),
        apply=lambda: _apply(scene, making),
    )


def _check(scene: Scene, placement: Placement) -> None:
    """What would end in an error when it is made. Raises ObjectNotFound, InvalidRequest."""
    check_format(scene.configuration)
    make_spec(scene.configuration, placement, Found(scene.session, placement), profiles={})
    if scene.request.identity == KEEP:
        kept = dataclasses.replace(placement, mac=KEEP, uuid=KEEP)
        check_identity(scene.session, scene.configuration, kept)


def _apply(scene: Scene, making: Making) -> Result:
    making.sweep()
    machine = find_machine(scene, making.name)
    if machine is not None:
        _is_leftover(machine)  # raises where it is one of a run that lives
        raise DiskExists(
            "somebody has made a machine of that name meanwhile, or what a killed restore has left"
            " cannot be removed",
            path=machine.name,
            found="; ".join(making.warnings) or None,
            hint="Look at it in vCenter.",
        )
    return making.run()


def find_machine(scene: Scene, name: str) -> Machine | None:
    """Raises InvalidRequest where several have that name."""
    try:
        return look_at(scene.session, find_vm(scene.session, name))
    except ObjectNotFound:
        return None


def _is_leftover(machine: Machine) -> bool:
    """Whether a restore that was killed on this host has left it.

    Raises DiskInUse for one of a run that lives, or is of elsewhere.
    """
    mark = mark_of(machine.facts.get("config.extraConfig"))
    if mark is None or not mark.made:
        return False
    if is_known(mark) and is_alive(mark.run):
        raise DiskInUse(
            "another restore is making it this moment", path=machine.name, hint="Let it end."
        )
    if is_known(mark):
        return True
    why = "its journal is not in this host's VDISK_STATE_DIR"
    if not is_of_this_host(mark):
        why = f"a run on {mark.host} has made it"
    raise DiskInUse(
        f"is a restore that is not finished, and cannot be finished here: {why}",
        path=machine.name,
        hint="If no restore is running there, remove the machine, or choose another name. To keep"
        f" it as it is, delete its advanced setting {OPTION}.",
    )


def _compared(scene: Scene, machine: Machine, placement: Placement) -> Plan:
    """With a machine that is there. Raises DiskExists where it is another one."""
    pairs = pair_disks(scene.disks, machine, same=False)
    differences = scene.differences(machine.ref, placement)
    if scene.request.what != CONFIGURATION:
        _require_equal(scene, machine)
    elif told := unwanted([each for each in differences if each.path != "template"], "it"):
        raise _is_another(machine, told[0])
    result: Result = {
        "vm": scene.describe(machine.ref),
        "disks": [disk_facts(pair.point, pair.path, None) for pair in pairs],
        "differences": difference_facts(differences),
        "not_restored": [],
        "restore_point": scene.point.as_dict(),
    }
    warnings = unwanted(differences, machine.name)
    if any(each.path == "template" and each.recorded for each in differences):
        return _made_template(scene, machine, placement, result)
    return nothing_to_do({"vm": machine.name}, with_warnings(result, warnings))


def _made_template(scene: Scene, machine: Machine, placement: Placement, result: Result) -> Plan:
    """Of a machine that is whole: a run could not make one of it, or was killed before it did."""

    def apply() -> Result:
        make_template(scene, machine.ref, machine.name)
        differences = scene.differences(machine.ref, placement)
        told = {"vm": scene.describe(machine.ref), "differences": difference_facts(differences)}
        return with_warnings({**result, **told}, unwanted(differences, machine.name))

    before, after = ({"vm": machine.name, "template": it_is} for it_is in (False, True))
    return Plan(before, after, result, apply)


def _require_equal(scene: Scene, machine: Machine) -> None:
    if machine.facts.get("runtime.powerState") != "poweredOff":
        raise _is_another(machine, "it is not powered off, so nobody can tell whether it is equal")
    for pair in pair_disks(scene.disks, machine, same=False):
        try:
            verify_over_https(scene, pair)
        except DigestMismatch as error:
            raise _is_another(machine, f"its disk {pair.slot} differs") from error


def _is_another(machine: Machine, why: str) -> DiskExists:
    return DiskExists(
        f"a machine of that name is there already, and {why}",
        path=machine.name,
        hint="Choose another name. The machine that was backed up is restored in place with vm,"
        " while it is powered off.",
    )


def _foretold(scene: Scene, name: str) -> Result:
    """For check mode."""
    return {
        "vm": {"name": name},
        "disks": [disk_facts(disk, None, {}) for disk in scene.disks],
        "differences": [],
        "not_restored": list(scene.document.left_out if scene.document else ()),
        "restore_point": scene.point.as_dict(),
    }
