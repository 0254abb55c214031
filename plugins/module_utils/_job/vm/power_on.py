# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A virtual machine that shall run."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import DiskInUse
from ..._vsphere.connection.collect import properties
from ..._vsphere.inventory.named_vm import find_vm
from ..._vsphere.machine.power_on import ON, look, power_on, wait_for_guest
from ..._vsphere.snapshots.unfinished import OPTION, mark_of
from ..plan import Plan, Result

if t.TYPE_CHECKING:
    from ..._vsphere.connection.session import Session

NONE = "none"
SIGNS = (NONE, "tools", "address")


@dataclasses.dataclass(frozen=True)
class PowerOnRequest:
    """The machine, what shall be waited for (SIGNS), and how long, in seconds."""

    vm: str
    wait_for: str
    timeout: float


def plan_power_on(session: Session, request: PowerOnRequest) -> Plan:
    """Switch it on, unless it is; wait for its guest in any case. Raises DiskError."""
    vm = find_vm(session, request.vm)
    found = look(session, vm)
    is_off = found.power_state != ON
    if is_off:
        _refuse_unfinished(session, vm, found.name)

    def apply() -> Result:
        if is_off:
            power_on(session, vm, found.name)
        now = look(session, vm)
        if request.wait_for != NONE:
            now = wait_for_guest(session, vm, request.wait_for, request.timeout)
        return {"changed": is_off, "vm": dataclasses.asdict(now)}

    after = dataclasses.asdict(dataclasses.replace(found, power_state=ON))
    return Plan(
        before={"power_state": found.power_state},
        after={"power_state": ON},
        result={"vm": after},
        apply=apply,
        predict=lambda: is_off,
    )


def _refuse_unfinished(session: Session, vm: t.Any, name: str) -> None:
    """Its disks may be a mixture of two times, and its guest would write to them."""
    options = properties(session, vm, ("config.extraConfig",)).get("config.extraConfig")
    mark = mark_of(options)
    if mark is not None:
        raise DiskInUse(
            "a restore of it was not completed",
            path=name,
            found=f"a mark of run {mark.run} on {mark.host}",
            hint="Restore it again (vmdk_restore). To start it as it is, delete its advanced"
            f" setting {OPTION}.",
        )
