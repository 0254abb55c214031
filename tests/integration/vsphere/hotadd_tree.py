# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""This host as a virtual machine of a simulated vCenter: its /sys and /dev are files in a folder.

with guest_tree(vcenter, tmp_path) as tree:      # from now on this host is proxy01
    HotAdd(session, journal, sys_root=tree.sys_root, dev_root=tree.dev_root)
    for name, value in tree.environment().items():
        monkeypatch.setenv(name, value)          # for modules in processes of their own
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from pathlib import Path

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.frozen import FrozenDisk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd.transport import (
    HotAdd,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.snapshots import (
    snapshot,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    QUICK,
    find_vm,
    take_snapshot,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.clients import Client, disks, wait
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import needed, simulator

PROXY = "proxy01"


@dataclasses.dataclass
class Tree:
    """What the simulator keeps in `root` (behaviours/guesttree.py)."""

    root: Path

    @property
    def sys_root(self):
        return str(self.root / "sys")

    @property
    def dev_root(self):
        return str(self.root / "dev")

    def environment(self):
        return {"VDISK_SYSFS_ROOT": self.sys_root, "VDISK_DEV_ROOT": self.dev_root}

    def names(self):
        """Of the disks in the guest."""
        return sorted(os.listdir(self.dev_root))


@contextlib.contextmanager
def guest_tree(vcenter, root, vm=PROXY):
    set_option(vcenter, vm, "disk.EnableUUID", "TRUE")
    vcenter.control("POST", "guest/tree", vm=vm, root=str(root))
    try:
        yield Tree(Path(root))
    finally:
        vcenter.control("DELETE", "guest/tree", vm=vm)


def set_option(vcenter, vm, key, value):
    with vcenter.connect() as service:
        option = vim.option.OptionValue(key=key, value=value)
        machine = Client(vcenter, service).machine(vm)
        wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))


class Proxy:
    """A simulated vCenter of which this host is the machine proxy01, and disks to attach there."""

    def __init__(self, vcenter, tree):
        self.vcenter, self.tree = vcenter, tree
        self._fresh = [f"many{number:05}" for number in range(5, 70)]

    def fresh(self):
        """The name of a running machine with one empty disk of 16 MiB, which no test has had."""
        return self._fresh.pop()

    def hot_add(self, session, journal, **more):
        return HotAdd(
            session, journal, sys_root=self.tree.sys_root, dev_root=self.tree.dev_root, **more
        )

    def held(self, session, journal, name=None):
        """The disk of a machine, as a snapshot holds it that stays for good."""
        name = name or self.fresh()
        vm = find_vm(session, name)
        return frozen_disk(session, journal, vm, name, take_snapshot(session, vm))

    def attached(self):
        """{path: mode} of what proxy01 has, besides its own disk, with other eyes than ours."""
        with self.client() as client:
            found = disks(client.machine(PROXY))[1:]
            return {each.backing.fileName: each.backing.diskMode for each in found}

    @contextlib.contextmanager
    def client(self):
        with self.vcenter.connect() as service:
            yield Client(self.vcenter, service)

    def somebody_attaches(self, path, unit, mode="independent_nonpersistent"):
        """Without us."""
        with self.client() as client:
            put(client.machine(PROXY), path, unit, mode)

    def detach_all(self):
        """But the proxy's own disk."""
        with self.client() as client:
            machine = client.machine(PROXY)
            for disk in disks(machine)[1:]:
                take_away(machine, disk)

    def files(self):
        """All files of all datastores but redo logs."""
        return {
            os.path.join(path, name)
            for path, _folders, names in os.walk(self.vcenter.datastore_dir)
            for name in names
            if "REDO" not in name
        }

    def content(self, name, key=2000):
        """As the guest of the machine sees it now."""
        return self.vcenter.guest_read(name, key, 0, 16 << 20)


def put(machine, path, unit, mode="independent_nonpersistent"):
    backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName=path, diskMode=mode)
    disk = vim.vm.device.VirtualDisk(key=-1, controllerKey=1000, unitNumber=unit, backing=backing)
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=disk)
    wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))


def take_away(machine, disk):
    change = vim.vm.device.VirtualDeviceSpec(operation="remove", device=disk)
    wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))


@contextlib.contextmanager
def frozen(session, journal, name, patience=QUICK):
    """The first disk of a machine, as a snapshot of ours holds it."""
    vm = find_vm(session, name)
    with contextlib.ExitStack() as undo:
        taken = undo.enter_context(
            snapshot(session, vm, journal, CRASH_CONSISTENT, patience=patience)
        )
        yield frozen_disk(session, journal, vm, name, taken.snapshot)


def frozen_disk(session, journal, vm, name, at, **more):
    device = disks(at or vm)[0]
    facts = {
        "session": session,
        "journal": journal,
        "vm": vm,
        "vm_name": name,
        "snapshot": at,
        "device": device,
        "name": "scsi0:0",
        "path": device.backing.fileName,
        "size": device.capacityInBytes,
        "uuid": device.backing.uuid,
        "storage": "VMFS",
        "host_build": "24280767",
    }
    return FrozenDisk(**{**facts, **more})


@pytest.fixture(scope="module")
def one_proxy(tmp_path_factory):
    needed()
    root = tmp_path_factory.mktemp("guest")
    with simulator("--vms", "70") as vcenter, guest_tree(vcenter, root) as tree:
        yield Proxy(vcenter, tree)


@pytest.fixture
def proxy(one_proxy, tmp_path, monkeypatch):
    """One for all tests of a file; each has a folder of journals of its own."""
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))
    yield one_proxy
    one_proxy.vcenter.clear_rules()
    one_proxy.vcenter.reset_modes()
