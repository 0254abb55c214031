# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""How much at rest a guest is in a snapshot: as much as can be had, never less than is allowed."""

from __future__ import annotations

import dataclasses
import enum
import typing as t

from ..._device.errors import InvalidRequest
from ..connection import libraries
from ..connection.errors import fault_name

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ..._device.errors import DiskError

GUEST = ("runtime.powerState", "config.guestId", "config.keyId", "guest.toolsRunningStatus")
_VSS_COPY = 5  # VSS_BT_COPY: the guest's own backups keep their logs
_STEP_DOWN = {
    "ApplicationQuiesceFault",
    "FilesystemQuiesceFault",
    "ToolsUnavailable",
    "GuestOperationsUnavailable",
    "OperationNotSupportedByGuest",
    "NotSupported",
    "MethodNotFound",
}


class Level(enum.Enum):
    """The best first."""

    OFF = "powered_off"  # nothing runs, nothing to bring to rest
    APPLICATION = "application"  # VSS writers took part
    FILESYSTEM = "filesystem"  # file systems frozen; pre-freeze scripts ran
    CRASH = "crash_consistent"  # as after a power cut


@dataclasses.dataclass(frozen=True)
class Quiesce:
    """What is tried first, and what is good enough. Raises InvalidRequest."""

    best: Level = Level.APPLICATION
    least: Level = Level.FILESYSTEM

    def __post_init__(self) -> None:
        order = list(Level)
        if Level.OFF in (self.best, self.least) or order.index(self.best) > order.index(self.least):
            raise InvalidRequest(
                f"no snapshot can be {self.best.value} at best and {self.least.value} at least"
            )


CRASH_CONSISTENT = Quiesce(Level.CRASH, Level.CRASH)


def ladder(quiesce: Quiesce, of_vm: Mapping[str, t.Any]) -> Iterator[tuple[Level, str | None]]:
    """The levels to try in turn, each with the reason to pass it over. `of_vm` holds GUEST."""
    if of_vm.get("runtime.powerState") == "poweredOff":
        yield Level.OFF, None
        return
    order = list(Level)
    for level in order[order.index(quiesce.best) : order.index(quiesce.least) + 1]:
        yield level, None if level is Level.CRASH else _not_for(level, of_vm)


def _not_for(level: Level, of_vm: Mapping[str, t.Any]) -> str | None:
    """Without a guest that listens, vSphere takes the snapshot, and ignores that it was to be
    quiesced (API reference, CreateSnapshot_Task)."""
    if of_vm.get("runtime.powerState") != "poweredOn":
        return "the guest does not run, nor was it shut down"
    if of_vm.get("guest.toolsRunningStatus") != "guestToolsRunning":
        return "VMware Tools are not running in the guest"
    return _no_applications(of_vm) if level is Level.APPLICATION else None


def _no_applications(of_vm: Mapping[str, t.Any]) -> str | None:
    if not str(of_vm.get("config.guestId", "")).lower().startswith("win"):
        return "only guests with Windows have applications that vSphere can bring to rest"
    if of_vm.get("config.keyId") is not None:
        return "vSphere does not support it for encrypted VMs"
    return None


def create(vm: t.Any, level: Level, name: str, text: str) -> t.Any:
    """Start the task that makes a snapshot, without memory."""
    if level is Level.APPLICATION:
        vss = libraries.vim().vm.WindowsQuiesceSpec(
            vssBackupType=_VSS_COPY, vssBootableSystemState=True, vssPartialFileSupport=False
        )
        return vm.CreateSnapshotEx_Task(name, text, False, vss)
    return vm.CreateSnapshot_Task(name, text, False, level is Level.FILESYSTEM)


def may_step_down(error: DiskError) -> bool:
    """Whether a snapshot failed because the guest could not be brought to rest."""
    if fault_name(error) == "GenericVmConfigFault":  # what some builds say instead
        return "quiesc" in str(error).lower()
    return fault_name(error) in _STEP_DOWN
