# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A simulated vCenter with disks to attach, seen through pyVmomi and not through our eyes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.tests.integration.modules.zygote import MODULES
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import needed, simulator

MIB = 1 << 20
MACHINES = {"web01": True, "db01": True, "files01": False}  # and whether they run


class Lab:
    """What tests of attaching do to a vCenter, and see there."""

    def __init__(self, vcenter, client, modules):
        self.vcenter = vcenter
        self.content = client.RetrieveContent()
        self.datacenter = self.content.rootFolder.childEntity[0]
        self.modules = modules
        kind = [vim.VirtualMachine]
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, kind, True)
        self._vms = {vm.name: vm for vm in view.view}
        view.Destroy()

    def attach(self, path, vm="web01", **options):
        return self.modules.vmdk_attach(path=path, vm=vm, **options)

    def detach(self, path, vm="web01", **options):
        return self.attach(path, vm, state="absent", **options)

    def take(self, path, vm="files01", sharing=None):
        """Somebody else attaches it, and does not ask us."""
        kind = vim.vm.device.VirtualDisk
        backing = kind.FlatVer2BackingInfo(fileName=path, diskMode="persistent", sharing=sharing)
        disk = kind(key=-1, backing=backing, controllerKey=1000, unitNumber=9)
        change = vim.vm.device.VirtualDeviceSpec(operation="add", device=disk)
        self.wait(self.vm(vm).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))

    def move(self, path, target):
        """Of a disk, by somebody who does not ask us."""
        manager, here = self.content.virtualDiskManager, self.datacenter
        self.wait(manager.MoveVirtualDisk_Task(path, here, target, here, False))

    def refused(self, path, vm="web01", **options):
        return self.modules.fail("vmdk_attach", path=path, vm=vm, **options)["msg"]

    def new_disk(self, datastore="datastore1", size=4 * MIB):
        """The path of a disk that is nobody's."""
        return self.new_disk_at(f"[{datastore}] {uuid.uuid4().hex[:12]}.vmdk", size)

    def new_disk_at(self, path, size=4 * MIB):
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            capacityKb=size // 1024, diskType="thin", adapterType="lsiLogic"
        )
        self.wait(
            self.content.virtualDiskManager.CreateVirtualDisk_Task(path, self.datacenter, spec)
        )
        return path

    def first_class_disk(self, name):
        """Made by somebody else."""
        datastore = next(each for each in self.datacenter.datastore if each.name == "datastore1")
        backing = vim.vslm.CreateSpec.DiskFileBackingSpec(
            datastore=datastore, provisioningType="thin"
        )
        spec = vim.vslm.CreateSpec(name=name, backingSpec=backing, capacityInMB=4)
        self.wait(self.content.vStorageObjectManager.CreateDisk_Task(spec))

    def new_datastore_at_another_host(self, folder, name):
        """One that a host has, and not that of this machine."""
        mine = self.vm(name).runtime.host
        kind = [vim.HostSystem]
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, kind, True)
        host = next(each for each in view.view if each != mine)
        host.configManager.datastoreSystem.CreateLocalDatastore("lonely", str(folder))

    def add_to_descriptor(self, path, line):
        """As another product would."""
        datastore, _bracket, name = path[1:].partition("] ")
        with open(os.path.join(self.vcenter.datastore_dir, datastore, name), "a") as file:
            file.write(f"\n{line}\n")

    def uuid_of(self, path):
        text = self.content.virtualDiskManager.QueryVirtualDiskUuid(path, self.datacenter)
        return text.replace(" ", "").replace("-", "").lower()

    def vm(self, name):
        return self._vms[name]

    def disks(self, name="web01"):
        """{path: (bus, unit, mode)} of a machine."""
        devices = self.vm(name).config.hardware.device
        buses = {each.key: each.busNumber for each in devices if hasattr(each, "busNumber")}
        return {
            each.backing.fileName: (
                buses[each.controllerKey], each.unitNumber, each.backing.diskMode
            )
            for each in devices
            if isinstance(each, vim.vm.device.VirtualDisk)
        }  # fmt: skip

    def controllers(self, name="web01"):
        """{bus: class} of the SCSI controllers."""
        return {
            each.busNumber: type(each)
            for each in self.vm(name).config.hardware.device
            if isinstance(each, vim.vm.device.VirtualSCSIController)
        }

    def files(self):
        """Everything on the datastores: attaching and detaching must not touch it."""
        return sorted(
            (path, os.path.getsize(os.path.join(path, name)), name)
            for path, _folders, names in os.walk(self.vcenter.datastore_dir)
            for name in names
            if name.endswith(".vmdk")
        )

    def snapshot(self, name="web01", title="before the update"):
        task = self.vm(name).CreateSnapshot_Task(title, "made by a user", False, False)
        return self.wait(task)

    def remove_snapshots(self, name="web01"):
        self.wait(self.vm(name).RemoveAllSnapshots_Task())

    def keys(self, name):
        """Of all devices."""
        return {device.key for device in self.vm(name).config.hardware.device}

    def tidy(self, name, keys):
        """As it was: its snapshots, and all devices but these, go."""
        vm = self.vm(name)
        if vm.snapshot is not None:
            self.remove_snapshots(name)
        changes = [
            vim.vm.device.VirtualDeviceSpec(operation="remove", device=device)
            for device in reversed(vm.config.hardware.device)
            if device.key not in keys
        ]
        if changes:
            self.wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=changes)))
        if (vm.runtime.powerState == "poweredOn") != MACHINES[name]:
            self.power(name, MACHINES[name])

    def power(self, name, on):
        vm = self.vm(name)
        self.wait(vm.PowerOnVM_Task() if on else vm.PowerOffVM_Task())

    def set_option(self, name, key, value):
        option = vim.option.OptionValue(key=key, value=value)
        self.wait(self.vm(name).ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))

    def wait(self, task):
        """By path sets: the tasks of disks name an entity that pyVmomi does not believe in."""
        collector = self.content.propertyCollector
        spec = _task_spec(task)
        for _attempt in range(600):
            found = collector.RetrieveContents([spec])[0].propSet
            info = {each.name: each.val for each in found}
            if info["info.state"] == "success":
                return info.get("info.result")
            if info["info.state"] == "error":
                raise info["info.error"]
            time.sleep(0.02)
        raise TimeoutError(task)


def _task_spec(task):
    from pyVmomi import vmodl

    collector = vmodl.query.PropertyCollector
    wanted = collector.PropertySpec(
        type=vim.Task, pathSet=["info.state", "info.error", "info.result"]
    )
    return collector.FilterSpec(objectSet=[collector.ObjectSpec(obj=task)], propSet=[wanted])


def kill_after(seconds, **arguments):
    """Start vmdk_attach and kill it on its way."""
    end = time.monotonic() + seconds
    kill_when(lambda: time.monotonic() >= end, **arguments)


def kill_when(is_time, **arguments):
    """Start vmdk_attach and kill it at that moment, or let it end before."""
    process = subprocess.Popen(
        [sys.executable, "-m", f"{MODULES}.vmdk_attach"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
    process.stdin.close()
    while process.poll() is None and not is_time():
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()


@pytest.fixture(scope="module")
def one_vcenter():
    """One for all tests of a file, which start with it as if it were fresh."""
    needed()
    with simulator() as vcenter, vcenter.connect() as client:
        yield vcenter, client


@pytest.fixture
def lab(one_vcenter, modules, monkeypatch):
    vcenter, client = one_vcenter
    for name, value in vcenter.environment().items():
        monkeypatch.setenv(name, value)
    lab = Lab(vcenter, client, modules)
    before = {name: lab.keys(name) for name in MACHINES}
    yield lab
    vcenter.clear_rules()
    for name in MACHINES:
        lab.tidy(name, before[name])


@pytest.fixture
def access(lab):
    """As a module has it that was given where the lab's vCenter is."""
    vcenter, names = lab.vcenter, ("hostname", "username", "password", "port")
    options = {name: getattr(vcenter, name) for name in names}
    return Access(vsphere={**options, "validate_certs": True})
