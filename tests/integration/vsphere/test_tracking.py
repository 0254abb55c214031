# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switching changed block tracking on, and what is not tracked or not protected."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import AccessDenied
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes import tracking
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.changes import (
    Tracker,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.tracking import (
    prepare_tracking,
    reset_tracking,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine import frozen
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.snapshots import (
    snapshot,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    QUICK,
    disk_of,
    find_vm,
    keep,
    log_in,
    names,
    run_of_ours,
    set_tracking,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.marking import (
    enable,
    look,
    proved,
)

BLOCK = 64 << 10


def allocated(at_work, before=None, **how):
    _vcenter, session, journal, vm = at_work
    with snapshot(session, vm, journal, CRASH_CONSISTENT, patience=QUICK) as taken:
        tracker = Tracker(session, vm, taken.snapshot, taken.task)
        return tracker.allocated(before, tracker.marks[0], **how)


def test_a_running_vm_is_stunned_and_tracked_from_then_on(at_work):
    assert enable(at_work) is None

    assert names(at_work[3]) == []
    assert look(at_work)[1].untracked is None


def test_a_mark_says_where_and_when(at_work):
    enable(at_work)

    mark = look(at_work)[1]

    assert mark.host_build.isdigit()
    assert mark.storage.upper() == "VMFS"
    assert mark.path.startswith("[datastore1] many")
    assert mark.vm == at_work[3]._moId
    assert mark.capacity == 16 << 20


def test_tracking_that_is_on_is_left_alone(at_work):
    enable(at_work)
    at_work[0].forget_calls()

    assert enable(at_work) is None
    assert not {"ReconfigVM_Task", "CreateSnapshot_Task"} & at_work[0].calls().keys()


def test_a_vm_that_is_off_needs_no_stun(at_work):
    wait(at_work[1], at_work[3].PowerOffVM_Task())
    at_work[0].forget_calls()

    assert enable(at_work) is None
    assert "CreateSnapshot_Task" not in at_work[0].calls()
    assert look(at_work)[1].untracked is None


def test_never_under_a_snapshot(at_work):
    keep(at_work[1], at_work[3])
    at_work[0].forget_calls()

    assert "must not be switched on while a VM has snapshots" in enable(at_work)
    assert "ReconfigVM_Task" not in at_work[0].calls()


def test_never_over_files_of_a_snapshot_that_is_gone(at_work):
    vcenter, session, _journal, vm = at_work
    keep(session, vm)
    vcenter.mode(needs_consolidation=True)
    wait(session, vm.snapshot.currentSnapshot.RemoveSnapshot_Task(False))

    assert "consolidation" in enable(at_work)
    assert not vm.config.changeTrackingEnabled


def test_a_vm_without_tracking_is_read_whole(at_work):
    _tracker, mark, changes = look(at_work)

    assert mark.untracked == "changed block tracking is off for the VM"
    assert changes.extents is None


def test_the_flag_of_a_disk_can_differ_from_the_vms(at_work):
    enable(at_work)
    before = look(at_work)[2].mark
    option = vim().option.OptionValue(key="scsi0:0.ctkEnabled", value="FALSE")
    wait(at_work[1], at_work[3].ReconfigVM_Task(vim().vm.ConfigSpec(extraConfig=[option])))

    changes = look(at_work, before)[2]

    assert changes.extents is None
    assert "off for the disk (scsi0:0.ctkEnabled)" in changes.reason


@pytest.mark.parametrize(
    ("on", "reason"), [(True, None), (False, "changed block tracking is off for the VM")]
)
def test_where_no_disk_has_a_flag_its_change_id_decides(at_work, monkeypatch, on, reason):
    if on:
        enable(at_work)
    real = frozen.properties

    def flagless(session, target, paths):
        return {**real(session, target, paths), "config.extraConfig": None}

    monkeypatch.setattr(frozen, "properties", flagless)

    assert look(at_work)[1].untracked == reason


def test_a_disk_without_a_change_id_is_not_tracked(at_work):
    set_tracking(at_work[1], at_work[3], True)  # and no stun before our snapshot

    mark = look(at_work)[1]

    assert (mark.untracked, mark.blind) == ("vSphere gives it no change id", False)


def test_tracking_switched_off_meanwhile(at_work):
    enable(at_work)
    before = look(at_work)[2].mark
    set_tracking(at_work[1], at_work[3], False)

    assert look(at_work, before)[2].reason == "changed block tracking is off for the VM"


def test_what_was_written_is_allocated(at_work):
    enable(at_work)
    at_work[0].guest_write(at_work[3].name, 2000, 5 * BLOCK, b"x")

    changes = allocated(at_work, proved(at_work), tracked_from_start=True)

    assert [(each.offset, each.length) for each in changes.extents] == [(5 * BLOCK, BLOCK)]


def test_a_disk_that_may_be_older_than_its_tracking_is_read_whole(at_work):
    enable(at_work)

    assert allocated(at_work, proved(at_work), tracked_from_start=False).extents is None


def test_what_an_unproved_tracker_calls_empty_is_read(at_work):
    enable(at_work)

    assert allocated(at_work, look(at_work)[1], tracked_from_start=True).extents is None
    assert allocated(at_work, None, tracked_from_start=True).extents is None


def test_a_star_that_fails_is_no_error(at_work):
    enable(at_work)
    before = proved(at_work)
    at_work[0].rule("QueryChangedDiskAreas", fault="FileFault")

    changes = allocated(at_work, before, tracked_from_start=True)

    assert changes.extents is None
    assert "FileFault" in changes.reason
    assert not changes.mark.proved


def test_a_reset_begins_anew(at_work):
    enable(at_work)
    _vcenter, session, journal, vm = at_work
    before = proved(at_work)

    assert reset_tracking(session, vm, journal, patience=QUICK) is None

    assert "restarted" in look(at_work, before)[2].reason
    assert names(at_work[3]) == []


def test_a_reset_that_changes_nothing_is_told(at_work, monkeypatch):
    enable(at_work)
    _vcenter, session, journal, vm = at_work
    monkeypatch.setattr(tracking, "running_trackers", lambda *_args: {2000: "52 de"})

    assert "the old one goes on" in reset_tracking(session, vm, journal, patience=QUICK)


def prepare(at_work, *earlier):
    """(why not, the mark of the backup that follows)."""
    _vcenter, session, journal, vm = at_work
    reason = prepare_tracking(session, vm, journal, earlier, patience=QUICK)
    return reason, look(at_work)[1]


def test_the_first_backup_finds_tracking_on(at_work):
    reason, mark = prepare(at_work)

    assert reason is None
    assert mark.tracker
    assert mark.untracked is None


def test_a_backup_after_a_good_one_leaves_tracking_alone(at_work):
    earlier = prepare(at_work)[1]

    assert prepare(at_work, earlier)[1].tracker == earlier.tracker


def test_a_backup_after_a_blind_one_begins_anew_and_once_only(at_work):
    blind = dataclasses.replace(prepare(at_work)[1], untracked="missed a change", blind=True)

    reason, mark = prepare(at_work, blind)
    again = prepare(at_work, blind)[1]

    assert reason is None
    assert mark.tracker not in (None, blind.tracker)
    assert again.tracker == mark.tracker


def test_a_disk_that_left_the_machine_needs_no_new_beginning(at_work):
    earlier = prepare(at_work)[1]
    gone = dataclasses.replace(earlier, key=2001, untracked="missed a change", blind=True)

    assert prepare(at_work, gone)[1].tracker == earlier.tracker


def test_who_may_not_switch_it_on_is_told_and_backs_up_all(at_work):
    privilege = "VirtualMachine.Config.ChangeTracking"
    at_work[0].rule("ReconfigVM_Task", fault="NoPermission", privilege=privilege)

    reason, mark = prepare(at_work)

    assert privilege in reason
    assert mark.untracked == "changed block tracking is off for the VM"


def test_a_snapshot_that_stays_is_more_than_a_reason(at_work):
    at_work[0].rule("RemoveSnapshot_Task", fault="NoPermission", privilege="x", times=0)

    with pytest.raises(AccessDenied):
        prepare(at_work)


def test_no_reset_under_a_snapshot(at_work):
    _vcenter, session, journal, vm = at_work
    enable(at_work)
    keep(session, vm)

    assert "while a VM has snapshots" in reset_tracking(session, vm, journal, patience=QUICK)
    assert vm.config.changeTrackingEnabled


def test_a_snapshot_that_cannot_be_read_is_a_doubt(at_work, monkeypatch):
    """vCenter leaves out, without a word, what it may not or cannot tell."""
    keep(at_work[1], at_work[3])
    set_tracking(at_work[1], at_work[3], True)  # it sees nothing: the snapshot would tell
    keep(at_work[1], at_work[3])
    monkeypatch.setattr(frozen, "collect", lambda *_args, **_more: iter(()))

    mark = look(at_work)[1]

    assert mark.untracked == (
        'whether it was tracked in the snapshot "nightly of somebody else" cannot be read'
    )


def test_our_own_snapshot_that_cannot_be_read_is_an_error(at_work, monkeypatch):
    """It must not look like a machine without disks."""
    real = frozen.properties

    def unreadable(session, target, paths):
        found = real(session, target, paths)
        return {} if isinstance(target, vim().vm.Snapshot) else found

    monkeypatch.setattr(frozen, "properties", unreadable)

    with pytest.raises(AccessDenied, match="what the snapshot holds"):
        look(at_work)


def test_independent_disks_are_told_of_and_not_read(at_work):
    _vcenter, session, _journal, vm = at_work
    if vm.runtime.powerState == "poweredOn":
        wait(session, vm.PowerOffVM_Task())
    disk = disk_of(vm)
    disk.backing.diskMode = "independent_persistent"
    change = vim().vm.device.VirtualDeviceSpec(operation="edit", device=disk)
    wait(session, vm.ReconfigVM_Task(vim().vm.ConfigSpec(deviceChange=[change])))

    tracker, mark, _changes = look(at_work)

    assert mark is None
    assert tracker.unprotected == {"scsi0:0": "it is independent: snapshots leave it out"}


def test_elsewhere_than_on_vmfs_a_star_is_not_asked_for(start_vcenter, tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path))
    vcenter = start_vcenter("--vms", "6", "--storage", "nfs")
    with log_in(vcenter) as session, run_of_ours() as journal:
        at_work = vcenter, session, journal, find_vm(session, "many00005")
        enable(at_work)
        changes = allocated(at_work, proved(at_work), tracked_from_start=True)

    assert changes.extents is None
    assert "QueryChangedDiskAreas" not in vcenter.calls()
