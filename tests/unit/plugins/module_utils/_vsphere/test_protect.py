# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of disks that a backup cannot hold, and of those that it can."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.protect import (
    examine,
)

vim = pytest.importorskip("pyVmomi").vim
device = vim.vm.device
GOOD = {
    "config.version": "vmx-21",
    "config.changeTrackingEnabled": True,
    "runtime.powerState": "poweredOn",
    "runtime.connectionState": "connected",
    "runtime.consolidationNeeded": False,
    "runtime.faultToleranceState": "notConfigured",
    "guest.toolsRunningStatus": "guestToolsRunning",
}
FLAT = device.VirtualDisk.FlatVer2BackingInfo
RDM = device.VirtualDisk.RawDiskMappingVer1BackingInfo


def disk(backing=FLAT, key=2000, **settings):
    """On scsi0:0, with a change id unless told otherwise."""
    settings = {"diskMode": "persistent", "changeId": "52 ac/7", **settings}
    return device.VirtualDisk(
        key=key,
        controllerKey=1000,
        unitNumber=key - 2000,
        capacityInKB=1024,
        capacityInBytes=1 << 20,
        deviceInfo=vim.Description(label=f"Hard disk {key - 1999}", summary=""),
        backing=backing(fileName="[ds] web01/web01.vmdk", **settings),
    )


def report(*disks, bus="noSharing", extra=(), **changes):
    """Of a VM that is as good as can be, but for what is said."""
    controller = device.ParaVirtualSCSIController(key=1000, busNumber=0, sharedBus=bus)
    devices = [controller, *disks, *extra]
    changes = {path.replace("__", "."): value for path, value in changes.items()}
    return examine({**GOOD, "config.hardware.device": devices, **changes})


def snapshots(count):
    """In a row."""
    node = None
    for number in range(count):
        below = [node] if node else []
        node = vim.vm.SnapshotTree(name=str(number), childSnapshotList=below)
    return vim.vm.SnapshotInfo(rootSnapshotList=[node])


def test_nothing_is_said_where_all_is_well():
    found = report(disk())
    assert (found.concerns, found.disks[0].concern, found.disks[0].protectable) == ([], None, True)


def test_what_a_disk_is():
    (found,) = report(disk(uuid="6000C29d-1", key=2001)).disks
    assert (found.key, found.name, found.label, found.path, found.size, found.mode, found.uuid) == (
        2001,
        "scsi0:1",
        "Hard disk 2",
        "[ds] web01/web01.vmdk",
        1 << 20,
        "persistent",
        "6000C29d-1",
    )


@pytest.mark.parametrize(
    ("settings", "fact", "remedy"),
    [
        ({"diskMode": "independent_persistent"}, "Independent: ", "Dependent (persistent)"),
        ({"diskMode": "independent_nonpersistent"}, "gone when it powers off", "Dependent"),
        ({"backing": RDM, "compatibilityMode": "physicalMode"}, "physical mode", "virtual mode"),
        ({"sharing": "sharingMultiWriter"}, "multi-writer", "inside the guest"),
    ],
)
def test_a_disk_that_snapshots_leave_out_is_unprotected(settings, fact, remedy):
    found = report(disk(**settings), disk(key=2001))
    assert not found.disks[0].protectable
    assert fact in found.disks[0].concern
    assert remedy in found.disks[0].concern
    assert found.disks[1].protectable


@pytest.mark.parametrize(
    ("settings", "fact"),
    [
        ({"backing": RDM, "compatibilityMode": "virtualMode"}, "comes back as an ordinary disk"),
        ({"keyId": vim.encryption.CryptoKeyId(keyId="1")}, "encrypt the repository"),
        ({"changeId": None}, "not yet in effect"),
    ],
)
def test_a_disk_with_something_to_know_is_protectable(settings, fact):
    (found,) = report(disk(**settings)).disks
    assert found.protectable
    assert fact in found.concern


@pytest.mark.parametrize("bus", ["physicalSharing", "virtualSharing"])
def test_a_shared_bus_stops_all_snapshots(bus):
    found = report(disk(), bus=bus)
    assert not found.disks[0].protectable
    assert "shares its bus" in found.disks[0].concern
    assert "SCSI bus sharing to None" in found.concerns[0]


@pytest.mark.parametrize(
    ("changes", "fact", "remedy"),
    [
        ({"runtime__consolidationNeeded": True}, "need consolidation", "Consolidate"),
        ({"runtime__faultToleranceState": "running"}, "Fault Tolerance", "Turn it off"),
        ({"runtime__connectionState": "inaccessible"}, "inaccessible", "in vCenter"),
        ({"extra": [device.VirtualPCIPassthrough()]}, "passed through", "when it is off"),
    ],
)
def test_what_stops_snapshots_leaves_every_disk_unprotected(changes, fact, remedy):
    found = report(disk(), disk(key=2001), **changes)
    assert [each.protectable for each in found.disks] == [False, False]
    assert all(fact in each.concern and remedy in each.concern for each in found.disks)
    assert fact in found.concerns[0]


@pytest.mark.parametrize(
    ("changes", "fact"),
    [
        ({"config__version": "vmx-04"}, "Hardware version 4 has no changed block tracking"),
        ({"config__changeTrackingEnabled": False}, "can be turned on"),
        (
            {"config__changeTrackingEnabled": False, "snapshot": snapshots(1)},
            "must not be turned on while there are snapshots",
        ),
        ({"snapshot": snapshots(5)}, "has 5 snapshots"),
        ({"guest__toolsRunningStatus": "guestToolsNotRunning"}, "VMware Tools are not running"),
        ({"extra": [device.VirtualTPM()]}, "virtual TPM"),
    ],
)
def test_what_is_said_of_the_machine_alone(changes, fact):
    found = report(disk(), **changes)
    assert [fact in text for text in found.concerns] == [True]
    assert found.disks[0].protectable


def test_a_template_needs_neither_tracking_nor_tools():
    off = {"runtime__powerState": "poweredOff", "guest__toolsRunningStatus": "guestToolsNotRunning"}
    found = report(disk(), config__template=True, config__changeTrackingEnabled=False, **off)
    assert [text.partition(":")[0] for text in found.concerns] == ["A template"]
    assert found.disks[0].protectable


def test_a_machine_that_is_off_needs_no_tools_and_keeps_its_pci_device():
    off = {"runtime__powerState": "poweredOff", "guest__toolsRunningStatus": "guestToolsNotRunning"}
    found = report(disk(), extra=[device.VirtualPCIPassthrough()], **off)
    assert found.concerns == []


def test_a_disk_says_first_why_it_is_unprotected():
    (found,) = report(disk(diskMode="independent_persistent", changeId=None)).disks
    assert "not yet in effect" not in found.concern


def test_snapshots_are_counted_wherever_they_hang():
    assert report(disk(), snapshot=snapshots(3)).snapshots == 3


def test_a_machine_that_cannot_be_read_is_not_one_without_disks():
    found = examine({"runtime.powerState": "poweredOff"})
    assert (found.disks, found.hw_version) == ([], None)
    assert "cannot be read" in found.concerns[0]
