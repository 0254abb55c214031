# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""A virtual machine is switched on, and its guest comes up."""

from __future__ import annotations

import dataclasses
import time
import typing as t

from ..._device.errors import DiskInUse, VSphereFault
from ..connection.collect import properties
from ..connection.names import plain
from ..connection.tasks import has_ended, wait

if t.TYPE_CHECKING:
    from ..connection.session import Session

ON = "poweredOn"
PAUSE = 1.0  # seconds
_PATHS = ("name", "runtime.powerState", "guest.toolsRunningStatus", "guest.ipAddress")


@dataclasses.dataclass(frozen=True)
class Running:
    """What vSphere tells of a machine and its guest; the address is empty as long as none is."""

    name: str
    moref: str
    power_state: str
    tools: bool
    address: str


def look(session: Session, vm: t.Any) -> Running:
    """Raises DiskError."""
    facts = properties(session, vm, _PATHS)
    is_on = facts.get("runtime.powerState") == ON
    tools = facts.get("guest.toolsRunningStatus") == "guestToolsRunning"
    return Running(
        plain(facts.get("name", "")),
        str(vm._moId),
        str(facts.get("runtime.powerState")),
        is_on and tools,
        str(facts.get("guest.ipAddress") or "") if is_on else "",
    )


def power_on(session: Session, vm: t.Any, name: str) -> None:
    """Raises DiskInUse where vSphere asks a question first, DiskError."""
    what = "switch it on"
    task = session.call(vm.PowerOnVM_Task, what, name)
    pause = PAUSE / 10
    while not has_ended(session, task):
        _refuse_question(session, vm, name)
        time.sleep(pause)
        pause = min(2 * pause, PAUSE)
    wait(session, task, what, name)


def _refuse_question(session: Session, vm: t.Any, name: str) -> None:
    asked = properties(session, vm, ("runtime.question",)).get("runtime.question")
    if asked is not None:
        raise DiskInUse(
            "vSphere asks something before it switches the machine on",
            path=name,
            found=repr(asked.text),
            hint="Answer it in vCenter.",
        )


def wait_for_guest(session: Session, vm: t.Any, sign: str, seconds: float) -> Running:
    """`sign`: tools, or address. Raises VSphereFault when it did not come in time."""
    end = time.monotonic() + seconds
    while not getattr(found := look(session, vm), sign):
        if time.monotonic() >= end:
            raise VSphereFault(
                f"it did not come up within {seconds:g} seconds",
                path=found.name,
                found=f"{found.power_state}, VMware Tools {'run' if found.tools else 'do not run'}",
                expected="an address of its guest"
                if sign == "address"
                else "VMware Tools that run",
                hint="Look at its console.",
            )
        time.sleep(min(PAUSE, max(0.0, end - time.monotonic())))
    return found
