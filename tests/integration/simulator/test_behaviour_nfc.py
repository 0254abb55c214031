# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""NFC leases: what they send is judged by qemu-img, what they take by the guest."""

from __future__ import annotations

import random
import shutil
import subprocess
import time
import urllib.error

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.tests.simulator.clients import (
    disks,
    snapshot,
    wait,
)

SIZE = 16 << 20

qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img")


@pytest.fixture
def vm(here):
    """With something in its disk."""
    found = here.any_machine()
    for number in range(5):
        data = random.Random(number).randbytes(70000)
        here.write(found, number * 3000000 + 12345, data)
    return found


def ready(lease):
    deadline = time.monotonic() + 20
    while lease.state == "initializing":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return lease


def raw(stream, folder):
    (folder / "stream.vmdk").write_bytes(stream)
    command = ["qemu-img", "convert", "-O", "raw", folder / "stream.vmdk", folder / "raw"]
    subprocess.run(command, check=True)
    return (folder / "raw").read_bytes()


def stream_of(content, folder):
    (folder / "raw").write_bytes(content)
    form = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run(["qemu-img", "convert", *form, folder / "raw", folder / "s.vmdk"], check=True)
    return (folder / "s.vmdk").read_bytes()


def import_spec(name, sizes=(SIZE,)):
    devices = [
        vim.vm.device.VirtualDeviceSpec(
            operation="add",
            device=vim.vm.device.ParaVirtualSCSIController(
                key=1000, busNumber=0, sharedBus="noSharing"
            ),
        )
    ]
    for unit, size in enumerate(sizes):
        backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName="", diskMode="persistent", thinProvisioned=True
        )
        disk = vim.vm.device.VirtualDisk(
            key=-10 - unit,
            controllerKey=1000,
            unitNumber=unit,
            capacityInKB=size // 1024,
            backing=backing,
        )
        change = vim.vm.device.VirtualDeviceSpec(
            operation="add", fileOperation="create", device=disk
        )
        devices.append(change)
    config = vim.vm.ConfigSpec(
        name=name,
        guestId="otherGuest",
        numCPUs=1,
        memoryMB=128,
        deviceChange=devices,
        files=vim.vm.FileInfo(vmPathName=f"[datastore1] {name}/{name}.vmx"),
    )
    return vim.vm.VmImportSpec(configSpec=config)


def begin_import(here, name, **more):
    pool = here.all(vim.ResourcePool)[0]
    folder = here.datacenter.vmFolder
    return ready(pool.ImportVApp(import_spec(name, **more), folder))


@qemu
def test_a_snapshot_is_sent_as_it_was(here, vm, tmp_path):
    then = here.read(vm)
    made = snapshot(vm)
    here.write(vm, 0, b"later")
    lease = made.ExportSnapshot()
    assert raw(here.download(lease.info.deviceUrl[0].url), tmp_path) == then


@qemu
def test_a_machine_that_is_off_is_sent(here, vm, tmp_path):
    wait(vm.PowerOffVM_Task())
    lease = vm.ExportVm()
    assert raw(here.download(lease.info.deviceUrl[0].url), tmp_path) == here.read(vm)


def test_a_running_machine_is_not(vm):
    with pytest.raises(vim.fault.InvalidPowerState):
        vm.ExportVm()


def test_one_address_for_each_disk(here):
    vm = here.machine("db01")
    lease = snapshot(vm).ExportSnapshot()
    assert [each.key.rpartition("/")[2] for each in lease.info.deviceUrl] == [
        f"ParaVirtualSCSIController0:{unit}" for unit in range(3)
    ]
    assert len({each.url for each in lease.info.deviceUrl}) == 3


def test_a_host_that_does_not_know_its_name(here, vm):
    with here.mode(nfc_host="*"):
        lease = snapshot(vm).ExportSnapshot()
        assert lease.info.deviceUrl[0].url.startswith("https://*:")


def test_a_snapshot_stays_while_it_is_sent(vm):
    made = snapshot(vm)
    lease = made.ExportSnapshot()
    with pytest.raises(vim.fault.FileLocked):
        wait(made.RemoveSnapshot_Task(False))
    lease.HttpNfcLeaseComplete()
    wait(made.RemoveSnapshot_Task(False))


def test_an_idle_lease_ends(here, vm):
    with here.mode(lease_timeout=1.0):
        lease = snapshot(vm).ExportSnapshot()
    url = lease.info.deviceUrl[0].url
    deadline = time.monotonic() + 20
    while lease.state == "ready":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (lease.state, type(lease.error)) == ("error", vim.fault.Timedout)
    with pytest.raises(urllib.error.HTTPError):
        here.download(url)


def test_progress_keeps_a_lease_alive(here, vm):
    with here.mode(lease_timeout=3.0):
        lease = snapshot(vm).ExportSnapshot()
    for percent in range(0, 50, 10):
        time.sleep(0.7)
        lease.HttpNfcLeaseProgress(percent)
    assert lease.state == "ready"
    assert lease.transferProgress == 40


def test_a_lease_is_over_when_it_is_complete(here, vm):
    lease = snapshot(vm).ExportSnapshot()
    assert here.vcenter.state()["leases"].count(lease._moId) == 1
    lease.HttpNfcLeaseComplete()
    assert lease.state == "done"
    assert lease._moId not in here.vcenter.state()["leases"]
    with pytest.raises(vim.fault.InvalidState):
        lease.HttpNfcLeaseProgress(100)


def test_the_manifest_says_what_was_sent(here, vm):
    lease = snapshot(vm).ExportSnapshot()
    stream = here.download(lease.info.deviceUrl[0].url)
    entry = lease.HttpNfcLeaseGetManifest()[0]
    assert (entry.size, entry.capacity, entry.disk) == (len(stream), SIZE, True)


@qemu
def test_an_upload_is_the_disks_content(here, tmp_path):
    content = bytearray(SIZE)
    content[100:70100] = random.Random(1).randbytes(70000)
    lease = begin_import(here, "imported")
    here.upload(lease.info.deviceUrl[0].url, stream_of(content, tmp_path))
    lease.HttpNfcLeaseComplete()
    vm = here.machine("imported")
    assert here.read(vm, disks(vm)[0].key) == content


@qemu
def test_several_disks_are_not_mixed_up(here, tmp_path):
    lease = begin_import(here, "several", sizes=(SIZE, 2 * SIZE))
    for number, url in enumerate(lease.info.deviceUrl, 1):
        content = bytes([number]) * 4096 + bytes(number * SIZE - 4096)
        here.upload(url.url, stream_of(content, tmp_path))
    lease.HttpNfcLeaseComplete()
    vm = here.machine("several")
    first = [here.read(vm, disk.key)[:1] for disk in disks(vm)]
    assert first == [b"\1", b"\2"]


def test_an_aborted_import_leaves_nothing(here):
    lease = begin_import(here, "aborted")
    lease.HttpNfcLeaseAbort()
    assert lease.state == "error"
    assert "aborted" not in [each.name for each in here.all(vim.VirtualMachine)]


def test_an_upload_that_is_no_disk(here):
    lease = begin_import(here, "nonsense")
    with pytest.raises(urllib.error.HTTPError):
        here.upload(lease.info.deviceUrl[0].url, b"nonsense" * 1000)
    assert lease.state == "error"
