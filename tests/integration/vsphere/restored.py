# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small machines with content, restore points of them, and what a restore has made of it all.

Content is written and read as the guest would, behind the collection's back.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.document import (
    FACTS,
    NAME,
    VmDocument,
    write_document,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.rest import Rest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.policies import (
    Policies,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.tags import Tags
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.frozen import (
    slot_names,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.record import record
from ansible_collections.vdisk.lifecycle.tests.integration.modules.zygote import MODULES
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import guest_tree
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import find_vm, log_in

MIB = 1 << 20
UNFINISHED = "vdisk.lifecycle.unfinished"
NVRAM = b"variables of the firmware " * 40


class Room:
    """One vCenter and one repository. Names of disks are slots; of machines, names."""

    def __init__(self, vcenter, lab, folder):
        self.vcenter, self.lab = vcenter, lab
        self.url = str(folder / "repository")
        self.repository = create_repository(self.url, encryption="none")

    def machine(self, sizes=(4, 2), datastores=("datastore1",), name=None, **settings):
        """A new one that is off, with content in all of its disks; its name."""
        name = name or f"vm-of-{uuid.uuid4().hex[:8]}"
        devices = [
            _add(vim.vm.device.ParaVirtualSCSIController(key=-1, sharedBus="noSharing")),
            _add(_card("VM Network")),
        ]
        for number, size in enumerate(sizes):
            place = datastores[number % len(datastores)]
            devices.append(_add(_disk(number, size, place), "create"))
        spec = vim.vm.ConfigSpec(
            name=name,
            numCPUs=2,
            memoryMB=256,
            guestId="debian12_64Guest",
            changeTrackingEnabled=True,
            deviceChange=devices,
            files=vim.vm.FileInfo(vmPathName=f"[{datastores[0]}]"),
            **settings,
        )
        datacenter = self.lab.datacenter
        pool = datacenter.hostFolder.childEntity[0].resourcePool
        self.lab.wait(datacenter.vmFolder.CreateVM_Task(spec, pool))
        self.scribble(name, "first")
        return name

    def scribble(self, name, seed):
        """The guest writes something to several places of each disk."""
        for key, size in self.keys(name).items():
            noise = random.Random(f"{name} {key} {seed}")
            for _time in range(3):
                offset = noise.randrange(0, size - 65536, 512)
                self.vcenter.guest_write(name, key, offset, noise.randbytes(40000))

    def vm(self, name):
        view = self.lab.content.viewManager.CreateContainerView(
            self.lab.content.rootFolder, [vim.VirtualMachine], True
        )
        try:
            return next((vm for vm in view.view if vm.name == name), None)
        finally:
            view.Destroy()

    def disks(self, name):
        devices = self.vm(name).config.hardware.device
        return [each for each in devices if isinstance(each, vim.vm.device.VirtualDisk)]

    def keys(self, name):
        """{key: bytes} of its disks."""
        return {each.key: each.capacityInKB << 10 for each in self.disks(name)}

    def content(self, name):
        """Of all disks, as the guest reads them, in the order of their slots."""
        return [
            self.vcenter.guest_read(name, each.key, 0, each.capacityInKB << 10)
            for each in sorted(self.disks(name), key=lambda each: each.unitNumber)
        ]

    def files(self):
        """{path of a VMDK: bytes} of all datastores."""
        return {
            os.path.join(folder, name): os.path.getsize(os.path.join(folder, name))
            for folder, _folders, names in os.walk(self.vcenter.datastore_dir)
            for name in names
            if name.endswith(".vmdk") and "bitmap" not in name
        }

    def mark(self, name):
        """What is noted on the machine while it is not whole."""
        options = {each.key: each.value for each in self.vm(name).config.extraConfig}
        return options.get(UNFINISHED) or None

    def back_up(self, name, point=None, nvram=NVRAM):
        """A restore point of what is there now, made without the product's backup; its content."""
        with log_in(self.vcenter) as session, Rest(session.vcenter) as rest:
            vm = find_vm(session, name)
            document = record(session, vm, tags=Tags(rest), policies=Policies(session))
            identity = session.identity
        data = write_document(VmDocument(document, nvram, None, ("a device: it was in use",)))
        devices = self.vm(name).config.hardware.device
        slots = slot_names(devices)
        content = {}
        disks = []
        for each in self.disks(name):
            size = each.capacityInKB << 10
            content[slots[each.key]] = self.vcenter.guest_read(name, each.key, 0, size)
            disks.append(_source(each, slots[each.key], content[slots[each.key]]))
        disks.append(DiskSource(NAME, NAME, MemoryDevice(data), "", "", dict(FACTS)))
        moref, uuids = document["moref"], document["instance_uuid"]
        facts = {"moref": moref, "instance_uuid": uuids, "vcenter": identity}
        source = Source("vm", str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name} {moref}")), name, facts)
        self.repository.back_up(disks, source, name=point)
        return [content[slot] for slot in sorted(content)]

    def restore(self, **options):
        return self.lab.modules.vmdk_restore(repository=self.url, **options)

    def refused(self, **options):
        found = self.lab.modules.fail("vmdk_restore", repository=self.url, **options)
        return found["msg"]

    def start(self, **options):
        """The module, in a process of its own, to be killed."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"{MODULES}.vmdk_restore"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        arguments = {"repository": self.url, **options}
        process.stdin.write(json.dumps({"ANSIBLE_MODULE_ARGS": arguments}).encode())
        process.stdin.close()
        return process


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


def wait_until(is_time, seconds=120):
    end = time.monotonic() + seconds
    while not is_time():
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.01)


def _add(device, file_operation=None):
    return vim.vm.device.VirtualDeviceSpec(
        operation="add", device=device, fileOperation=file_operation
    )


def _card(network):
    backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network)
    return vim.vm.device.VirtualVmxnet3(key=-5, backing=backing, addressType="generated")


def _disk(number, size, datastore):
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
        fileName=f"[{datastore}]", diskMode="persistent", thinProvisioned=True
    )
    return vim.vm.device.VirtualDisk(
        key=-10 - number,
        controllerKey=-1,
        unitNumber=number,
        capacityInKB=size << 10,
        backing=backing,
    )


def _source(disk, slot, content):
    return DiskSource(
        name=slot,
        label=disk.deviceInfo.label,
        device=MemoryDevice(content),
        uuid=disk.backing.uuid or "",
        path=disk.backing.fileName,
        facts={"disk_type": "thin", "mode": "persistent", "adapter_type": "paravirtual"},
        key=disk.key,
    )


@pytest.fixture
def room(lab, one_vcenter, tmp_path, monkeypatch):
    """Machines to back up and restore."""
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))
    return Room(one_vcenter[0], lab, tmp_path)


@pytest.fixture
def inside(room, tmp_path, monkeypatch):
    """This host is a virtual machine of that vCenter."""
    with guest_tree(room.vcenter, tmp_path / "tree", vm="proxy01") as tree:
        for name, value in tree.environment().items():
            monkeypatch.setenv(name, value)
        yield


@pytest.fixture(params=["datastore", "hotadd"])
def road(request):
    """From outside of that vCenter, or from within."""
    if request.param == "hotadd":
        request.getfixturevalue("inside")
    return request.param
