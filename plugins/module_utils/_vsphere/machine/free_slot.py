# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: BSD-2-Clause
# Private to vdisk.lifecycle: not an API for other collections.
"""Where on the controllers of a virtual machine a disk is, or can go."""

from __future__ import annotations

import dataclasses
import typing as t

from ..._device.errors import InvalidRequest, NoFreeSlot

if t.TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PARAVIRTUAL = "paravirtual"
BUSES = 4  # controllers of one family that a virtual machine can have
OWN_UNIT = 7  # of a SCSI controller on its own bus


@dataclasses.dataclass(frozen=True)
class Kind:
    """A kind of controller. `units` are filled by themselves, up to `most` if asked for."""

    family: str
    vim_name: str
    units: int
    most: int


# Named as in vmware.vmware. A PVSCSI controller takes 64 disks from hardware version 14 on; older
# guests see 15, so the others are for those who ask.
KINDS = {
    PARAVIRTUAL: Kind("scsi", "ParaVirtualSCSIController", 16, 65),
    "lsilogic": Kind("scsi", "VirtualLsiLogicController", 16, 16),
    "lsilogicsas": Kind("scsi", "VirtualLsiLogicSASController", 16, 16),
    "buslogic": Kind("scsi", "VirtualBusLogicController", 16, 16),
    "sata": Kind("sata", "VirtualAHCIController", 30, 30),
    "nvme": Kind("nvme", "VirtualNVMEController", 15, 64),
}
_IDE = Kind("ide", "VirtualIDEController", 2, 2)  # known where there is one, never chosen
_BY_VIM_NAME = {kind.vim_name: name for name, kind in KINDS.items()} | {_IDE.vim_name: "ide"}


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What was asked for; None: any."""

    kind: str | None = None
    bus: int | None = None
    unit: int | None = None


@dataclasses.dataclass(frozen=True)
class Slot:
    """A place for a disk. `key` is that of its controller; None where that is yet to be made."""

    kind: str
    bus: int
    unit: int
    key: int | None

    @property
    def name(self) -> str:
        """As VMware writes it: `scsi0:1`."""
        return f"{self.family}{self.bus}:{self.unit}"

    @property
    def family(self) -> str:
        return _kind(self.kind).family

    def matches(self, wanted: Wanted) -> bool:
        """Whether it is what was asked for."""
        pairs = ((wanted.kind, self.kind), (wanted.bus, self.bus), (wanted.unit, self.unit))
        return all(asked in (None, found) for asked, found in pairs)


def slot_of(devices: Sequence[t.Any], disk: t.Any) -> Slot | None:
    """Where a disk is; None for a controller of a kind that is not known here."""
    for controller, kind in _controllers(devices):
        if controller.key == disk.controllerKey:
            return Slot(kind, controller.busNumber, disk.unitNumber, controller.key)
    return None


def find_slot(devices: Sequence[t.Any], wanted: Wanted) -> Slot:
    """A free place. Where nothing is asked for: on a PVSCSI controller, a new one if need be, else
    on any SCSI controller.

    Controllers that share their bus are left to those who ask for them by number.
    Raises NoFreeSlot, InvalidRequest.
    """
    _check(wanted)
    if wanted.bus is not None:
        return _on_bus(devices, wanted, wanted.bus)
    kind = wanted.kind or PARAVIRTUAL
    slot = _on_existing(devices, wanted, (kind,)) or _on_new(devices, wanted, kind)
    if slot is None and wanted.kind is None:
        slot = _on_existing(devices, wanted, _family("scsi"))
    if slot is None:
        raise NoFreeSlot(
            f"the virtual machine has no free slot for a disk on a {kind} controller",
            found=f"{BUSES} controllers, all of them taken",
            hint="Detach a disk that is not needed there, or name another controller. Units 16 to"
            " 64 of a PVSCSI controller (hardware version 14 and later) are used where asked for.",
        )
    return slot


def _check(wanted: Wanted) -> None:
    most = _kind(wanted.kind or PARAVIRTUAL).most
    if wanted.bus is not None and not 0 <= wanted.bus < BUSES:
        raise InvalidRequest(
            "there is no such controller", found=f"bus {wanted.bus}", expected="bus 0 to 3"
        )
    if wanted.unit is not None and not 0 <= wanted.unit < most:
        raise InvalidRequest(
            "there is no such unit", found=f"unit {wanted.unit}", expected=f"0 to {most - 1}"
        )


def _on_bus(devices: Sequence[t.Any], wanted: Wanted, bus: int) -> Slot:
    family = _kind(wanted.kind or PARAVIRTUAL).family
    there = [each for each in _of_family(devices, family) if each[0].busNumber == bus]
    if not there:
        return _first_of_new(wanted, wanted.kind or PARAVIRTUAL, bus)
    controller, kind = there[0]
    if wanted.kind not in (None, kind):
        raise InvalidRequest(
            f"controller {family}{bus} is of another type", found=kind, expected=wanted.kind
        )
    unit = _free_unit(devices, controller, kind, wanted)
    if unit is None:
        raise NoFreeSlot(
            f"the virtual machine has no free slot there on {family}{bus}",
            found=_taken(devices, controller, wanted),
            hint="Name another unit or controller, or none: then a free one is looked for.",
        )
    return Slot(kind, bus, unit, controller.key)


def _on_existing(devices: Sequence[t.Any], wanted: Wanted, kinds: tuple[str, ...]) -> Slot | None:
    for controller, kind in sorted(_controllers(devices), key=lambda each: each[0].busNumber):
        if kind not in kinds or _shares_its_bus(controller):
            continue
        unit = _free_unit(devices, controller, kind, wanted)
        if unit is not None:
            return Slot(kind, controller.busNumber, unit, controller.key)
    return None


def _on_new(devices: Sequence[t.Any], wanted: Wanted, kind: str) -> Slot | None:
    """All controllers of a family number their buses together."""
    used = {controller.busNumber for controller, _name in _of_family(devices, KINDS[kind].family)}
    free = [bus for bus in range(BUSES) if bus not in used]
    return _first_of_new(wanted, kind, free[0]) if free else None


def _first_of_new(wanted: Wanted, kind: str, bus: int) -> Slot:
    if wanted.unit == OWN_UNIT and KINDS[kind].family == "scsi":
        raise _reserved(kind, bus)
    return Slot(kind, bus, wanted.unit or 0, None)


def _free_unit(
    devices: Sequence[t.Any], controller: t.Any, kind: str, wanted: Wanted
) -> int | None:
    """Raises InvalidRequest where the controller's own unit was asked for."""
    own = _own_unit(controller, kind)
    if wanted.unit is not None and wanted.unit == own:
        raise _reserved(kind, controller.busNumber)
    taken = {device.unitNumber for device in devices if device.controllerKey == controller.key}
    units = range(KINDS[kind].units) if wanted.unit is None else (wanted.unit,)
    return next((unit for unit in units if unit not in taken and unit != own), None)


def _own_unit(controller: t.Any, kind: str) -> int | None:
    if KINDS[kind].family != "scsi":
        return None
    own: int | None = controller.scsiCtlrUnitNumber
    return OWN_UNIT if own is None else own


def _shares_its_bus(controller: t.Any) -> bool:
    return getattr(controller, "sharedBus", None) not in (None, "noSharing")


def _taken(devices: Sequence[t.Any], controller: t.Any, wanted: Wanted) -> str:
    by = [
        device.deviceInfo.label if device.deviceInfo else f"device {device.key}"
        for device in devices
        if device.controllerKey == controller.key and wanted.unit in (None, device.unitNumber)
    ]
    return ", ".join(by)


def _reserved(kind: str, bus: int) -> InvalidRequest:
    name = f"{KINDS[kind].family}{bus}:{OWN_UNIT}"
    return InvalidRequest(f"{name} is the controller itself", hint="Name another unit, or none.")


def _family(family: str) -> tuple[str, ...]:
    return tuple(name for name, kind in KINDS.items() if kind.family == family)


def _of_family(devices: Sequence[t.Any], family: str) -> list[tuple[t.Any, str]]:
    return [each for each in _controllers(devices) if _kind(each[1]).family == family]


def _controllers(devices: Sequence[t.Any]) -> Iterator[tuple[t.Any, str]]:
    for device in devices:
        kind = _BY_VIM_NAME.get(type(device).__name__.rpartition(".")[2])
        if kind is not None:
            yield device, kind


def _kind(name: str) -> Kind:
    return KINDS.get(name, _IDE)
