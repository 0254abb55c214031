# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Snapshots: deltas and frozen files, removal and consolidation, revert, quiescing and stun."""

from __future__ import annotations

import itertools
import os
import time

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.tests.simulator.clients import (
    chain,
    disks,
    snapshot,
    wait,
)

BLOCK = 64 * 1024


def files(here, vm):
    return set(os.listdir(os.path.join(here.vcenter.datastore_dir, "datastore1", vm.name)))


def test_a_delta_over_the_frozen_file(vm):
    base = chain(vm)[0]
    made = snapshot(vm)
    assert chain(vm) == [base.replace(".vmdk", "-000001.vmdk"), base]
    assert chain(made) == [base]


def test_files_as_a_host_would_show_them(here, vm):
    snapshot(vm)
    assert {f"{vm.name}-000001.vmdk", f"{vm.name}-000001-sesparse.vmdk"} <= files(here, vm)


def test_the_delta_names_its_parent(here, vm):
    snapshot(vm)
    path = os.path.join(here.vcenter.datastore_dir, "datastore1", vm.name)
    with open(os.path.join(path, f"{vm.name}-000001.vmdk"), encoding="utf-8") as file:
        assert f'parentFileNameHint="{vm.name}.vmdk"' in file.read()


def test_the_guest_does_not_write_to_the_frozen_file(here, vm):
    here.write(vm, 0, b"old")
    snapshot(vm)
    here.write(vm, 0, b"new")
    path = os.path.join(here.vcenter.datastore_dir, "datastore1", vm.name, f"{vm.name}-flat.vmdk")
    with open(path, "rb") as file:
        assert file.read(3) == b"old"
    assert here.read(vm)[:3] == b"new"


def test_all_disks_freeze(here):
    vm = here.machine("db01")
    snapshot(vm)
    assert [len(chain(vm, number)) for number in range(3)] == [2, 2, 2]
    wait(vm.RemoveAllSnapshots_Task())


def test_removal_merges_and_tidies_up(here, vm):
    before, base = files(here, vm), chain(vm)
    made = snapshot(vm)
    here.write(vm, 5, b"kept")
    wait(made.RemoveSnapshot_Task(False))
    assert chain(vm) == base
    assert {each for each in files(here, vm) if "vmdk" in each} == {
        each for each in before if "vmdk" in each
    }
    assert here.read(vm)[5:9] == b"kept"


def test_removal_of_the_older_of_two(vm):
    base = chain(vm)[0]
    first, second = snapshot(vm), snapshot(vm)
    wait(first.RemoveSnapshot_Task(False))
    assert chain(second) == [base]
    assert chain(vm) == [base.replace(".vmdk", "-000002.vmdk"), base]


def test_removal_with_children(vm):
    base = chain(vm)
    first = snapshot(vm)
    snapshot(vm)
    wait(first.RemoveSnapshot_Task(True))
    assert vm.snapshot is None
    assert chain(vm) == base


def test_the_last_of_two_roots(vm):
    first, _second = snapshot(vm), snapshot(vm)
    wait(first.RevertToSnapshot_Task())
    third = snapshot(vm)
    wait(first.RemoveSnapshot_Task(False))
    wait(third.RemoveSnapshot_Task(False))
    assert len(vm.snapshot.rootSnapshotList) == 1


def test_all_branches_of_a_tree_go(here, vm):
    base, root = chain(vm), snapshot(vm)
    snapshot(vm)
    wait(root.RevertToSnapshot_Task())
    snapshot(vm)
    here.write(vm, 0, b"kept")
    wait(vm.RemoveAllSnapshots_Task())
    assert chain(vm) == base
    assert here.read(vm)[:4] == b"kept"


def test_a_revert_brings_back_the_content(here, vm):
    here.write(vm, 0, b"then")
    made = snapshot(vm)
    here.write(vm, 0, b"now!")
    wait(made.RevertToSnapshot_Task())
    assert here.read(vm)[:4] == b"then"


def test_a_revert_without_memory_ends_with_the_machine_off(vm):
    made = snapshot(vm)
    wait(made.RevertToSnapshot_Task())
    assert vm.runtime.powerState == "poweredOff"


def test_a_revert_to_the_current_one(here, vm):
    snapshot(vm)
    here.write(vm, 0, b"gone")
    wait(vm.RevertToCurrentSnapshot_Task())
    assert here.read(vm)[:4] == bytes(4)


def test_a_revert_forgets_disks_that_came_later(here, vm):
    made = snapshot(vm)
    add = vim.vm.device.VirtualDeviceSpec(operation="add", fileOperation="create")
    add.device = vim.vm.device.VirtualDisk(
        key=-1, controllerKey=1000, unitNumber=4, capacityInKB=1024,
        backing=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(fileName="", diskMode="persistent"),
    )  # fmt: skip
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[add])))
    wait(made.RevertToSnapshot_Task())
    assert len(disks(vm)) == 1


def test_left_for_consolidation(here, vm):
    base = chain(vm)
    made = snapshot(vm)
    here.write(vm, 0, b"kept")
    with here.mode(needs_consolidation=True):
        wait(made.RemoveSnapshot_Task(False))
    assert vm.snapshot is None
    assert vm.runtime.consolidationNeeded
    assert len(chain(vm)) == 2
    wait(vm.ConsolidateVMDisks_Task())
    assert not vm.runtime.consolidationNeeded
    assert chain(vm) == base
    assert here.read(vm)[:4] == b"kept"


def test_removal_without_consolidation(vm):
    made = snapshot(vm)
    wait(made.RemoveSnapshot_Task(False, False))
    assert vm.runtime.consolidationNeeded


def test_consolidation_that_goes_on_after_the_task(here, vm):
    made = snapshot(vm)
    with here.mode(consolidation_lag=1.0):
        wait(made.RemoveSnapshot_Task(False))
        assert vm.runtime.consolidationNeeded
        deadline = time.monotonic() + 20
        while vm.runtime.consolidationNeeded:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert len(chain(vm)) == 1


@pytest.fixture
def without_tools(vm):
    wait(vm.PowerOffVM_Task())
    wait(vm.PowerOnVM_Task())
    spec = vim.vm.ConfigSpec(
        extraConfig=[
            vim.option.OptionValue(key="SET.guest.toolsRunningStatus", value="guestToolsNotRunning")
        ]
    )
    wait(vm.ReconfigVM_Task(spec))
    return vm


def test_quiescing_without_tools_is_ignored(here, without_tools):
    with here.mode(quiesce_fault="ApplicationQuiesceFault"):
        wait(without_tools.CreateSnapshot_Task("a", "", False, True))
    assert without_tools.snapshot is not None


def test_quiescing_without_tools_fails_on_other_builds(here, without_tools):
    with here.mode(strict_quiesce=True), pytest.raises(vim.fault.ApplicationQuiesceFault):
        wait(without_tools.CreateSnapshot_Task("a", "", False, True))
    assert without_tools.snapshot is None


def test_quiescing_with_tools(vm):
    wait(vm.CreateSnapshot_Task("a", "", False, True))
    assert vm.snapshot.rootSnapshotList[0].quiesced


def test_quiescing_that_fails(here, vm):
    fault = pytest.raises(vim.fault.FilesystemQuiesceFault)
    with here.mode(quiesce_fault="FilesystemQuiesceFault"), fault:
        wait(vm.CreateSnapshot_Task("a", "", False, True))


def test_a_change_tracking_file_in_the_way(here, vm):
    with here.mode(stale_ctk=True), pytest.raises(vim.fault.FileAlreadyExists):
        snapshot(vm)


def test_a_template_has_no_snapshots(here):
    with pytest.raises(vim.fault.InvalidState):
        snapshot(here.machine("debian-template"))


def test_the_guest_stands_still(here, vm):
    ends = [time.monotonic()]
    with here.mode(stun=1.0):
        task = vm.CreateSnapshot_Task("a", "", False, False)
        while task.info.state not in ("success", "error"):
            here.write(vm, 0, b"x")
            ends.append(time.monotonic())
        made = wait(task)
    assert max(later - sooner for sooner, later in itertools.pairwise(ends)) >= 1.0
    assert chain(made)


def test_an_independent_disk_stays_as_it_is(here, vm):
    wait(vm.PowerOffVM_Task())
    disk = disks(vm)[0]
    disk.backing.diskMode = "independent_persistent"
    edit = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit])))
    snapshot(vm)
    assert len(chain(vm)) == 1


def events(here, vm):
    """Of tasks of a machine, by the keys of the tasks."""
    spec = vim.event.EventFilterSpec
    wanted = spec(entity=spec.ByEntity(entity=vm, recursion="self"), eventTypeId=["TaskEvent"])
    collector = here.content.eventManager.CreateCollectorForEvents(wanted)
    found = collector.ReadNextEvents(100)
    collector.DestroyCollector()
    return {event.info.key: event for event in found}


def test_each_task_is_among_the_events(here, vm):
    task = vm.CreateSnapshot_Task("a", "", False, False)
    wait(task)
    assert events(here, vm)[task._moId].info.entity == vm


def test_events_are_forgotten_before_tasks(here, vm):
    snapshot(vm)
    with here.mode(forget_events=True):
        assert events(here, vm) == {}
