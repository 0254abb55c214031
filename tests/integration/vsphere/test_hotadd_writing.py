# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Managed disks that are written to by the proxy, while nobody else has a use for them."""

# pylint: disable=unused-import
from __future__ import annotations

import os

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    BadReference,
    DiskInUse,
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import tasks
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import (
    one_proxy,  # noqa: F401
    proxy,  # noqa: F401
    put,
    take_away,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    log_in,
    run_of_ours,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.clients import disks, snapshot, wait

MIB = 1 << 20


@pytest.fixture(scope="module")
def session(one_proxy):  # noqa: F811
    with log_in(one_proxy.vcenter) as opened:
        yield opened


@pytest.fixture
def run(proxy, session):  # noqa: F811
    with run_of_ours() as journal:
        yield session, journal


@pytest.fixture
def client(proxy):  # noqa: F811
    with proxy.client() as client:
        yield client


@pytest.fixture
def vm(proxy, client):  # noqa: F811
    """A machine that is off, with something on its disk."""
    vm = client.machine(proxy.fresh())
    client.write(vm, MIB, b"before" * 50_000)
    wait(vm.PowerOffVM_Task())
    return vm


def path_of(vm):
    return disks(vm)[0].backing.fileName


def test_what_is_written_is_in_the_disk_and_the_rest_stays(proxy, run, client, vm):  # noqa: F811
    expected, data = bytearray(client.read(vm)), os.urandom(70_001)
    with proxy.hot_add(*run).open_writable(path_of(vm), vm._moId) as opened:
        assert proxy.attached() == {path_of(vm): "independent_persistent"}
        assert opened.size == len(expected)
        opened.write(5 * MIB + 17, data)
        opened.zero(MIB, 100_000)
        opened.flush()
        expected[5 * MIB + 17 : 5 * MIB + 17 + len(data)] = data
        expected[MIB : MIB + 100_000] = bytes(100_000)
        assert bytes(read(opened, 0, opened.size)) == bytes(expected)
    assert proxy.attached() == {}
    assert run[1].open_entries() == []
    assert client.read(vm) == bytes(expected)
    wait(vm.PowerOnVM_Task())
    assert client.read(vm) == bytes(expected)


def test_all_files_stay_and_the_machine_keeps_its_disk(proxy, run, vm):  # noqa: F811
    before = proxy.files()
    proxy.hot_add(*run).open_writable(path_of(vm), vm._moId).close()
    assert proxy.files() == before
    assert len(disks(vm)) == 1


def test_a_disk_of_nobody(proxy, run, client):  # noqa: F811
    spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
        capacityKb=4096, diskType="thin", adapterType="lsiLogic"
    )
    manager, path = client.content.virtualDiskManager, "[datastore1] free.vmdk"
    task = manager.CreateVirtualDisk_Task(path, client.datacenter, spec)
    tasks.wait(run[0], vim.Task(task._moId, run[0].content.rootFolder._stub))
    with proxy.hot_add(*run).open_writable(path) as opened:
        opened.write(0, b"restored")
    with proxy.hot_add(*run).open_writable(path) as opened:
        assert bytes(read(opened, 0, 8)) == b"restored"


@pytest.mark.parametrize("name", ["web01", "db01"])
def test_not_while_its_machine_runs(proxy, run, name):  # noqa: F811
    before = proxy.vcenter.calls().get("ReconfigVM_Task", 0)
    with pytest.raises(DiskInUse, match=f"{name} has it attached at scsi0:0 and is not off"):
        proxy.hot_add(*run).open_writable(f"[datastore1] {name}/{name}.vmdk")
    assert proxy.vcenter.calls().get("ReconfigVM_Task", 0) == before
    assert run[1].open_entries() == []


def test_not_while_it_has_snapshots(proxy, run, vm):  # noqa: F811
    base = path_of(vm)
    snapshot(vm)
    assert path_of(vm) != base
    for path in (base, path_of(vm)):
        with pytest.raises(DiskInUse, match=r"snapshot|stands on it"):
            proxy.hot_add(*run).open_writable(path, vm._moId)


def test_not_while_another_machine_has_it_even_if_that_is_off(proxy, run, client, vm):  # noqa: F811
    other, path = client.machine(proxy.fresh()), path_of(vm)
    wait(other.PowerOffVM_Task())
    take_away(vm, disks(vm)[0])
    put(other, path, 5, "persistent")
    for owner in (vm._moId, None):
        with pytest.raises(DiskInUse, match=f"{other.name} has it attached at scsi0:5"):
            proxy.hot_add(*run).open_writable(path, owner)
    assert run[1].open_entries() == []


def test_not_while_somebody_reads_it(proxy, run, vm):  # noqa: F811
    proxy.somebody_attaches(path_of(vm), 9)
    with pytest.raises(DiskInUse, match="proxy01 has it attached"):
        proxy.hot_add(*run).open_writable(path_of(vm), vm._moId)
    proxy.detach_all()


def test_its_machine_cannot_be_started_meanwhile(proxy, run, vm):  # noqa: F811
    opened = proxy.hot_add(*run).open_writable(path_of(vm), vm._moId)
    with pytest.raises(vim.fault.GenericVmConfigFault):
        wait(vm.PowerOnVM_Task())
    opened.close()
    wait(vm.PowerOnVM_Task())


def test_what_is_no_managed_disk(proxy, run):  # noqa: F811
    with pytest.raises(BadReference):
        proxy.hot_add(*run).open_writable("/srv/disk.vmdk")


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"keyId": vim.encryption.CryptoKeyId(keyId="k")}, "the disk is encrypted and the proxy"),
        ({"sharing": "sharingMultiWriter"}, "other machines may write to it"),
    ],
    ids=["encrypted", "shared"],
)
def test_not_every_disk_is_written_to(proxy, run, vm, how, why):  # noqa: F811
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=path_of(vm), **how)
    with pytest.raises(TransportUnavailable, match=why):
        proxy.hot_add(*run).open_writable(path_of(vm), vm._moId, backing)
    assert run[1].open_entries() == []
