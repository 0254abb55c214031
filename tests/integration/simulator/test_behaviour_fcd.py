# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""First-class disks: they have content, and their snapshots keep it."""

from __future__ import annotations

import os

import pytest
from pyVmomi import vim, vmodl

from ansible_collections.vdisk.lifecycle.tests.simulator.clients import disks, wait


@pytest.fixture
def manager(here):
    return here.content.vStorageObjectManager


@pytest.fixture
def datastore(here):
    return next(each for each in here.all(vim.Datastore) if each.name == "datastore1")


@pytest.fixture
def disk(manager, datastore):
    return create(manager, datastore)


def create(manager, datastore, size=8, kind="thin"):
    backing = vim.vslm.CreateSpec.DiskFileBackingSpec(datastore=datastore, provisioningType=kind)
    spec = vim.vslm.CreateSpec(name="disk", backingSpec=backing, capacityInMB=size)
    return wait(manager.CreateDisk_Task(spec))


def file(here, disk, suffix="-flat.vmdk"):
    name = disk.config.backing.filePath.partition("] ")[2].removesuffix(".vmdk")
    return os.path.join(here.vcenter.datastore_dir, "datastore1", name + suffix)


def attached(here, manager, datastore, disk):
    vm = here.any_machine()
    wait(vm.AttachDisk_Task(disk.config.id, datastore, 1000, 3))
    return vm, disks(vm)[-1].key


def test_a_new_one_has_content(here, disk):
    assert os.path.getsize(file(here, disk)) == 8 << 20


def test_its_descriptor_is_marked_and_so_are_copies(here, disk):
    mark = disk.config.id.id.replace("-", "")
    path = disk.config.backing.filePath
    copy = path.replace(".vmdk", "-copy.vmdk")
    wait(here.content.virtualDiskManager.CopyVirtualDisk_Task(
        path, here.datacenter, copy, here.datacenter, None, False
    ))  # fmt: skip
    for suffix in (".vmdk", "-copy.vmdk"):
        with open(file(here, disk, suffix), encoding="utf-8") as stream:
            found = dict(line.split(" = ") for line in stream if line.startswith("ddb.fcd."))
        assert found["ddb.fcd.name"].strip() == '"disk"'
        assert found["ddb.fcd.uuid"].strip(' "\n').replace(" ", "").replace("-", "") == mark


def test_extend(here, manager, datastore, disk):
    wait(manager.ExtendDisk_Task(disk.config.id, datastore, 16))
    assert os.path.getsize(file(here, disk)) == 16 << 20


def test_delete(here, manager, datastore, disk):
    wait(manager.DeleteVStorageObject_Task(disk.config.id, datastore))
    assert not os.path.exists(file(here, disk))


def test_attach(here, manager, datastore, disk):
    vm, key = attached(here, manager, datastore, disk)
    here.write(vm, 0, b"content", key)
    with open(file(here, disk), "rb") as content:
        assert content.read(7) == b"content"
    again = manager.RetrieveVStorageObject(disk.config.id, datastore)
    assert [each.id for each in again.config.consumerId] == [vm.config.uuid]


def test_detach(here, manager, datastore, disk):
    vm, key = attached(here, manager, datastore, disk)
    wait(vm.DetachDisk_Task(disk.config.id))
    assert key not in [each.key for each in disks(vm)]
    assert os.path.exists(file(here, disk))


def test_an_attached_one_is_not_deleted(here, manager, datastore, disk):
    attached(here, manager, datastore, disk)
    with pytest.raises(vim.fault.FileLocked):
        wait(manager.DeleteVStorageObject_Task(disk.config.id, datastore))


def snapshot(manager, datastore, disk):
    return wait(manager.VStorageObjectCreateSnapshot_Task(disk.config.id, datastore, "then"))


def test_a_snapshot_keeps_the_content(here, manager, datastore, disk):
    vm, key = attached(here, manager, datastore, disk)
    here.write(vm, 0, b"then", key)
    made = snapshot(manager, datastore, disk)
    here.write(vm, 0, b"now!", key)
    path = manager.RetrieveSnapshotDetails(disk.config.id, datastore, made).path
    name = path.partition("] ")[2].removesuffix(".vmdk") + "-flat.vmdk"
    with open(os.path.join(here.vcenter.datastore_dir, "datastore1", name), "rb") as content:
        assert content.read(4) == b"then"


def test_a_revert_brings_it_back(here, manager, datastore, disk):
    vm, key = attached(here, manager, datastore, disk)
    here.write(vm, 0, b"then", key)
    made = snapshot(manager, datastore, disk)
    here.write(vm, 0, b"now!", key)
    wait(vm.DetachDisk_Task(disk.config.id))
    wait(manager.RevertVStorageObject_Task(disk.config.id, datastore, made))
    with open(file(here, disk), "rb") as content:
        assert content.read(4) == b"then"


def test_changed_areas(here, manager, datastore, disk):
    vm, key = attached(here, manager, datastore, disk)
    first = snapshot(manager, datastore, disk)
    since = manager.RetrieveSnapshotDetails(disk.config.id, datastore, first)
    here.write(vm, 65536, b"x", key)
    second = snapshot(manager, datastore, disk)
    found = manager.VstorageObjectVCenterQueryChangedDiskAreas(
        disk.config.id, datastore, second, 0, since.changedBlockTrackingId
    )
    assert [(each.start, each.length) for each in found.changedArea] == [(65536, 65536)]


def test_a_snapshot_that_is_not_there(manager, datastore, disk):
    nothing = vim.vslm.ID(id="nothing")
    with pytest.raises(vmodl.fault.InvalidArgument):
        manager.RetrieveSnapshotDetails(disk.config.id, datastore, nothing)
