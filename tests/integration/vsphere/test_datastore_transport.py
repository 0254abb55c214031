# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks read by the files they consist of: bases and chains, and nothing that somebody writes."""

# pylint: disable=unused-import
from __future__ import annotations

import contextlib
import dataclasses
import random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.datastore_frozen import (
    Datastore,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks import folder
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.frozen_disks import (  # noqa: F401
    digest,
    fill,
    frozen,
    machines,
    read_all,
    take,
    there,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (  # noqa: F401
    find_vm,
    place,
)

MIB = 1 << 20
SIZE = 16 * MIB


@pytest.fixture
def lab(place, there, monkeypatch):  # noqa: F811
    """(vcenter, session, journal, a running machine with something in its disk)"""
    monkeypatch.setattr(folder, "FIRST_PAUSE", 0.01)
    vcenter, name = place
    fill(vcenter, name, 2000, SIZE)
    with Journal.begin("a test") as journal:
        yield vcenter, there, journal, find_vm(there, name)
        assert journal.open_entries() == []


@pytest.fixture
def off(lab):
    """The same, powered off."""
    wait(lab[1], lab[3].PowerOffVM_Task(), "power off")
    return lab


@contextlib.contextmanager
def opened(lab, snapshot=None, vm=None):
    """(the disk, its device)"""
    _vcenter, session, journal, own = lab
    with contextlib.closing(Datastore(session)) as transport:
        [disk] = frozen(session, journal, vm or own, snapshot)
        assert transport.refusal(disk) is None
        yield disk, transport.open(disk)


def content(lab, vm=None):
    return lab[0].guest_read((vm or lab[3]).name, 2000, 0, SIZE)


def test_a_machine_that_is_off(off):
    with opened(off) as (disk, device):
        assert digest(read_all(device)) == digest(content(off))
        assert device.name == disk.path
        device.require_unchanged()


@pytest.mark.parametrize("form", ["seSparse", "vmfsSparse"])
def test_existing_snapshots_of_a_machine_that_is_off(off, form):
    """Three deltas over the base, each with a part of what is there."""
    vcenter, session, _journal, vm = off
    vcenter.mode(redo_format=form)
    for number in range(3):
        take(session, vm, f"nightly {number}")
        data = random.Random(number).randbytes(100000)
        for offset in range(0, SIZE - len(data), 3 * MIB):
            vcenter.guest_write(vm.name, 2000, offset + number * 50000, data)
    with opened(off) as (disk, device):
        assert disk.path.endswith("-000003.vmdk")
        assert digest(read_all(device)) == digest(content(off))
        assert digest(read_all(device, 50000, 8)) == digest(content(off))
        device.require_unchanged()


def test_an_older_snapshot(off):
    vcenter, session, _journal, vm = off
    first = take(session, vm)
    then = content(off)
    vcenter.guest_write(vm.name, 2000, 0, b"later")
    take(session, vm)
    with opened(off, first) as (_disk, device):
        assert digest(read_all(device)) == digest(then)


def test_a_linked_clone(off):
    """It stands on a file in another machine's folder."""
    vcenter, session, _journal, vm = off
    spec = vim().vm.CloneSpec(
        location=vim().vm.RelocateSpec(diskMoveType="createNewChildDiskBacking"),
        snapshot=take(session, vm),
        powerOn=False,
    )
    clone = wait(session, vm.CloneVM_Task(vm.parent, f"{vm.name} clone", spec), "clone")
    vcenter.guest_write(clone.name, 2000, 5 * MIB, b"its own")
    vcenter.guest_write(vm.name, 2000, 6 * MIB, b"not its own")
    with opened(off, vm=clone) as (_disk, device):
        assert digest(read_all(device)) == digest(content(off, clone))


def test_a_template(lab):
    _vcenter, session, _journal, _vm = lab
    template = find_vm(session, "debian-template")
    with opened(lab, vm=template) as (disk, device):
        model = lab[0].guest_read("debian-template", 2000, 0, disk.size)
        assert digest(read_all(device, MIB)) == digest(model)
        device.require_unchanged()


def test_below_a_snapshot_where_hosts_let_it_be_read(lab):
    vcenter, session, _journal, vm = lab
    vcenter.mode(lock_live_flat=False)
    snapshot = take(session, vm)
    then = content(lab)
    vcenter.guest_write(vm.name, 2000, 0, b"later")
    with opened(lab, snapshot) as (_disk, device):
        assert digest(read_all(device)) == digest(then)
        device.require_unchanged()


# What cannot be


def refused(lab, kind, match, snapshot=None):
    with pytest.raises(kind, match=match), opened(lab, snapshot):
        raise AssertionError("it was opened")


def test_below_a_snapshot_where_hosts_do_not(lab):
    refused(lab, errors.DiskInUse, "in use", take(lab[1], lab[3]))


def test_a_running_machine(lab):
    lab[0].mode(lock_live_flat=False)
    refused(lab, errors.DiskInUse, "not any more, found poweredOn")


def test_a_disk_that_a_running_machine_has_too(off, machines):  # noqa: F811
    vcenter, session, journal, vm = off
    [disk] = frozen(session, journal, vm)
    other = find_vm(session, machines[1].pop())
    wait(session, other.PowerOffVM_Task(), "power off")
    disk.device.controllerKey = 1000
    added = vim().vm.device.VirtualDisk(
        key=-1,
        controllerKey=other.config.hardware.device[-1].controllerKey,
        unitNumber=5,
        capacityInKB=SIZE >> 10,
        backing=vim().vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=disk.path, diskMode="persistent"
        ),
    )
    change = vim().vm.device.VirtualDeviceSpec(operation="add", device=added)
    wait(session, other.ReconfigVM_Task(vim().vm.ConfigSpec(deviceChange=[change])), "attach")
    with opened(off):
        pass  # nobody runs
    wait(session, other.PowerOnVM_Task(), "power on")
    vcenter.mode(lock_live_flat=False)
    refused(off, errors.DiskInUse, f"{other.name} is running and has it attached")


def test_a_server_without_ranges(off):
    off[0].mode(ranges=False)
    refused(off, errors.TransportUnavailable, "does not send parts")


def test_a_chain_that_does_not_belong_together(off):
    vcenter, session, journal, vm = off
    take(session, vm)
    [disk] = frozen(session, journal, vm)
    rewrite(vcenter, disk.path, lambda text: text.replace("parentCID=", "parentCID=1", 1))
    refused(off, errors.ChainMismatch, "modified since")


def rewrite(vcenter, path, change):
    datastore, _bracket, name = path[1:].partition("] ")
    file = f"{vcenter.datastore_dir}/{datastore}/{name}"
    with open(file) as stream:
        text = change(stream.read())
    with open(file, "w") as stream:
        stream.write(text)


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"is_encrypted": True}, "encrypted"),
        ({"storage": "vsan"}, "vSAN keeps"),
        ({"storage": "VVOL"}, "vVols keep"),
    ],
)
def test_what_is_refused_before_trying(off, facts, words):
    _vcenter, session, journal, vm = off
    [disk] = frozen(session, journal, vm)
    assert words in Datastore(session).refusal(dataclasses.replace(disk, **facts))


# What others do meanwhile


def changed(device, match):
    with pytest.raises(errors.DiskInUse, match=match):
        device.require_unchanged()


def test_a_machine_that_is_powered_on_meanwhile(off):
    with opened(off) as (_disk, device):
        wait(off[1], off[3].PowerOnVM_Task(), "power on")
        changed(device, "not any more, found poweredOn")


def test_a_file_that_is_written_to_meanwhile(off):
    with opened(off) as (disk, device):
        rewrite(off[0], disk.path, lambda text: text.replace("CID=", "CID=1", 1))
        changed(device, "was written to")


def test_a_snapshot_that_is_removed_meanwhile(lab):
    vcenter, session, _journal, vm = lab
    vcenter.mode(lock_live_flat=False)
    snapshot = take(session, vm)
    with opened(lab, snapshot) as (_disk, device):
        wait(session, snapshot.RemoveSnapshot_Task(False), "remove it")
        changed(device, "snapshot .* is gone")


@pytest.mark.parametrize("trouble", [{"drop": True}, {"drop": "after"}, {"status": 503}])
def test_troubles_of_the_road_are_overcome(off, trouble):
    vcenter = off[0]
    with opened(off) as (_disk, device):
        vcenter.rule("GET /folder", nth=2, times=2, **trouble)
        assert digest(read_all(device)) == digest(content(off))


def test_a_file_that_is_cut_short(off):
    with opened(off) as (disk, device):
        datastore, _bracket, name = disk.path[1:].partition("] ")
        flat = name.replace(".vmdk", "-flat.vmdk")
        with open(f"{off[0].datastore_dir}/{datastore}/{flat}", "r+b") as stream:
            stream.truncate(SIZE - 512)
        with pytest.raises(errors.DiskError):
            read(device, SIZE - MIB, MIB)
