# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that are added to and removed from machines: rules of attaching, redo logs, locks."""

from __future__ import annotations

import os
import urllib.error
import urllib.request

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.tests.simulator.clients import (
    areas,
    chain,
    change_id,
    disks,
    snapshot,
    track,
    wait,
)

NONPERSISTENT = "independent_nonpersistent"


@pytest.fixture
def proxy(here):
    return here.any_machine()


def added(path, unit=1, mode=NONPERSISTENT, controller=1000):
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=path, diskMode=mode)
    disk = vim.vm.device.VirtualDisk(
        key=-1, controllerKey=controller, unitNumber=unit, backing=backing
    )
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=disk)
    return vim.vm.ConfigSpec(deviceChange=[change])


def created(unit=1, size=1024, **backing):
    spec = added("", unit, "persistent")
    spec.deviceChange[0].fileOperation = "create"
    spec.deviceChange[0].device.capacityInKB = size
    for name, value in backing.items():
        setattr(spec.deviceChange[0].device.backing, name, value)
    return spec


def removed(disk, **more):
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=disk, **more)
    return vim.vm.ConfigSpec(deviceChange=[change])


def attach(proxy, path, **more):
    wait(proxy.ReconfigVM_Task(added(path, **more)))
    return disks(proxy)[-1]


def detach(proxy, disk):
    wait(proxy.ReconfigVM_Task(removed(disk)))


def frozen(vm):
    snapshot(vm)
    return chain(vm)[1]


def test_the_frozen_disk_can_be_read_at_the_proxy(here, vm, proxy):
    here.write(vm, 0, b"then")
    path = frozen(vm)
    here.write(vm, 0, b"now!")
    disk = attach(proxy, path)
    assert here.read(proxy, disk.key)[:4] == b"then"


def test_size_and_uuid_come_from_the_file(vm, proxy):
    disk = attach(proxy, frozen(vm))
    assert disk.capacityInBytes == 16 << 20
    assert disk.backing.uuid == disks(vm)[0].backing.uuid


def test_a_redo_log_appears_and_goes(here, vm, proxy):
    directory = os.path.join(here.vcenter.datastore_dir, "datastore1", vm.name)
    disk = attach(proxy, frozen(vm))
    assert any("REDO" in each for each in os.listdir(directory))
    detach(proxy, disk)
    assert not any("REDO" in each for each in os.listdir(directory))


def test_reading_a_machine_that_is_off_leaves_its_tracking_alone(here, vm, proxy):
    track(vm)
    since = change_id(snapshot(vm))
    wait(vm.RemoveAllSnapshots_Task())
    here.write(vm, 0, b"x")
    wait(vm.PowerOffVM_Task())
    detach(proxy, attach(proxy, chain(vm)[0]))
    wait(vm.PowerOnVM_Task())
    assert areas(vm, snapshot(vm), since) == [(0, 65536)]


def test_what_the_proxy_writes_is_not_in_the_disk(here, vm, proxy):
    path = frozen(vm)
    disk = attach(proxy, path)
    here.write(proxy, 0, b"scribble", disk.key)
    assert here.read(proxy, disk.key)[:8] == b"scribble"
    assert here.read(vm)[:8] == bytes(8)
    detach(proxy, disk)
    again = attach(proxy, path)
    assert here.read(proxy, again.key)[:8] == bytes(8)


def test_two_proxies_at_once(here, vm, proxy):
    path = frozen(vm)
    attach(proxy, path)
    attach(here.any_machine(), path)


def test_a_snapshot_stays_while_its_disk_is_attached(vm, proxy):
    made = snapshot(vm)
    disk = attach(proxy, chain(vm)[1])
    with pytest.raises(vim.fault.FileLocked):
        wait(made.RemoveSnapshot_Task(False))
    with pytest.raises(vim.fault.FileLocked):
        wait(vm.RemoveAllSnapshots_Task())
    assert vm.snapshot is not None
    detach(proxy, disk)
    wait(made.RemoveSnapshot_Task(False))


def test_nor_does_an_older_one_go_below_it(vm, proxy):
    """Its merge would change a file that the proxy reads."""
    older, _newer = snapshot(vm), snapshot(vm)
    attach(proxy, chain(vm)[1])
    with pytest.raises(vim.fault.FileLocked):
        wait(older.RemoveSnapshot_Task(False))


def test_consolidation_waits_for_the_proxy(here, vm, proxy):
    made = snapshot(vm)
    path = chain(vm)[1]
    with here.mode(needs_consolidation=True):
        wait(made.RemoveSnapshot_Task(False))
    disk = attach(proxy, path)
    with pytest.raises(vim.fault.FileLocked):
        wait(vm.ConsolidateVMDisks_Task())
    assert vm.runtime.consolidationNeeded
    detach(proxy, disk)
    wait(vm.ConsolidateVMDisks_Task())
    assert chain(vm) == [path]


def test_a_machine_stays_while_its_disk_is_attached(vm, proxy):
    attach(proxy, frozen(vm))
    wait(vm.PowerOffVM_Task())
    with pytest.raises(vim.fault.FileLocked):
        wait(vm.Destroy_Task())


def test_attached_disks_are_in_the_state(here, vm, proxy):
    disk = attach(proxy, frozen(vm))
    assert proxy._moId in here.vcenter.state()["attached"]
    detach(proxy, disk)
    assert proxy._moId not in here.vcenter.state()["attached"]


@pytest.mark.parametrize("unit", [7, 16, 0])
def test_units_that_cannot_be_had(vm, proxy, unit):
    with pytest.raises(vim.fault.InvalidDeviceSpec):
        attach(proxy, frozen(vm), unit=unit)


def test_fifteen_disks_on_a_controller(here, proxy):
    units = [unit for unit in range(16) if unit != 7]
    for unit in units[1:]:
        wait(proxy.ReconfigVM_Task(created(unit)))
    assert sorted(each.unitNumber for each in disks(proxy)) == units


def test_the_live_disk_of_a_running_machine_is_locked(vm, proxy):
    with pytest.raises(vim.fault.GenericVmConfigFault):
        attach(proxy, chain(vm)[0])


def test_a_persistent_disk_is_not_shared(vm, proxy):
    with pytest.raises(vim.fault.GenericVmConfigFault):
        attach(proxy, frozen(vm), mode="persistent")


def test_not_twice_in_one_machine(here, vm):
    wait(vm.PowerOffVM_Task())
    with pytest.raises(vim.fault.GenericVmConfigFault):
        attach(vm, chain(vm)[0], mode="persistent")


def test_twice_in_one_machine_when_nonpersistent(here, vm, proxy):
    path = frozen(vm)
    attach(proxy, path, unit=1)
    attach(proxy, path, unit=2)
    assert len(disks(proxy)) == 3


def test_a_file_that_is_not_there(proxy):
    with pytest.raises(vim.fault.FileNotFound):
        attach(proxy, "[datastore1] nothing/here.vmdk")


def test_power_off_drops_what_was_written(here, vm, proxy):
    disk = attach(proxy, frozen(vm))
    here.write(proxy, 0, b"scribble", disk.key)
    wait(proxy.PowerOffVM_Task())
    wait(proxy.PowerOnVM_Task())
    assert here.read(proxy, disk.key)[:8] == bytes(8)


def test_a_new_disk_has_content(here, vm):
    wait(vm.ReconfigVM_Task(created(1, 2048, thinProvisioned=True)))
    key = disks(vm)[1].key
    here.write(vm, 5, b"x", key)
    assert here.read(vm, key) == bytes(5) + b"x" + bytes((2 << 20) - 6)


def test_a_destroyed_disk_is_gone(here, vm):
    wait(vm.ReconfigVM_Task(created()))
    disk = disks(vm)[1]
    wait(vm.ReconfigVM_Task(removed(disk, fileOperation="destroy")))
    directory = os.path.join(here.vcenter.datastore_dir, "datastore1", vm.name)
    assert os.path.basename(disk.backing.fileName.split("/")[-1]) not in os.listdir(directory)


def test_a_detached_disk_stays(here, vm):
    wait(vm.ReconfigVM_Task(created()))
    disk = disks(vm)[1]
    here.write(vm, 0, b"stays", disk.key)
    detach(vm, disk)
    again = attach(vm, disk.backing.fileName, mode="persistent")
    assert here.read(vm, again.key)[:5] == b"stays"


def test_a_disk_with_snapshots_does_not_grow(vm):
    snapshot(vm)
    disk = disks(vm)[0]
    disk.capacityInBytes *= 2
    disk.capacityInKB *= 2
    change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
    with pytest.raises(vim.fault.GenericVmConfigFault):
        wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))


def test_power_on_with_a_disk_that_another_has(here, vm):
    other = here.any_machine()
    wait(other.PowerOffVM_Task())
    wait(vm.PowerOffVM_Task())
    attach(other, chain(vm)[0], mode="persistent")
    wait(vm.PowerOnVM_Task())
    with pytest.raises(vim.fault.GenericVmConfigFault):
        wait(other.PowerOnVM_Task())


def flat(here, vm):
    # the session's cookie, as any browser of datastores has it
    host = f"https://{here.vcenter.hostname}:{here.vcenter.port}"
    url = f"{host}/folder/{vm.name}/{vm.name}-flat.vmdk?dcPath=DC0&dsName=datastore1"
    return urllib.request.Request(
        url, headers={"Cookie": here.service._stub.cookie.split(";")[0], "Range": "bytes=0-511"}
    )


def get(here, vm):
    import ssl

    tls = ssl.create_default_context(cafile=here.vcenter.ca_file)
    with urllib.request.urlopen(flat(here, vm), context=tls, timeout=30) as answer:
        return answer.read()


def test_the_live_flat_file_is_locked(here, vm):
    with pytest.raises(urllib.error.HTTPError):
        get(here, vm)


def test_the_flat_file_of_a_machine_that_is_off(here, vm):
    wait(vm.PowerOffVM_Task())
    assert len(get(here, vm)) == 512


def test_hosts_that_do_not_mind(here, vm):
    with here.mode(lock_live_flat=False):
        assert len(get(here, vm)) == 512
