# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines made, cloned and destroyed: what becomes of the content of their disks."""

from __future__ import annotations

import os

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.tests.simulator.clients import (
    chain,
    change_id,
    disks,
    snapshot,
    track,
    wait,
)


def config(name, *files):
    """Of a machine with these disks; "" is a new one."""
    controller = vim.vm.device.ParaVirtualSCSIController(
        key=1000, busNumber=0, sharedBus="noSharing"
    )
    changes = [vim.vm.device.VirtualDeviceSpec(operation="add", device=controller)]
    for unit, file in enumerate(files):
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=file, diskMode="persistent"
        )
        disk = vim.vm.device.VirtualDisk(
            key=-2 - unit, controllerKey=1000, unitNumber=unit, backing=backing
        )
        change = vim.vm.device.VirtualDeviceSpec(operation="add", device=disk)
        if not file:
            change.fileOperation, disk.capacityInKB = "create", 1024
        changes.append(change)
    return vim.vm.ConfigSpec(
        name=name,
        guestId="otherGuest",
        numCPUs=1,
        memoryMB=128,
        deviceChange=changes,
        files=vim.vm.FileInfo(vmPathName=f"[datastore1] {name}/{name}.vmx"),
    )


def make(here, spec):
    pool = next(each for each in here.all(vim.ResourcePool) if each.name == "Resources")
    return wait(here.datacenter.vmFolder.CreateVM_Task(spec, pool))


def clone(here, vm, name, **more):
    location = vim.vm.RelocateSpec(pool=vm.resourcePool, **more)
    snapshot = vm.snapshot and vm.snapshot.currentSnapshot
    spec = vim.vm.CloneSpec(location=location, template=False, powerOn=False)
    if location.diskMoveType:
        spec.snapshot = snapshot
    return wait(vm.CloneVM_Task(here.datacenter.vmFolder, name, spec))


def test_a_new_machine_has_an_empty_disk(here):
    vm = make(here, config("made", ""))
    key = disks(vm)[0].key
    here.write(vm, 0, b"x", key)
    assert here.read(vm, key) == b"x" + bytes((1 << 20) - 1)


def test_a_new_machine_with_a_disk_that_is_there(here, vm):
    here.write(vm, 0, b"kept")
    wait(vm.PowerOffVM_Task())
    path = chain(vm)[0]
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=disks(vm)[0])
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    made = make(here, config("adopted", path))
    assert disks(made)[0].capacityInBytes == 16 << 20
    assert here.read(made, disks(made)[0].key)[:4] == b"kept"


def test_a_new_machine_with_a_disk_that_is_not(here):
    with pytest.raises(vim.fault.FileNotFound):
        make(here, config("nothing", "[datastore1] nothing/here.vmdk"))


def test_a_machine_made_with_tracking_on(here):
    spec = config("tracked", "")
    spec.changeTrackingEnabled = True
    assert change_id(make(here, spec))


def test_a_clone_has_the_content(here, vm):
    here.write(vm, 100000, b"content")
    made = clone(here, vm, "cloned")
    assert here.read(made, disks(made)[0].key) == here.read(vm)


def test_a_clone_goes_its_own_way(here, vm):
    made = clone(here, vm, "apart")
    here.write(made, 0, b"mine", disks(made)[0].key)
    assert here.read(vm)[:4] == bytes(4)


def test_a_linked_clone_stands_on_the_snapshot(here, vm):
    here.write(vm, 0, b"then")
    snapshot(vm)
    here.write(vm, 0, b"now!")
    made = clone(here, vm, "linked", diskMoveType="createNewChildDiskBacking")
    assert chain(made)[1:] == chain(vm)[1:]
    assert here.read(made, disks(made)[0].key)[:4] == b"then"


def test_the_files_go_with_the_machine(here, vm):
    snapshot(vm)
    directory = os.path.join(here.vcenter.datastore_dir, "datastore1", vm.name)
    wait(vm.PowerOffVM_Task())
    wait(vm.Destroy_Task())
    assert not os.path.exists(directory) or not [
        each for each in os.listdir(directory) if each.endswith(".vmdk")
    ]


def test_a_running_machine_is_not_destroyed(here, vm):
    with pytest.raises(vim.fault.InvalidPowerState):
        wait(vm.Destroy_Task())
    assert here.read(vm)


def test_an_unregistered_machine_leaves_its_files(here, vm):
    here.write(vm, 0, b"kept")
    path = chain(vm)[0]
    wait(vm.PowerOffVM_Task())
    vm.UnregisterVM()
    made = make(here, config("again", path))
    assert here.read(made, disks(made)[0].key)[:4] == b"kept"


def test_tracking_ends_with_the_disk(here, vm):
    """Removed and added again it is another disk to the tracking (vsphere.md 1)."""
    track(vm)
    since = change_id(snapshot(vm))
    wait(vm.RemoveAllSnapshots_Task())
    wait(vm.PowerOffVM_Task())
    disk = disks(vm)[0]
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=disk)
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=disk)
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))
    track(vm)
    assert change_id(snapshot(vm)).split("/")[0] != since.split("/")[0]
