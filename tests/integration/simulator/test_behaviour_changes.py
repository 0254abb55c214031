# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changed block tracking: when it begins, what it says, and when it says that it does not know."""

from __future__ import annotations

import pytest
from pyVmomi import vim, vmodl

from ansible_collections.vdisk.lifecycle.tests.simulator.clients import (
    areas,
    change_id,
    disks,
    snapshot,
    track,
    wait,
)

BLOCK = 64 * 1024
SIZE = 16 << 20


def enable(vm, value=True):
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(changeTrackingEnabled=value)))


def grow(vm, size):
    disk = disks(vm)[0]
    disk.capacityInBytes, disk.capacityInKB = size, size // 1024
    edit = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit])))


def test_asked_before_it_was_enabled(vm):
    with pytest.raises(vim.fault.FileFault):
        vm.QueryChangedDiskAreas(snapshot(vm), 2000, 0, "*")


def test_enabling_a_running_machine_waits_for_a_stun(vm):
    enable(vm)
    assert vm.config.changeTrackingEnabled
    assert change_id(vm) is None


def test_the_snapshot_that_is_the_stun_has_no_id(vm):
    enable(vm)
    assert change_id(snapshot(vm)) is None


def test_after_the_stun_snapshots_have_ids(vm):
    track(vm)
    uuid, number = change_id(snapshot(vm)).split("/")
    assert len(uuid) == 47 and number.isdigit()


def test_a_power_cycle_is_a_stun(vm):
    enable(vm)
    wait(vm.PowerOffVM_Task())
    wait(vm.PowerOnVM_Task())
    assert change_id(vm)


def test_a_move_to_another_host_is_a_stun(here, vm):
    enable(vm)
    other = next(each for each in vm.resourcePool.owner.host if each != vm.runtime.host)
    wait(vm.RelocateVM_Task(vim.vm.RelocateSpec(host=other)))
    assert change_id(vm)


def test_a_machine_that_is_off_needs_no_stun(here, vm):
    wait(vm.PowerOffVM_Task())
    enable(vm)
    assert change_id(vm)


def test_a_machine_that_is_off_may_keep_the_tracking_that_was(here, vm):
    wait(vm.PowerOffVM_Task())
    enable(vm)
    before = change_id(vm)
    with here.mode(keeps_tracker=True):
        enable(vm, False)
        enable(vm)
        assert change_id(vm) == before
    enable(vm, False)
    enable(vm)
    assert change_id(vm) != before


def test_each_disk_gets_its_flag(here):
    vm = here.machine("db01")
    enable(vm)
    flags = {each.key: each.value for each in vm.config.extraConfig}
    assert [flags[f"scsi0:{unit}.ctkEnabled"] for unit in range(3)] == ["TRUE"] * 3


def test_each_disk_has_an_id_of_its_own(here):
    vm = here.machine("web01")
    track(vm)
    made = snapshot(vm)
    assert change_id(made, 0).split("/")[0] != change_id(made, 1).split("/")[0]
    wait(vm.RemoveAllSnapshots_Task())


def test_areas_between_two_snapshots(here, vm):
    track(vm)
    first = snapshot(vm)
    here.write(vm, 3 * BLOCK + 17, b"x" * (2 * BLOCK))
    assert areas(vm, snapshot(vm), change_id(first)) == [(3 * BLOCK, 3 * BLOCK)]


def test_what_comes_later_is_not_in_it(here, vm):
    track(vm)
    first = snapshot(vm)
    second = snapshot(vm)
    here.write(vm, 0, b"x")
    assert areas(vm, second, change_id(first)) == []


def test_ids_outlive_their_snapshots(here, vm):
    track(vm)
    first = snapshot(vm)
    since = change_id(first)
    here.write(vm, 0, b"x")
    wait(first.RemoveSnapshot_Task(False))
    here.write(vm, 5 * BLOCK, b"x")
    assert areas(vm, snapshot(vm), since) == [(0, BLOCK), (5 * BLOCK, BLOCK)]


def test_pages(here, vm):
    track(vm)
    first = snapshot(vm)
    for block in range(0, 20, 2):
        here.write(vm, block * BLOCK, b"x")
    made = snapshot(vm)
    with here.mode(page=3):
        page = vm.QueryChangedDiskAreas(made, 2000, 0, change_id(first))
        assert len(page.changedArea) == 3
        assert page.length == 4 * BLOCK + BLOCK
        assert areas(vm, made, change_id(first)) == [(n * BLOCK, BLOCK) for n in range(0, 20, 2)]


def test_a_page_may_be_empty(here, vm):
    track(vm)
    first = snapshot(vm)
    here.write(vm, SIZE - 1, b"x")
    made = snapshot(vm)
    with here.mode(page_span=1 << 20):
        page = vm.QueryChangedDiskAreas(made, 2000, 0, change_id(first))
        assert (page.length, page.changedArea or []) == (1 << 20, [])
        assert areas(vm, made, change_id(first)) == [(SIZE - BLOCK, BLOCK)]


@pytest.mark.parametrize("start", [SIZE, SIZE + BLOCK, -1])
def test_outside_of_the_disk(vm, start):
    track(vm)
    with pytest.raises(vmodl.fault.InvalidArgument, match="startOffset"):
        vm.QueryChangedDiskAreas(snapshot(vm), 2000, start, "*")


def test_a_device_that_is_not_there(vm):
    track(vm)
    with pytest.raises(vmodl.fault.InvalidArgument, match="deviceKey"):
        vm.QueryChangedDiskAreas(snapshot(vm), 2001, 0, "*")


def test_a_uuid_of_another_life(vm):
    track(vm)
    with pytest.raises(vim.fault.FileFault):
        vm.QueryChangedDiskAreas(
            snapshot(vm), 2000, 0, "52 de c0 d9 b9 43 9d 10-61 d5 4c 1b e9 7b 65 63/1"
        )


def test_an_id_of_a_later_snapshot(vm):
    track(vm)
    first, second = snapshot(vm), snapshot(vm)
    with pytest.raises(vim.fault.FileFault):
        vm.QueryChangedDiskAreas(first, 2000, 0, change_id(second))


def test_a_reset_changes_the_uuid(vm):
    track(vm)
    first = snapshot(vm)
    since = change_id(first)
    wait(vm.RemoveAllSnapshots_Task())
    enable(vm, False)
    assert change_id(vm) is None
    track(vm)
    made = snapshot(vm)
    assert change_id(made).split("/")[0] != since.split("/")[0]
    with pytest.raises(vim.fault.FileFault):
        vm.QueryChangedDiskAreas(made, 2000, 0, since)


def test_growing_changes_the_uuid(vm):
    track(vm)
    first = snapshot(vm)
    since = change_id(first)
    wait(vm.RemoveAllSnapshots_Task())
    grow(vm, SIZE + (1 << 20))
    made = snapshot(vm)
    with pytest.raises(vim.fault.FileFault):
        vm.QueryChangedDiskAreas(made, 2000, 0, since)


def test_a_revert_breaks_the_ids(here, vm):
    track(vm)
    first = snapshot(vm)
    here.write(vm, 0, b"x")
    since = change_id(snapshot(vm))
    wait(first.RevertToSnapshot_Task())
    with pytest.raises(vim.fault.FileFault):
        vm.QueryChangedDiskAreas(snapshot(vm), 2000, 0, since)


def test_everything_allocated_on_vmfs(here, vm):
    here.write(vm, 7 * BLOCK, b"x")
    track(vm)
    assert areas(vm, snapshot(vm), "*") == [(7 * BLOCK, BLOCK)]


@pytest.mark.parametrize("storage", ["nfs", "vsan"])
def test_everything_elsewhere_is_the_whole_disk(here, vm, storage):
    track(vm)
    made = snapshot(vm)
    with here.mode(storage=storage):
        assert areas(vm, made, "*") == [(0, SIZE)]


def test_enabled_under_a_snapshot_it_loses_silently(here, vm):
    kept = snapshot(vm)
    here.write(vm, 0, b"lost")
    enable(vm)
    first = snapshot(vm)
    wait(first.RemoveSnapshot_Task(False))
    here.write(vm, BLOCK, b"lost, too")
    since = change_id(snapshot(vm))
    here.write(vm, 2 * BLOCK, b"and this")
    made = snapshot(vm)
    assert areas(vm, made, since) == []
    assert areas(vm, made, "*") == []
    assert kept.config is not None


def test_enabled_on_the_files_of_a_snapshot_that_is_gone_it_loses_silently(here, vm):
    kept = snapshot(vm)
    with here.mode(needs_consolidation=True):
        wait(kept.RemoveSnapshot_Task(False))
    enable(vm)
    wait(snapshot(vm).RemoveSnapshot_Task(False))
    since = change_id(snapshot(vm))
    here.write(vm, BLOCK, b"lost")
    assert areas(vm, snapshot(vm), since) == []


def test_enabled_once_those_are_merged_it_loses_nothing(here, vm):
    wait(snapshot(vm).RemoveSnapshot_Task(False))
    track(vm)
    since = change_id(snapshot(vm))
    here.write(vm, BLOCK, b"x")
    assert areas(vm, snapshot(vm), since) == [(BLOCK, BLOCK)]


def test_disabled_under_a_snapshot_that_forgets_silently(here, vm):
    track(vm)
    since = change_id(snapshot(vm))
    here.write(vm, BLOCK, b"lost")
    made = snapshot(vm)
    enable(vm, False)
    assert areas(vm, made, since) == []


def test_areas_dropped(here, vm):
    track(vm)
    first = snapshot(vm)
    for block in (0, 2, 4):
        here.write(vm, block * BLOCK, b"x")
    made = snapshot(vm)
    with here.mode(drop_areas=2):
        assert areas(vm, made, change_id(first)) == [(0, BLOCK), (4 * BLOCK, BLOCK)]


def test_an_independent_disk_is_not_tracked(here, vm):
    wait(vm.PowerOffVM_Task())
    disk = disks(vm)[0]
    disk.backing.diskMode = "independent_persistent"
    edit = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
    wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit])))
    enable(vm)
    with pytest.raises(vmodl.fault.InvalidArgument):
        vm.QueryChangedDiskAreas(snapshot(vm), 2000, 0, "*")


def test_without_a_snapshot_on_a_machine_that_is_off(here, vm):
    track(vm)
    made = snapshot(vm)
    since = change_id(made)
    wait(vm.RemoveAllSnapshots_Task())
    here.write(vm, 0, b"x")
    wait(vm.PowerOffVM_Task())
    assert areas(vm, None, since) == [(0, BLOCK)]


def test_a_live_id_misses_nothing(here, vm):
    """Read on a running machine it stands for the last stun, not for the moment of reading."""
    track(vm)
    here.write(vm, 0, b"before")
    since = change_id(vm)
    here.write(vm, BLOCK, b"after")
    assert areas(vm, snapshot(vm), since) == [(0, 2 * BLOCK)]
