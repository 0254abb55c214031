# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two disks of one uuid at one proxy: never is the one read for the other."""

# pylint: disable=unused-import
from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    TransportUnavailable,
    VSphereFault,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd import (
    attachment,
    device,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks import attach
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine import machine
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots import attached
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.sweep import sweep
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import (
    one_proxy,  # noqa: F401
    proxy,  # noqa: F401
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.leftovers import (
    dying_run,
    open_kinds,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    QUICK,
    log_in,
    run_of_ours,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.clients import wait

NEVER = 1000.0  # seconds until the guest sees a new disk


@pytest.fixture
def run(proxy):  # noqa: F811
    """(session, journal) of a job."""
    with log_in(proxy.vcenter) as session, run_of_ours() as journal:
        yield session, journal


def copy_of(proxy, disk):  # noqa: F811
    """The path of a disk that has its size and its uuid."""
    path = f"[datastore1] {uuid.uuid4().hex}.vmdk"
    with proxy.client() as client:
        manager, datacenter = client.content.virtualDiskManager, client.datacenter
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType="thin", adapterType="lsiLogic", capacityKb=disk.size >> 10
        )
        wait(manager.CreateVirtualDisk_Task(path, datacenter, spec))
        manager.SetVirtualDiskUuid(path, datacenter, disk.uuid)
    return path


@pytest.mark.parametrize("late", ["theirs", "ours"])
def test_a_copy_that_another_job_attaches_at_the_same_moment(
    proxy,  # noqa: F811
    run,
    monkeypatch,
    late,
):
    disk = proxy.held(*run)
    copy, real = copy_of(proxy, disk), attachment.attach

    def both(*args, **options):
        proxy.vcenter.mode(guest_notices=NEVER if late == "ours" else 0.0)
        made = real(*args, **options)
        proxy.vcenter.mode(guest_notices=NEVER if late == "theirs" else 0.0)
        proxy.somebody_attaches(copy, 11)
        return made

    monkeypatch.setattr(attachment, "attach", both)
    with pytest.raises(DiskInUse, match="another disk of the same uuid was attached"):
        proxy.hot_add(*run).open(disk)
    assert list(proxy.attached()) == [copy]
    assert run[1].open_entries() == []
    proxy.detach_all()


def test_a_copy_that_the_guest_has_not_seen_yet(proxy, run):  # noqa: F811
    disk = proxy.held(*run)
    copy = copy_of(proxy, disk)
    proxy.vcenter.mode(guest_notices=NEVER)
    proxy.somebody_attaches(copy, 11)
    with pytest.raises(TransportUnavailable, match="a disk of the same uuid already"):
        proxy.hot_add(*run).open(disk)
    assert list(proxy.attached()) == [copy]
    proxy.detach_all()


def test_a_device_of_the_same_uuid_that_the_guest_shows_late(proxy, run, monkeypatch):  # noqa: F811
    disk, real = proxy.held(*run), device._opened
    blocks = Path(proxy.tree.sys_root, "block")

    def late(guest, **options):
        opened = real(guest, **options)
        shutil.copytree(blocks / Path(guest.path).name, blocks / "sdz")
        return opened

    monkeypatch.setattr(device, "_opened", late)
    with pytest.raises(DiskInUse, match="several disks of this host have that uuid"):
        proxy.hot_add(*run).open(disk)
    shutil.rmtree(blocks / "sdz")
    assert proxy.attached() == {}


@pytest.fixture
def redo_logs_only(monkeypatch):
    """Some hosts show nonpersistent disks by their redo logs, and not what those are of."""
    real = machine.look_at

    def look_at(session, vm):
        found = real(session, vm)
        for disk in found.disks:
            if disk.backing.diskMode == machine.NONPERSISTENT:
                disk.backing.fileName = "[datastore1] many/many.vmdk-REDO_a1b2"
                disk.backing.parent = None
        return found

    for user in (attach, attached, attachment):
        monkeypatch.setattr(user, "look_at", look_at)


def test_a_disk_that_shows_as_its_redo_log_is_detached(proxy, run, redo_logs_only):  # noqa: F811
    disk = proxy.held(*run)
    with proxy.hot_add(*run).open(disk):
        assert list(proxy.attached()) == [disk.path]
    assert proxy.attached() == {}
    assert run[1].open_entries() == []


def test_a_disk_that_may_be_that_of_a_dead_run_is_told(
    proxy,  # noqa: F811
    run,
    redo_logs_only,
):
    session, journal = run
    disk = proxy.held(*run)
    with proxy.hot_add(*run).open(disk):
        facts = journal.open_entries()[0].facts
    with dying_run() as dead:
        dead.note("attach", **facts)
        proxy.somebody_attaches(disk.path, 11)
    (told,) = sweep(session, (), QUICK)
    assert not told.done
    assert "has a disk with its uuid, under another name" in told.message
    assert open_kinds(dead) == ["attach"]
    proxy.detach_all()


def test_who_comes_second_leaves_the_disk_to_the_first(proxy, run, monkeypatch):  # noqa: F811
    disk, real = proxy.held(*run), attachment.attach
    with proxy.hot_add(*run).open(disk):
        facts = run[1].open_entries()[0].facts

    def second(*args, **options):
        proxy.somebody_attaches(disk.path, 11)
        proxy.vcenter.rule("ReconfigVM_Task", fault="InvalidState")
        return real(*args, **options)

    monkeypatch.setattr(attachment, "attach", second)
    with run_of_ours("the first") as first:
        number = first.note("attach", **facts)
        with pytest.raises(VSphereFault):
            proxy.hot_add(*run).open(disk)
        first.done(number)
    assert list(proxy.attached()) == [disk.path]
    assert run[1].open_entries() == []
    proxy.detach_all()
