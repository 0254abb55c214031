# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A free slot is found by the rules of virtual hardware."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    NoFreeSlot,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.free_slot import (
    Wanted,
    find_slot,
    slot_of,
)

vim = pytest.importorskip("pyVmomi").vim
device = vim.vm.device
KINDS = {
    "paravirtual": device.ParaVirtualSCSIController,
    "lsilogic": device.VirtualLsiLogicController,
    "lsilogicsas": device.VirtualLsiLogicSASController,
    "sata": device.VirtualAHCIController,
    "nvme": device.VirtualNVMEController,
    "ide": device.VirtualIDEController,
}


def controller(kind, bus, key, sharing="noSharing"):
    made = KINDS[kind](key=key, busNumber=bus)
    if hasattr(made, "sharedBus"):
        made.sharedBus = sharing
    return made


def disks(key, units):
    label = vim.Description(label=f"a disk on {key}", summary="")
    return [
        device.VirtualDisk(
            key=key * 100 + unit, controllerKey=key, unitNumber=unit, deviceInfo=label
        )
        for unit in units
    ]


ALL = [unit for unit in range(16) if unit != 7]


def found(devices, **wanted):
    slot = find_slot(devices, Wanted(**wanted))
    return slot.kind, slot.name, slot.key


def test_the_first_free_unit_of_the_first_paravirtual_controller():
    devices = [controller("paravirtual", 1, 1001), controller("paravirtual", 0, 1000)]
    assert found([*devices, *disks(1000, [0, 2])]) == ("paravirtual", "scsi0:1", 1000)


def test_unit_7_is_the_controller_itself():
    devices = [controller("paravirtual", 0, 1000), *disks(1000, range(7))]
    assert found(devices) == ("paravirtual", "scsi0:8", 1000)


def test_fifteen_disks_make_a_controller_full():
    devices = [controller("paravirtual", 0, 1000), *disks(1000, ALL)]
    assert found(devices) == ("paravirtual", "scsi1:0", None)


def test_a_cd_drive_takes_a_slot_too():
    drive = device.VirtualCdrom(key=1, controllerKey=15000, unitNumber=0)
    assert found([controller("sata", 0, 15000), drive], kind="sata") == ("sata", "sata0:1", 15000)


def test_buses_are_numbered_over_all_scsi_controllers():
    devices = [controller("lsilogic", 0, 1000), controller("lsilogicsas", 2, 1002)]
    assert found(devices) == ("paravirtual", "scsi1:0", None)


def test_ide_does_not_count_as_scsi():
    assert found([controller("ide", 0, 200)]) == ("paravirtual", "scsi0:0", None)


def test_four_controllers_of_other_kinds_are_used_in_the_end():
    devices = [controller("lsilogic", bus, 1000 + bus) for bus in range(4)]
    assert found([*devices, *disks(1000, ALL)]) == ("lsilogic", "scsi1:0", 1001)


def test_sixty_disks_are_all_that_fit():
    devices = [controller("paravirtual", bus, 1000 + bus) for bus in range(4)]
    full = [*devices, *(disk for bus in range(4) for disk in disks(1000 + bus, ALL))]
    with pytest.raises(NoFreeSlot, match=r"4 controllers, all of them taken.*16 to 64"):
        find_slot(full, Wanted())
    assert found(full, bus=3, unit=16) == ("paravirtual", "scsi3:16", 1003)


def test_a_controller_that_shares_its_bus_is_left_alone():
    shared = controller("paravirtual", 0, 1000, sharing="physicalSharing")
    assert found([shared]) == ("paravirtual", "scsi1:0", None)
    assert found([shared], bus=0) == ("paravirtual", "scsi0:0", 1000)


def test_the_type_that_was_asked_for():
    devices = [controller("paravirtual", 0, 1000), controller("lsilogicsas", 1, 1001)]
    assert found(devices, kind="lsilogicsas") == ("lsilogicsas", "scsi1:0", 1001)
    assert found(devices, kind="nvme") == ("nvme", "nvme0:0", None)


def test_the_unit_that_was_asked_for():
    devices = [
        controller("paravirtual", 0, 1000),
        controller("paravirtual", 1, 1001),
        *disks(1000, [3]),
    ]
    assert found(devices, unit=3) == ("paravirtual", "scsi1:3", 1001)


def test_a_bus_that_is_not_there_is_made():
    assert found([controller("paravirtual", 0, 1000)], bus=3) == ("paravirtual", "scsi3:0", None)


def test_a_taken_unit_names_what_is_there():
    devices = [controller("paravirtual", 0, 1000), *disks(1000, [3])]
    with pytest.raises(NoFreeSlot, match="a disk on 1000"):
        find_slot(devices, Wanted(bus=0, unit=3))


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted(unit=7), "scsi0:7 is the controller itself"),
        (Wanted(bus=1, unit=7), "scsi1:7 is the controller itself"),
        (Wanted(kind="lsilogic", bus=0), "scsi0 is of another type"),
        (Wanted(bus=4), "no such controller"),
        (Wanted(unit=65), "no such unit"),
        (Wanted(kind="lsilogic", unit=16), "no such unit"),
        (Wanted(unit=-1), "no such unit"),
    ],
)
def test_what_cannot_be_is_told(wanted, message):
    with pytest.raises(InvalidRequest, match=message):
        find_slot([controller("paravirtual", 0, 1000)], wanted)


@pytest.mark.parametrize("kind", ["sata", "nvme"])
def test_unit_7_is_a_slot_like_others_where_it_is_not_scsi(kind):
    devices = [controller(kind, 0, 1000), *disks(1000, range(7))]
    assert found(devices, kind=kind)[1] == f"{kind}0:7"


@pytest.mark.parametrize("kind", KINDS)
def test_where_a_disk_is(kind):
    devices = [controller(kind, 2, 1000), *disks(1000, [5])]
    family = {"sata": "sata", "nvme": "nvme", "ide": "ide"}.get(kind, "scsi")
    assert slot_of(devices, devices[1]).name == f"{family}2:5"


def test_a_controller_that_is_not_known():
    disk = disks(1000, [1])[0]
    assert slot_of([device.VirtualUSBController(key=1000), disk], disk) is None
