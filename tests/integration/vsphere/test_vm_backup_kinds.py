# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups of machines with disks of every kind, and with many of them."""

# pylint: disable=unused-import
from __future__ import annotations

import contextlib

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    repository,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import guest_tree
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.vm_backups import (
    backed_up_vcenter,  # noqa: F401
    left_in,
    shelf,  # noqa: F401
    transports,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.clients import wait

MIB = 1 << 20
OFF = "files01"


@pytest.fixture
def attached(shelf, modules):  # noqa: F811
    """attached(path, size): a new disk of the machine that is off; its key. It is taken away."""
    with contextlib.ExitStack() as undo:

        def attach(path, size):
            modules.vmdk_create(path=path, size=size, disk_type="thin")
            before = {disk["key"] for disk in disks_of(modules)}
            modules.vmdk_attach(path=path, vm=OFF)
            undo.callback(modules.vmdk_create, path=path, state="absent", force=True)
            undo.callback(modules.vmdk_attach, path=path, vm=OFF, state="absent")
            return ({disk["key"] for disk in disks_of(modules)} - before).pop()

        yield attach


def disks_of(modules):
    return modules.vmdk_vm_info(name=[OFF])["vms"][0]["disks"]


def test_disks_of_one_name_and_first_class_ones(shelf, attached):  # noqa: F811
    keys = [
        attached("[nfs1] files01/files01.vmdk", 4 * MIB),
        attached("[datastore1] fcd:extra", 4 * MIB),
    ]
    for key in keys:
        shelf.vcenter.guest_write(OFF, key, MIB, b"on disk %d" % key)
    made = shelf.back_up(OFF)
    assert [disk["key"] for disk in made["restore_point"]["disks"]][1:] == sorted(keys)
    assert shelf.holds_what_the_guest_has(OFF, made)
    assert left_in(shelf.vcenter) == []


def test_a_linked_clone_holds_what_it_inherits(shelf):  # noqa: F811
    with shelf.vcenter.connect() as service:
        view = service.content.viewManager.CreateContainerView(
            service.content.rootFolder, [vim.VirtualMachine], True
        )
        machine = next(vm for vm in view.view if vm.name == OFF)
        wait(machine.CreateSnapshot_Task("base", "", memory=False, quiesce=False))
        spec = vim.vm.CloneSpec(
            location=vim.vm.RelocateSpec(diskMoveType="createNewChildDiskBacking"),
            snapshot=machine.snapshot.currentSnapshot,
        )
        wait(machine.CloneVM_Task(machine.parent, "linked", spec))
        try:
            shelf.vcenter.guest_write("linked", 2000, 5 * MIB, b"its own")
            made = shelf.back_up("linked", transport=["datastore"])
            assert shelf.holds_what_the_guest_has("linked", made)
        finally:
            clone = next(vm for vm in refreshed(service) if vm.name == "linked")
            wait(clone.Destroy_Task())
            wait(machine.RemoveAllSnapshots_Task())


def refreshed(service):
    kind = [vim.VirtualMachine]
    return service.content.viewManager.CreateContainerView(
        service.content.rootFolder, kind, True
    ).view


def test_more_disks_than_the_proxy_may_have_at_once(shelf, attached, tmp_path, monkeypatch):  # noqa: F811
    keys = [attached(f"[datastore1] many/disk{number}.vmdk", MIB) for number in range(10)]
    for key in keys:
        shelf.vcenter.guest_write(OFF, key, 4096, b"on disk %d" % key)
    with guest_tree(shelf.vcenter, tmp_path / "guest") as tree:
        for name, value in tree.environment().items():
            monkeypatch.setenv(name, value)
        made = shelf.back_up(OFF, transport=["hotadd"])
    assert transports(made) == {"hotadd"}
    assert len(made["restore_point"]["disks"]) == 11
    assert shelf.holds_what_the_guest_has(OFF, made)
    assert left_in(shelf.vcenter) == []
