# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Faults and tasks: what vSphere says, and what it does in the background."""

from __future__ import annotations

import itertools
import time

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import tasks
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.collect import (
    collect,
    properties,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.errors import (
    fault_name,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    find_vm,
    take_snapshot,
)


def running_task(session):
    """One that somebody else reports on."""
    manager, vm = session.content.taskManager, find_vm(session, "web01")
    task = manager.CreateTask(vm, "com.vmware.govmomi.simulator.test", None, True).task
    task.SetTaskState("running", None, None)
    return task


FAULTS = {
    "FileNotFound": errors.DiskNotFound,
    "FileAlreadyExists": errors.DiskExists,
    "FileLocked": errors.DiskInUse,
    "CannotAccessFile": errors.DiskInUse,
    "NoDiskSpace": errors.NoSpace,
    "TaskInProgress": errors.DiskInUse,
    "ConcurrentAccess": errors.DiskInUse,
    "InvalidState": errors.VSphereFault,
    "InvalidPowerState": errors.VSphereFault,
    "GenericVmConfigFault": errors.VSphereFault,
    "ApplicationQuiesceFault": errors.VSphereFault,
    "HostNotConnected": errors.VSphereFault,
    "TooManySnapshotLevels": errors.VSphereFault,
    "ManagedObjectNotFound": errors.ObjectNotFound,
    "NotSupported": errors.UnsupportedDisk,
    "RestrictedVersion": errors.AccessDenied,
    "SystemError": errors.VSphereFault,
}
# What some of them must tell.
DETAILS = {
    "TaskInProgress": '<task type="Task">task-1</task>',
    "InvalidPowerState": "<existingState>poweredOn</existingState>",
    "ManagedObjectNotFound": '<obj type="VirtualMachine">vm-1</obj>',
}


class TestFaults:
    @pytest.mark.parametrize("as_task", [False, True], ids=["at once", "of a task"])
    def test_each_is_told(self, session, trusted, as_task):
        vm = find_vm(session, "web01")
        for fault, expected in FAULTS.items():
            detail = DETAILS.get(fault, "")
            trusted.rule("CreateSnapshot_Task", fault=fault, task=as_task, detail=detail)
            with pytest.raises(errors.DiskError) as caught:
                take_snapshot(session, vm)
            trusted.clear_rules()
            assert caught.type is expected, fault
            assert fault_name(caught.value) == fault
            assert "cannot take a snapshot" in str(caught.value)
            assert f"({fault})" in str(caught.value)

    def test_objects_that_are_gone_are_left_out(self, session):
        vm = find_vm(session, "web01")
        gone = vim.VirtualMachine("vm-99999", session.content.rootFolder._stub)
        rows = collect(session, vim.VirtualMachine, ["name"], objects=[gone, vm])
        assert [values["name"] for _vm, values in rows] == ["web01"]

    def test_an_object_that_is_gone(self, session):
        vm = vim.VirtualMachine("vm-99999", session.content.rootFolder._stub)
        with pytest.raises(errors.ObjectNotFound):
            properties(session, vm, ["name"])


class TestTasks:
    def test_of_disks_have_results_too(self, session, trusted):
        """Their `info` names an entity that pyVmomi refuses."""
        manager = session.content.virtualDiskManager
        datacenter = session.content.rootFolder.childEntity[0]
        spec = vim.VirtualDiskManager.FileBackedVirtualDiskSpec(
            diskType="thin", adapterType="lsiLogic", capacityKb=1024
        )
        path = "[datastore1] web01/new.vmdk"

        def create():
            return manager.CreateVirtualDisk_Task(path, datacenter, spec)

        assert tasks.wait(session, session.call(create), "create a disk", path) == path
        with pytest.raises(errors.DiskExists) as caught:
            tasks.wait(session, session.call(create), "create a disk", path)
        assert str(caught.value).startswith(f"{path}: cannot create a disk at 127.0.0.1: ")

    def test_progress_is_told_once_each(self, session):
        task = running_task(session)
        task.UpdateProgress(30)
        told = []

        def heard(percent):
            told.append(percent)
            if len(told) == 1:
                task.UpdateProgress(70)
            else:
                task.SetTaskState("success", "done", None)

        assert tasks.wait(session, task, progress=heard) == "done"
        assert told == [30, 70]

    def test_of_which_nothing_is_heard_end_with_our_patience(self, session, trusted, monkeypatch):
        monkeypatch.setattr(tasks, "PATIENCE", 0.4)
        monkeypatch.setattr(tasks, "AFTER_CANCEL", 0.1)
        task = running_task(session)
        task.UpdateProgress(95)
        with pytest.raises(errors.VSphereFault) as caught:
            tasks.wait(session, task, "merge a snapshot")
        entity = task.info.entityName
        assert str(caught.value).startswith(
            f"{entity}: cannot merge a snapshot at 127.0.0.1:"
            f" the task {task._moId} of {entity} has shown no progress for"
        )
        assert caught.value.found == "running at 95 %"
        assert "Look at it among the tasks in vCenter" in caught.value.hint
        assert trusted.calls()["CancelTask"] == 1

    def test_that_never_tell_percentages_are_waited_for_however_long(self, monkeypatch, session):
        monkeypatch.setattr(tasks, "PATIENCE", 0.2)
        end = time.monotonic() + 1.0

        def told(*_asked):
            ended = time.monotonic() > end
            return {"info.state": "success" if ended else "running", "info.result": "done"}

        monkeypatch.setattr(tasks, "properties", told)
        assert tasks.wait(session, running_task(session)) == "done"

    def test_that_tell_the_same_now_and_then_end_with_our_patience(self, monkeypatch, session):
        monkeypatch.setattr(tasks, "PATIENCE", 0.4)
        monkeypatch.setattr(tasks, "AFTER_CANCEL", 0.1)
        answers = itertools.cycle([{"info.progress": 0}, {}])
        monkeypatch.setattr(
            tasks, "properties", lambda *_asked: {"info.state": "running", **next(answers)}
        )
        with pytest.raises(errors.VSphereFault, match="has shown no progress"):
            tasks.wait(session, running_task(session), "merge a snapshot")

    def test_that_stay_in_the_queue_end_with_our_patience(self, monkeypatch, session):
        monkeypatch.setattr(tasks, "PATIENCE", 0.4)
        monkeypatch.setattr(tasks, "AFTER_CANCEL", 0.1)
        monkeypatch.setattr(tasks, "properties", lambda *_asked: {"info.state": "queued"})
        with pytest.raises(errors.VSphereFault, match="has shown no progress") as caught:
            tasks.wait(session, running_task(session), "merge a snapshot")
        assert caught.value.found == "queued"

    def test_that_go_on_are_waited_for_however_long(self, session, monkeypatch):
        monkeypatch.setattr(tasks, "PATIENCE", 1.2)
        monkeypatch.setattr(tasks, "LONGEST_PAUSE", 0.1)
        task, told = running_task(session), []
        task.UpdateProgress(1)

        def heard(percent):
            told.append(percent)
            time.sleep(0.3)
            if percent < 5:
                task.UpdateProgress(percent + 1)
            else:
                task.SetTaskState("success", "done", None)

        assert tasks.wait(session, task, progress=heard) == "done"
        assert told == [1, 2, 3, 4, 5]

    def test_whose_state_is_hidden_may_still_run(self, session, monkeypatch):
        monkeypatch.setattr(tasks, "properties", lambda *_asked: {})
        with pytest.raises(errors.VSphereFault, match="may still be running"):
            tasks.wait(session, running_task(session), "delete a disk")

    def test_an_interrupt_cancels(self, session, trusted, monkeypatch):
        trusted.mode(stun=2.0)
        vm = find_vm(session, "web01")
        task = session.call(lambda: vm.CreateSnapshot_Task("a", "", False, False))

        def interrupt(_seconds):
            monkeypatch.undo()
            raise KeyboardInterrupt

        monkeypatch.setattr(tasks.time, "sleep", interrupt)
        with pytest.raises(KeyboardInterrupt):
            tasks.wait(session, task)
        assert trusted.calls()["CancelTask"] == 1
        assert properties(session, task, ["info.state"])["info.state"] in ("success", "error")
