# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine's disks as files that look like the /sys and /dev of its guest."""

from __future__ import annotations

import time

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.tests.simulator.clients import (
    chain,
    disks,
    snapshot,
    wait,
)

NONPERSISTENT = "independent_nonpersistent"


@pytest.fixture
def proxy(here, tmp_path):
    """A machine whose guest is in tmp_path."""
    proxy = here.any_machine()
    set_uuids(proxy, "TRUE")
    here.vcenter.control("POST", "guest/tree", vm=proxy.name, root=str(tmp_path))
    yield proxy
    here.vcenter.control("DELETE", "guest/tree", vm=proxy.name)
    assert not list(tmp_path.iterdir())


def set_uuids(machine, value):
    option = vim.option.OptionValue(key="disk.EnableUUID", value=value)
    wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))


def attach(proxy, path, mode=NONPERSISTENT, **more):
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=path, diskMode=mode)
    disk = vim.vm.device.VirtualDisk(key=-1, controllerKey=1000, unitNumber=1, backing=backing)
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=disk)
    wait(proxy.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change], **more)))


def detach(proxy):
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=disks(proxy)[-1])
    wait(proxy.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))


def names(tmp_path):
    return sorted(each.name for each in (tmp_path / "sys/block").iterdir())


def frozen(vm):
    snapshot(vm)
    return chain(vm)[1]


def test_the_machine_itself(proxy, tmp_path):
    uuid = (tmp_path / "sys/class/dmi/id/product_uuid").read_text().strip()
    assert uuid == proxy.config.uuid
    assert names(tmp_path) == ["sda"]


def test_a_disk_comes_and_goes(here, vm, proxy, tmp_path):
    here.write(vm, 100_000, b"then")
    path, expected = frozen(vm), here.read(vm)
    here.write(vm, 100_000, b"now!")
    attach(proxy, path)
    block = tmp_path / "sys/block/sdb"
    digits = disks(vm)[0].backing.uuid.replace("-", "").lower()
    assert (block / "device/wwid").read_text() == f"naa.{digits}\n"
    assert int((block / "size").read_text()) == (16 << 20) // 512
    assert (tmp_path / "dev/sdb").read_bytes() == expected
    detach(proxy)
    assert names(tmp_path) == ["sda"]
    assert not (tmp_path / "dev/sdb").exists()


def test_what_is_written_to_a_persistent_disk_is_in_it(here, vm, proxy, tmp_path):
    """Also while its own machine has it, and is off."""
    wait(vm.PowerOffVM_Task())
    attach(proxy, chain(vm)[0], "independent_persistent")
    with open(tmp_path / "dev/sdb", "r+b") as file:
        file.seek(300_000)
        file.write(b"by the guest")
    detach(proxy)
    assert here.read(vm)[300_000:300_012] == b"by the guest"


def test_a_disk_of_a_running_machine_is_not_shared(vm, proxy):
    with pytest.raises(vim.fault.GenericVmConfigFault):
        attach(proxy, chain(vm)[0], "independent_persistent")


def test_no_uuids_without_the_option(vm, proxy, tmp_path):
    set_uuids(proxy, "FALSE")
    attach(proxy, frozen(vm))
    assert not (tmp_path / "sys/block/sdb/device/wwid").exists()


def test_a_guest_that_has_to_be_asked(here, vm, proxy, tmp_path):
    with here.mode(guest_notices=-0.05):
        attach(proxy, frozen(vm))
        time.sleep(0.2)
        assert names(tmp_path) == ["sda"]
        (tmp_path / "sys/class/scsi_host/host0/scan").write_text("- - -")
        for _attempt in range(100):
            if names(tmp_path) == ["sda", "sdb"]:
                break
            time.sleep(0.05)
        assert names(tmp_path) == ["sda", "sdb"]


@pytest.mark.parametrize("lets_go", [True, False])
def test_a_disk_that_is_torn_from_its_guest_is_told(here, vm, proxy, tmp_path, lets_go):
    before, path = here.vcenter.state()["torn"], frozen(vm)
    attach(proxy, path)
    if lets_go:
        (tmp_path / "sys/block/sdb/device/delete").write_text("1")
    detach(proxy)
    assert here.vcenter.state()["torn"][len(before) :] == ([] if lets_go else [path])


def test_a_change_of_what_was_seen_before_others_changed_it(vm, proxy):
    path, seen = frozen(vm), proxy.config.changeVersion
    set_uuids(proxy, "TRUE")
    with pytest.raises(vim.fault.ConcurrentAccess):
        attach(proxy, path, changeVersion=seen)
    attach(proxy, path, changeVersion=proxy.config.changeVersion)
