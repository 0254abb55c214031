# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A snapshot lives for a `with` block, whatever goes wrong in it or around it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import socket
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    AccessDenied,
    DiskError,
    DiskInUse,
    NoSpace,
    UnsupportedDisk,
    VSphereFault,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import (
    libraries,
    tasks,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots import removal
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.preflight import (
    Limits,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
    Level,
    Quiesce,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.snapshots import (
    snapshot,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    OURS,
    QUICK,
    find_vm,
    keep,
    names,
    snapshots,
)


def take(at_work, name=None, quiesce=CRASH_CONSISTENT, patience=QUICK, **more):
    _vcenter, session, journal, vm = at_work
    vm = find_vm(session, name) if name else vm
    return snapshot(session, vm, journal, quiesce, patience=patience, **more)


def test_it_is_there_inside_and_gone_after(at_work):
    vm = at_work[3]

    with take(at_work) as taken:
        assert names(vm) == [OURS + at_work[2].run]
        assert taken.snapshot._moId == snapshots(vm)[0].snapshot._moId

    assert names(vm) == []
    assert at_work[2].open_entries() == []


def test_it_says_whose_it_is(at_work):
    with take(at_work) as taken:
        (node,) = snapshots(taken.vm)
        head = json.loads(node.description)

    assert head["run"] == at_work[2].run
    assert head["host"] == socket.gethostname()
    assert head["purpose"] == "a test"
    assert head["time"]


def test_the_journal_knows_of_it_before_vcenter_does(at_work):
    vcenter, _session, journal, _vm = at_work
    seen = []
    vcenter.forget_calls()
    vcenter.rule("CreateSnapshot_Task", fault="HostCommunication", times=0)
    note = journal.note

    def noting(*args, **facts):
        seen.append(dict(vcenter.calls()).get("CreateSnapshot_Task", 0))
        return note(*args, **facts)

    journal.note = noting
    with pytest.raises(DiskError), take(at_work):
        pass

    assert seen == [0]


def test_an_error_in_the_block_is_told_and_undone(at_work):
    with pytest.raises(ZeroDivisionError), take(at_work) as taken:
        raise ZeroDivisionError

    assert names(taken.vm) == []


def test_a_stopped_job_undoes_it(at_work):
    with pytest.raises(SystemExit), take(at_work) as taken:
        raise SystemExit(143)  # what VmdkModule makes of SIGTERM

    assert names(taken.vm) == []


def test_snapshots_of_others_stay_also_those_on_top(at_work):
    session = at_work[1]
    vm = at_work[3]
    keep(session, vm, "before")
    with take(at_work):
        keep(session, vm, "after")

    assert names(vm) == ["before", "after"]


def test_a_name_like_ours_is_not_enough(at_work):
    look_alike = OURS + at_work[2].run
    keep(at_work[1], at_work[3], look_alike)
    with take(at_work):
        pass

    assert names(at_work[3]) == [look_alike]


def test_it_waits_for_a_merge_that_goes_on_after_the_task(at_work):
    at_work[0].mode(consolidation_lag=1.0)

    begun = time.monotonic()
    with take(at_work) as taken:
        pass

    assert time.monotonic() - begun >= 1.0 or at_work[0].calls().get("ConsolidateVMDisks_Task")
    assert not taken.vm.runtime.consolidationNeeded


def test_it_consolidates_what_the_removal_left(at_work):
    with take(at_work) as taken:
        at_work[0].mode(needs_consolidation=True)

    assert at_work[0].calls()["ConsolidateVMDisks_Task"] >= 1
    assert not taken.vm.runtime.consolidationNeeded


def test_what_another_removal_left_is_not_ours_to_consolidate(at_work):
    vcenter, session, journal, vm = at_work
    keep(session, vm)
    vcenter.mode(needs_consolidation=True)
    tasks.wait(session, snapshots(vm)[0].snapshot.RemoveSnapshot_Task(False))
    vcenter.forget_calls()

    assert not removal.remove_snapshot(session, vm, journal, QUICK)
    assert "ConsolidateVMDisks_Task" not in vcenter.calls()
    assert journal.open_entries() == []


SETTLING = dataclasses.replace(QUICK, removal=0, settling=0.7)


def somebody_is_at(monkeypatch, kind, started=lambda: True):
    row = {"info.state": "running", "info.descriptionId": kind}
    there = [(None, row)]
    monkeypatch.setattr(
        removal, "collect", lambda *_args, **_more: iter(there if started() else ())
    )


def test_what_others_do_with_the_machine_is_not_waited_for(at_work, monkeypatch):
    _vcenter, session, journal, vm = at_work
    somebody_is_at(monkeypatch, "VirtualMachine.migrate")
    patience = dataclasses.replace(QUICK, settling=600)
    begun = time.monotonic()

    assert not removal.remove_snapshot(session, vm, journal, patience)
    assert time.monotonic() - begun < 60


def test_a_snapshot_that_is_being_made_is_waited_for(at_work, monkeypatch):
    _vcenter, session, journal, vm = at_work
    begun = time.monotonic()
    somebody_is_at(
        monkeypatch, "VirtualMachine.createSnapshot", lambda: time.monotonic() < begun + 0.3
    )

    assert not removal.remove_snapshot(session, vm, journal, SETTLING)
    assert time.monotonic() - begun >= 0.3


def test_a_snapshot_that_may_still_come_is_told(at_work, monkeypatch):
    _vcenter, session, journal, vm = at_work
    somebody_is_at(monkeypatch, "VirtualMachine.createSnapshot")
    begun = time.monotonic()

    with pytest.raises(VSphereFault, match="whether that is ours"):
        removal.remove_snapshot(session, vm, journal, SETTLING)

    assert time.monotonic() - begun >= 0.7


@pytest.mark.parametrize("ended", [True, False])
def test_the_journal_keeps_what_a_task_that_was_not_seen_to_end_may_make(
    at_work, monkeypatch, ended
):
    vcenter, _session, journal, vm = at_work
    real = tasks._wait

    def give_up(session, task, what, target, progress):
        if ended:
            with contextlib.suppress(DiskError):
                real(session, task, what, target, progress)
        raise VSphereFault("the task has shown no progress")

    monkeypatch.setattr(tasks, "_wait", give_up)
    monkeypatch.setattr(removal, "collect", lambda *_args, **_more: iter(()))
    if ended:
        vcenter.rule("CreateSnapshot_Task", fault="NoDiskSpace", task=True)
    else:
        vcenter.mode(stun=10)  # longer than all that follows takes

    with pytest.raises(VSphereFault, match="no progress"), take(at_work):
        pass

    assert names(vm) == []
    assert [each.kind for each in journal.open_entries()] == ([] if ended else ["snapshot"])


def test_waiting_for_others_leaves_the_removal_its_time(at_work, monkeypatch):
    vcenter = at_work[0]
    row = {"info.state": "running", "info.descriptionId": "VirtualMachine.createSnapshot"}
    vcenter.rule("RemoveSnapshot_Task", fault="TaskInProgress", times=2)
    patience = dataclasses.replace(QUICK, removal=3, settling=3.5)

    with take(at_work, patience=patience) as taken:
        monkeypatch.setattr(removal, "collect", lambda *_args, **_more: iter([(None, row)]))

    assert names(taken.vm) == []


def test_a_session_that_expired_meanwhile_is_no_hindrance(at_work):
    with take(at_work) as taken:
        at_work[0].expire_sessions()

    assert at_work[1].call(lambda: names(taken.vm)) == []


def test_a_removal_is_tried_again(at_work):
    at_work[0].rule("RemoveSnapshot_Task", fault="TaskInProgress", times=3)

    with take(at_work) as taken:
        pass

    assert names(taken.vm) == []


def test_a_privilege_that_is_missing_is_told_at_once(at_work):
    privilege = "VirtualMachine.State.RemoveSnapshot"
    at_work[0].rule("RemoveSnapshot_Task", fault="NoPermission", privilege=privilege, times=0)
    patience = dataclasses.replace(QUICK, removal=600)
    _vcenter, session, journal, vm = at_work
    begun = time.monotonic()

    held = snapshot(session, vm, journal, CRASH_CONSISTENT, patience=patience)
    with pytest.raises(AccessDenied, match=privilege), held:
        pass

    assert time.monotonic() - begun < 60
    assert [each.kind for each in journal.open_entries()] == ["snapshot"]


def test_a_removal_that_never_works_is_told_along_with_the_first_error(at_work):
    at_work[0].rule("RemoveSnapshot_Task", fault="TaskInProgress", times=0)

    patience = dataclasses.replace(QUICK, removal=1)
    with pytest.raises(VSphereFault) as caught, take(at_work, patience=patience):
        raise VSphereFault("the disk cannot be read")

    assert "the disk cannot be read" in str(caught.value)
    assert f"{OURS}{at_work[2].run} could not be removed" in str(caught.value)
    assert [each.kind for each in at_work[2].open_entries()] == ["snapshot"]


# The ladder


def test_the_level_is_recorded(at_work):
    with take(at_work, quiesce=Quiesce(Level.FILESYSTEM, Level.FILESYSTEM)) as taken:
        assert taken.level is Level.FILESYSTEM
        assert snapshots(taken.vm)[0].quiesced


def test_nothing_needs_rest_in_a_vm_that_is_off(at_work):
    with take(at_work, "files01", Quiesce()) as taken:
        assert taken.level is Level.OFF


def test_it_steps_down_only_as_far_as_allowed(at_work):
    at_work[0].mode(quiesce_fault="FilesystemQuiesceFault")

    with pytest.raises(VSphereFault) as told, take(at_work, quiesce=Quiesce()):
        pass

    assert "no snapshot is as consistent as was asked for" in str(told.value)
    assert "VMware Tools" in str(told.value)
    assert names(at_work[3]) == []


def test_it_steps_down_where_allowed_and_says_why(at_work):
    at_work[0].mode(quiesce_fault="FilesystemQuiesceFault")

    with take(at_work, quiesce=Quiesce(Level.FILESYSTEM, Level.CRASH)) as taken:
        assert taken.level is Level.CRASH
        assert "file systems" in taken.passed_over[0]
        assert len(snapshots(taken.vm)) == 1


def test_a_fault_of_another_sort_is_no_reason_to_step_down(at_work):
    at_work[0].rule("CreateSnapshot_Task", fault="NoDiskSpace", task=True)

    with pytest.raises(NoSpace), take(at_work, quiesce=Quiesce(Level.FILESYSTEM, Level.CRASH)):
        pass


# Before it is taken


def refused(at_work, error, name=None, **limits):
    at_work[0].forget_calls()
    with pytest.raises(error) as told, take(at_work, name, limits=Limits(**limits)):
        pass
    assert "CreateSnapshot_Task" not in at_work[0].calls()
    assert at_work[2].open_entries() == []
    return str(told.value)


def test_too_many_snapshots(at_work):
    keep(at_work[1], at_work[3])
    keep(at_work[1], at_work[3])

    assert "found 2, expected fewer than 2" in refused(at_work, VSphereFault, snapshots=2)


def test_consolidation_needed(at_work):
    vm = at_work[3]
    keep(at_work[1], vm)
    at_work[0].mode(needs_consolidation=True)
    task = snapshots(vm)[0].snapshot.RemoveSnapshot_Task(False)
    while task.info.state not in ("success", "error"):
        time.sleep(0.05)

    assert "need consolidation" in refused(at_work, VSphereFault)


def test_a_full_datastore(at_work):
    text = refused(at_work, NoSpace, free_least=1 << 60)

    assert "datastore1 is too full" in text


def test_a_machine_that_would_undo_what_its_guest_writes(at_work):
    _vcenter, session, _journal, vm = at_work
    types = libraries.vim()
    spec = types.vm.ConfigSpec(
        extraConfig=[types.option.OptionValue(key="snapshot.action", value="autoRevert")]
    )
    tasks.wait(session, vm.ReconfigVM_Task(spec))

    assert "reverts to its snapshot when it is powered off" in refused(at_work, UnsupportedDisk)


def test_a_template(at_work):
    refused(at_work, UnsupportedDisk, "debian-template")


def test_a_method_that_somebody_disabled(at_work, monkeypatch):
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots import (
        preflight,
    )

    real = preflight.properties

    def disabled(session, target, paths):
        return {**real(session, target, paths), "disabledMethod": ["CreateSnapshot_Task"]}

    monkeypatch.setattr(preflight, "properties", disabled)

    assert "CreateSnapshot_Task disabled" in refused(at_work, DiskInUse)
