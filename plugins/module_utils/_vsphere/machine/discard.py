# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Taking back a machine that was made a moment ago."""

from __future__ import annotations

import typing as t

from ..connection import tasks
from .frozen import disks_of
from .machine import look_at

if t.TYPE_CHECKING:
    from collections.abc import Iterable

    from ..connection.session import Session


def discard(session: Session, vm: t.Any, spec: t.Any) -> None:
    """Remove what was made of a vim.vm.ConfigSpec, with its disks. Raises DiskError.

    It stays where somebody uses it already: a disk that he has attached would go with it.
    """
    machine = look_at(session, vm)
    is_off = machine.facts.get("runtime.powerState") == "poweredOff"
    asked_for = _sizes(disks_of(change.device for change in spec.deviceChange))
    if is_off and machine.facts.get("snapshot") is None and _sizes(machine.disks) == asked_for:
        what = "remove the unfinished machine"
        task = session.call(vm.Destroy_Task, what, machine.name)
        tasks.wait(session, task, what, machine.name)


def _sizes(disks: Iterable[t.Any]) -> list[int]:
    return sorted(disk.capacityInKB for disk in disks)
