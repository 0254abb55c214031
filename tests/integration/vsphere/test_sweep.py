# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a run leaves in vCenter, the next one removes and says so; nothing else is touched."""

# pylint: disable=unused-import
from __future__ import annotations

import functools
import json
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import (
    session as sessions,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import tasks, wire
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.attach import (
    attach,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.machine import (
    NONPERSISTENT,
    ManagedFile,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.removal import (
    remove_snapshot,
    whereabouts,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.snapshots import (
    snapshot,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.sweep import sweep
from ansible_collections.vdisk.lifecycle.tests.examples import examples
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.leftovers import (
    HASTY,
    PROXY,
    dying_run,
    journals,
    left,
    life_cycle,
    make,
    next_run,
    note_attach,
    open_kinds,
    other_eyes,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    OURS,
    QUICK,
    disk_of,
    find_vm,
    keep,
    log_in,
    machines,  # noqa: F401
    names,
    place,  # noqa: F401
    run_of_ours,
    snapshots,
)

HANG, ANSWER = 2.0, 0.5  # seconds: how long a call hangs, how long we wait for it


@pytest.fixture
def machine(place):  # noqa: F811
    """(vcenter, name) of a machine on which another product has a snapshot."""
    vcenter, name = place
    with log_in(vcenter) as session:
        keep(session, find_vm(session, name))
    return vcenter, name


FAULTS = {
    "refused": {"fault": "InvalidState"},
    "failing": {"fault": "HostCommunication", "task": True},
    "lost": {"drop": True},
    "unanswered": {"drop": "after"},
    "hanging": {"delay": HANG},
    "expired": {"expire_session": True},
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", FAULTS)
def test_each_call_goes_wrong_once(machine, monkeypatch, kind):
    vcenter, name = machine
    vcenter.forget_calls()
    life_cycle(vcenter, name)
    calls = {method: count for method, count in vcenter.calls().items() if "/" not in method}
    assert {"CreateSnapshot_Task", "RemoveSnapshot_Task", "ReconfigVM_Task"} <= calls.keys()
    assert left(vcenter, name) == ([], [])
    monkeypatch.setattr(sessions, "SECOND_TRY", 0.1)
    monkeypatch.setattr(tasks, "FIRST_PAUSE", 0.01)
    with other_eyes(vcenter, name) as look:
        if kind == "expired":  # their session ends, too
            look = functools.partial(left, vcenter, name)
        told = [go_wrong(vcenter, name, look, kind, *call) for call in some_of(calls, kind)]
    assert any(told) or kind != "hanging"  # what is carried out too late the next run must find


def go_wrong(vcenter, name, look, kind, method, nth):
    """What the next run says about it."""
    vcenter.rule(method, nth=nth, **FAULTS[kind])
    with pytest.MonkeyPatch.context() as patch:
        if kind == "hanging":
            patch.setattr(wire.Connection, "answer_timeout", ANSWER)
        succeeded = has_succeeded(vcenter, name)
    vcenter.clear_rules()
    before = look()
    assert not succeeded or before == ([], []), f"{method} {nth}: told of success"
    if kind == "hanging" and method.endswith("_Task"):
        vcenter.wait_until_idle()  # it may yet be carried out
        before = look()
    told = next_run(vcenter, name)
    assert look() == ([], []), f"{method} {nth}: {before} stays"
    assert sum(map(len, before)) <= len([each for each in told if each.done]), told
    assert journals() == []
    return told


def has_succeeded(vcenter, name):
    try:
        life_cycle(vcenter, name)
    except DiskError:
        return False
    return True


def some_of(calls, kind):
    """Each call of each method; of the many that only read, some."""
    for method, count in calls.items():
        if kind == "failing" and not method.endswith("_Task"):
            continue
        step = max(1, count // examples(4))
        yield from ((method, nth) for nth in range(1, count + 1, step))


def test_a_killed_run_is_swept(machine):
    vcenter, name = machine
    code = (
        "import sys, os, signal\n"
        "from ansible_collections.vdisk.lifecycle.tests.integration.vsphere import lifecycle as l\n"
        "class V: pass\n"
        "v = V(); v.__dict__.update(eval(sys.argv[1]))\n"
        "with l.log_in(v) as s, l.run_of_ours('nightly') as j:\n"
        "    vm = l.find_vm(s, sys.argv[2])\n"
        "    with l.snapshot(s, vm, j, l.CRASH_CONSISTENT):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    what = repr(
        {
            key: getattr(vcenter, key)
            for key in ("hostname", "username", "password", "port", "ca_file")
        }
    )
    died = subprocess.run([sys.executable, "-c", code, what, name], check=False)
    assert died.returncode == -signal.SIGKILL
    assert len(left(vcenter, name)[0]) == 1

    (swept,) = next_run(vcenter, name)

    assert swept.done
    assert swept.vm == name
    assert "of a run that died (nightly, " in swept.message
    assert swept.message.endswith("was removed")
    assert left(vcenter, name) == ([], [])
    assert next_run(vcenter, name) == []


def test_a_living_run_is_left_alone(machine):
    vcenter, name = machine
    with log_in(vcenter) as session, run_of_ours() as journal:
        vm = find_vm(session, name)
        with snapshot(session, vm, journal, CRASH_CONSISTENT, patience=QUICK):
            assert next_run(vcenter, name) == []
            assert len(left(vcenter, name)[0]) == 1


def test_a_snapshot_of_another_host_is_told_of_and_kept(machine):
    vcenter, name = machine
    text = json.dumps({"run": "r1", "host": "elsewhere", "time": "today", "purpose": "backup"})
    with log_in(vcenter) as session:
        vm = find_vm(session, name)
        session.call(lambda: vm.CreateSnapshot_Task(OURS + "r1", text, False, False))
        while not any(each.startswith(OURS) for each in names(vm)):
            time.sleep(0.05)

    (told,) = next_run(vcenter, name)

    assert not told.done
    assert "a run on elsewhere made it" in told.message
    assert left(vcenter, name)[0] == [OURS + "r1"]


def test_a_journal_of_another_vcenter_waits_for_it(machine):
    vcenter, name = machine
    with dying_run() as journal:
        journal.note("snapshot", vcenter="another", vm="vm-1", vm_name="web01")

    assert next_run(vcenter, name) == []
    assert len(journals()) == 1


def test_what_a_vcenter_installed_anew_does_not_know_is_told(machine):
    vcenter, name = machine
    with dying_run() as journal:
        facts = {"vm": "vm-1", "vm_name": "web01", "hostname": vcenter.hostname}
        journal.note("snapshot", vcenter="another", **facts)

    (told,) = next_run(vcenter, name)

    assert (told.vm, told.done) == ("web01", False)
    assert "was left alone" in told.message
    assert "its instance uuid was another and is " in told.message
    assert told.message.endswith(f"delete {journal.path}")
    assert len(journals()) == 1


def test_a_journal_that_tells_of_other_things_too_is_not_to_be_deleted(machine):
    vcenter, name = machine
    with dying_run() as journal:
        facts = {"vm": "vm-1", "vm_name": "web01"}
        journal.note("snapshot", vcenter="another", hostname=vcenter.hostname, **facts)
        journal.note("snapshot", vcenter="a third", hostname="vcenter3.example.com", **facts)

    (told,) = next_run(vcenter, name)

    assert told.message.endswith(f"keep {journal.path}, which tells of other things too")


def test_a_removal_that_is_refused_owes_no_consolidation(machine):
    vcenter, name = machine
    with log_in(vcenter) as session:
        vm = find_vm(session, name)
        with dying_run() as journal:
            make(session, vm, journal)
        vcenter.mode(needs_consolidation=True)
        theirs = next(each for each in snapshots(vm) if not each.name.startswith(OURS))
        wait(session, theirs.snapshot.RemoveSnapshot_Task(False))
        keep(session, vm)
        vcenter.rule("RemoveSnapshot_Task", fault="TaskInProgress", times=0)
        vcenter.forget_calls()
        for _run in range(2):
            (told,) = sweep(session, (), HASTY)
            assert not told.done

        assert vcenter.calls()["RemoveSnapshot_Task"] > 2
        assert "ConsolidateVMDisks_Task" not in vcenter.calls()
        assert open_kinds(journal) == ["snapshot"]


def test_a_removal_that_fails_is_owed_one_consolidation(machine):
    vcenter, name = machine
    with log_in(vcenter) as session:
        with dying_run() as journal:
            make(session, find_vm(session, name), journal)
        vcenter.rule("RemoveSnapshot_Task", fault="HostCommunication", task=True, times=0)
        for _run in range(2):
            (told,) = sweep(session, (), HASTY)
            assert not told.done
        assert open_kinds(journal) == ["consolidation", "snapshot"]
        vcenter.clear_rules()

        (told,) = sweep(session, (), QUICK)

    assert told.message.endswith("was removed")
    assert journals() == []


def test_who_died_before_the_consolidation_is_helped(machine):
    vcenter, name = machine
    vcenter.mode(needs_consolidation=True)
    with log_in(vcenter) as session:
        vm = find_vm(session, name)
        with dying_run() as journal:
            make(session, vm, journal)
            vcenter.rule("ConsolidateVMDisks_Task", fault="TaskInProgress", times=0)
            with pytest.raises(DiskError):
                remove_snapshot(session, vm, journal, HASTY)
        assert left(vcenter, name) == ([], [])
        vcenter.clear_rules()

        (told,) = sweep(session, (), QUICK)

        assert told.message.endswith("was consolidated")
        assert not vm.runtime.consolidationNeeded
    assert journals() == []


def test_a_machine_that_is_gone_needs_no_sweep(machine):
    vcenter, name = machine
    with log_in(vcenter) as session:
        here = session.content.about.instanceUuid
    with dying_run() as journal:
        journal.note("snapshot", vcenter=here, vm="vm-999999", vm_name="long gone")

    assert next_run(vcenter, name) == []
    assert journals() == []


def test_a_machine_that_was_registered_again_is_swept_by_its_uuid(machine):
    vcenter, name = machine
    with log_in(vcenter) as session:
        vm = find_vm(session, name)
        with dying_run() as journal:
            make(session, vm, journal)
            for entry in journal.open_entries():
                journal.done(entry.number)
            facts = whereabouts(session, vm, name, vm.config.instanceUuid)
            journal.note("snapshot", **{**facts, "vm": "vm-999999"})

        (told,) = sweep(session, (), QUICK)

    assert told.message.endswith("was removed")
    assert left(vcenter, name) == ([], [])
    assert journals() == []


def test_what_a_snapshot_notes_finds_the_machine_again(machine):
    vcenter, name = machine
    with log_in(vcenter) as session, run_of_ours() as journal:
        vm = find_vm(session, name)
        with snapshot(session, vm, journal, CRASH_CONSISTENT, patience=QUICK):
            (entry,) = journal.open_entries()

        assert entry.facts["instance_uuid"] == vm.config.instanceUuid


def test_what_cannot_be_removed_is_told_and_tried_again(machine):
    vcenter, name = machine
    with log_in(vcenter) as session:
        with dying_run() as journal:
            make(session, find_vm(session, name), journal)
        vcenter.rule("RemoveSnapshot_Task", fault="TaskInProgress", times=0)
        (told,) = sweep(session, (), HASTY)
        assert not told.done
        assert "is still there" in told.message
        vcenter.clear_rules()
        (told,) = sweep(session, (), QUICK)
        assert told.done

    assert left(vcenter, name) == ([], [])


def test_disks_are_detached_before_snapshots_go(machine):
    vcenter, name = machine
    with log_in(vcenter) as session:
        vm, proxy = find_vm(session, name), find_vm(session, PROXY)
        with dying_run() as journal:
            make(session, vm, journal)
            frozen = snapshots(vm)[-1].snapshot.config.hardware.device
            backing = next(each for each in frozen if each.key == 2000).backing
            disk = ManagedFile(backing.fileName, backing.datastore, backing.uuid)
            note_attach(session, journal, proxy, disk)
            attach(session, proxy, disk, mode=NONPERSISTENT)
        first, second = sweep(session, (), QUICK)

    assert first.message.endswith("was detached")
    assert second.message.endswith("was removed")
    assert left(vcenter, name) == ([], [])


def test_a_disk_of_the_proxys_own_stays(machine):
    vcenter, _name = machine
    with log_in(vcenter) as session:
        proxy = find_vm(session, PROXY)
        own = disk_of(proxy)
        with dying_run() as journal:
            journal.note(
                "attach",
                vcenter=session.content.about.instanceUuid,
                vm=proxy._moId,
                vm_name=PROXY,
                path=own.backing.fileName,
                datastore=own.backing.datastore._moId,
                uuid=own.backing.uuid,
            )

        assert sweep(session, (), QUICK) == []
        assert disk_of(proxy).backing.fileName == own.backing.fileName
