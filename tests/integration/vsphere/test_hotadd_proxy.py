# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which virtual machine this host is, and what is read of it and of the disk before it is tried."""

# pylint: disable=unused-import
from __future__ import annotations

import contextlib
import shutil
import uuid
from pathlib import Path

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd.case import (
    Target,
    case_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd.proxy import (
    find_proxy,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd.this_host import (
    this_host,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import (
    PROXY,
    Tree,
    one_proxy,  # noqa: F401
    proxy,  # noqa: F401
    set_option,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    log_in,
    run_of_ours,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.clients import disks, wait


@pytest.fixture(scope="module")
def session(one_proxy):  # noqa: F811
    with log_in(one_proxy.vcenter) as opened:
        yield opened


@pytest.fixture
def host(proxy, tmp_path):  # noqa: F811
    """A copy of this host's tree, to be changed."""
    shutil.copytree(proxy.tree.root, tmp_path / "host", symlinks=True)
    return Host(tmp_path / "host")


class Host(Tree):
    @property
    def uuid(self):
        return self._product_uuid.read_text().strip()

    @uuid.setter
    def uuid(self, text):
        self._product_uuid.write_text(f"{text}\n")

    @property
    def _product_uuid(self):
        return Path(self.sys_root, "class/dmi/id/product_uuid")

    def give_other_disks(self):
        Path(self.sys_root, "block/sda/device/wwid").write_text("naa.6000c29" + 25 * "0")

    def add_address(self, address):
        file = Path(self.sys_root, "class/net/eth0/address")
        file.parent.mkdir(parents=True)
        file.write_text(f"{address}\n")


@contextlib.contextmanager
def changed(proxy, name, back, **changes):  # noqa: F811
    """A machine with another configuration, for as long."""
    with proxy.client() as client:
        machine = client.machine(name)
        wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(**changes)))
        try:
            yield machine
        finally:
            wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(**back)))


def found(session, host, named=None):
    return find_proxy(session, named, this_host(host.sys_root)).name


def refused(session, host, named=None):
    with pytest.raises(TransportUnavailable) as error:
        found(session, host, named)
    return str(error.value)


def test_by_its_bios_uuid(session, host):
    assert found(session, host) == PROXY


def test_by_its_bios_uuid_in_the_other_byte_order(session, host):
    host.uuid = uuid.UUID(bytes=uuid.UUID(host.uuid).bytes_le)
    assert found(session, host) == PROXY


@pytest.mark.parametrize("name", [PROXY, "/DC0/vm/proxy01"])
def test_by_name(session, host, name):
    assert found(session, host, name) == PROXY
    host.uuid = "Not Settable"
    assert found(session, host, name) == PROXY


def test_a_host_that_is_nobody_there(session, host):
    host.uuid = uuid.uuid4()
    told = refused(session, host)
    assert "this host is no virtual machine of the vCenter 127.0.0.1" in told
    assert host.uuid in told


def test_a_host_without_a_uuid_is_told_of_the_option(session, host):
    host.uuid = ""
    assert "proxy_vm" in refused(session, host)


def test_a_name_of_another_machine(session, host):
    assert "web01: its BIOS uuid is" in refused(session, host, "web01")


def test_a_machine_that_is_off(session, host):
    assert "files01: it is not running" in refused(session, host, "files01")


def test_a_copy_with_the_same_uuid_is_told_from_this_host(proxy, session, host):  # noqa: F811
    name = proxy.fresh()
    set_option(proxy.vcenter, name, "disk.EnableUUID", "TRUE")
    with changed(proxy, name, {"uuid": str(uuid.uuid4())}, uuid=host.uuid):
        assert found(session, host) == PROXY
        assert "a copy of it?" in refused(session, host, name)


def test_a_host_that_is_the_copy(session, host):
    """Somewhere else, with the uuid that it was copied with."""
    host.give_other_disks()
    assert "none of its network addresses and disks is one of this host" in refused(session, host)


def test_a_network_address_will_do(proxy, session, host):  # noqa: F811
    host.give_other_disks()
    host.add_address("00:50:56:3F:00:01")
    card = vim.vm.device.VirtualVmxnet3(
        key=-1, macAddress="00:50:56:3f:00:01", addressType="manual"
    )
    card.backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName="VM Network")
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=card)
    with changed(proxy, PROXY, {}, deviceChange=[change]) as machine:
        assert found(session, host) == PROXY
        card = next(each for each in machine.config.hardware.device if hasattr(each, "macAddress"))
        change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=card)
        wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))


def test_two_that_look_alike_are_not_guessed(proxy, session, host):  # noqa: F811
    """A copy of the datastore's files, registered beside the first."""
    name = proxy.fresh()
    with changed(proxy, name, {"uuid": str(uuid.uuid4())}, uuid=host.uuid) as machine:
        known = disks(machine)[0].backing.uuid.replace("-", "").lower()
        file = Path(host.sys_root, "block/sdb/device/wwid")
        file.parent.mkdir(parents=True)
        file.write_text(f"naa.{known}")
        told = refused(session, host)
    assert "several virtual machines" in told
    assert name in told
    assert "proxy_vm" in told


@pytest.fixture
def run(proxy, session):  # noqa: F811
    with run_of_ours() as journal:
        yield session, journal


def case(proxy, run, disk):  # noqa: F811
    return case_of(
        run[0], Target.of(disk), find_proxy(run[0], PROXY, this_host(proxy.tree.sys_root))
    )


def test_what_is_read_of_an_ordinary_disk(proxy, run):  # noqa: F811
    known = case(proxy, run, proxy.held(*run))
    assert (known.vm_host.version, known.vm_host.build) == ("8.0.3", "24280767")
    assert known.proxy_host.version == "8.0.3"
    assert known.unreached is None
    assert known.lacking == ()
    assert not known.proxy_tracks_changes
    assert not known.proxy_on_vsan


def test_privileges_that_are_missing(proxy, run):  # noqa: F811
    disk = proxy.held(*run)
    proxy.vcenter.mode(denied=["VirtualMachine.Config.AddExistingDisk", "Cryptographer.Access"])
    assert case(proxy, run, disk).lacking == ("VirtualMachine.Config.AddExistingDisk",)
    assert "AddExistingDisk" in proxy.hot_add(*run).refusal(disk)


def test_a_proxy_that_is_tracked(proxy, run):  # noqa: F811
    disk = proxy.held(*run)
    off = {"changeTrackingEnabled": False}
    with changed(proxy, PROXY, off, changeTrackingEnabled=True):
        assert "changed block tracking is on for the proxy" in proxy.hot_add(*run).refusal(disk)


def test_a_proxy_that_may_not_know_uuids(proxy, run):  # noqa: F811
    disk = proxy.held(*run)
    set_option(proxy.vcenter, PROXY, "disk.EnableUUID", "FALSE")
    try:
        assert "disk.EnableUUID" in proxy.hot_add(*run).refusal(disk)
    finally:
        set_option(proxy.vcenter, PROXY, "disk.EnableUUID", "TRUE")


def test_a_datastore_that_the_proxys_host_lacks(proxy, run, tmp_path):  # noqa: F811
    disk = proxy.held(*run)
    with proxy.client() as client:
        mine = client.machine(PROXY).runtime.host
        other = next(each for each in client.all(vim.HostSystem) if each != mine)
        store = other.configManager.datastoreSystem.CreateLocalDatastore("lonely", str(tmp_path))
        disk.device.backing.datastore = vim.Datastore(store._moId, run[0].content.rootFolder._stub)
        assert "cannot reach the datastore" in proxy.hot_add(*run).refusal(disk)


def test_a_session_that_ended_is_renewed(proxy, run):  # noqa: F811
    disk = proxy.held(*run)
    proxy.vcenter.expire_sessions()
    assert proxy.hot_add(*run).refusal(disk) is None
