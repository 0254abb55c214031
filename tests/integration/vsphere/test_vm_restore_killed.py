# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore of a machine that is killed at any moment leaves nothing that the next one cannot mend.

The moments are counted in what vCenter was asked for, so they are the same on every machine.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import time

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Entry,
    Journal,
    host_name,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.sweep import sweep
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.unfinished import (
    Mark,
    mark_of,
    note_made,
    remove_made,
)
from ansible_collections.vdisk.lifecycle.tests.examples import examples
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import (
    put,
    take_away,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import log_in
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.restored import (
    kill,
    wait_until,
)

MOMENTS = {"datastore": 12, "nfc": 4, "hotadd": 4}


def asked(room):
    """How much vCenter was asked for, but for what tells it that we live."""
    return sum(room.vcenter.calls().values())


def killed_after(room, count, **options):
    """Whether it was still at work then."""
    room.vcenter.forget_calls()
    process = room.start(**options)
    while process.poll() is None and asked(room) < count:
        time.sleep(0.005)
    done = process.poll() is not None
    output = process.stdout.read() if done else b""
    kill(process)
    assert not done or not json.loads(output).get("failed"), output
    return not done


def moments(road, total):
    count = examples(MOMENTS[road])
    return [total * number // (count + 1) for number in range(1, count + 1)]


def told_by_sweep(room):
    """By the next run, whatever it does: of a restore that was whole it has nothing to say."""
    with log_in(room.vcenter) as session:
        return sweep(session)


def journals():
    folder = os.environ["VDISK_STATE_DIR"]
    return os.listdir(folder) if os.path.isdir(folder) else []


def other_files(room, *names):
    """{path: bytes} of all that no machine of these names has to do with."""
    return {
        path: size
        for path, size in room.files().items()
        if not any(f"/{name}/" in path for name in names)
    }


@pytest.mark.parametrize("road", ["datastore", "nfc", "hotadd"], indirect=True)
def test_a_new_machine(room, road):
    name = room.machine(sizes=(1, 1))
    content = room.back_up(name)
    new = f"{name}-new"
    options = {"restore_point": f"{name}@latest", "new_name": new, "transport": [road]}
    others, machines = other_files(room, new), machines_of(room)
    room.vcenter.forget_calls()
    room.restore(**options)
    total = asked(room)
    room.lab.wait(room.vm(new).Destroy_Task())

    for moment in moments(road, total):
        was_killed = killed_after(room, moment, **options)
        assert machines_of(room) - machines <= {new}
        assert other_files(room, new) == others
        if room.vm(new) is not None and room.mark(new) is None:
            assert room.content(new) == content  # whole, or marked as not
        if not was_killed:
            break
    room.restore(**options)

    assert room.content(new) == content
    assert room.mark(new) is None
    assert machines_of(room) == machines | {new}
    assert other_files(room, new) == others
    assert told_by_sweep(room) == [] and journals() == []
    assert len(room.disks("proxy01")) == 1


@pytest.mark.parametrize("road", ["datastore", "hotadd"], indirect=True)
def test_in_place(room, road):
    name = room.machine(sizes=(1, 1))
    content = room.back_up(name)
    room.scribble(name, "later")
    later = room.content(name)
    options = {
        "restore_point": f"{name}@latest", "vm": name, "transport": [road], "force": True
    }  # fmt: skip
    others, machines, own = other_files(room, name), machines_of(room), room.files()
    room.vcenter.forget_calls()
    room.restore(**options)
    total = asked(room)
    room.scribble(name, "later")

    for moment in moments(road, total):
        killed_after(room, moment, **options)
        assert machines_of(room) == machines
        assert other_files(room, name) == others
        if room.mark(name) is None and not leftovers(room, own):
            assert room.content(name) in (content, later)  # whole, or marked as not
            assert room.vm(name).config.changeTrackingEnabled
    room.restore(**options)

    assert room.content(name) == content
    assert room.mark(name) is None
    assert room.vm(name).config.changeTrackingEnabled
    assert leftovers(room, own) == set()
    assert told_by_sweep(room) == [] and journals() == []
    assert len(room.disks("proxy01")) == 1


@pytest.mark.parametrize("in_place", [False, True])
def test_of_two_at_once_the_second_one_is_refused(room, in_place):
    name = room.machine(sizes=(1,))
    content = room.back_up(name)
    room.scribble(name, "later")
    target = name if in_place else f"{name}-new"
    which = {"vm": name, "force": True} if in_place else {"new_name": target}
    options = {"restore_point": f"{name}@latest", "transport": ["datastore"], **which}
    room.vcenter.forget_calls()
    room.vcenter.rule("PUT /folder", delay=1)
    first = room.start(**options)
    wait_until(lambda: room.vcenter.calls().get("PUT /folder") == 1)
    first.send_signal(signal.SIGSTOP)  # however long the second one takes

    try:
        message = room.refused(**options)
    finally:
        first.send_signal(signal.SIGCONT)

    assert "restore on this host works on it" in message or "making it this moment" in message
    output = first.stdout.read()
    kill(first)
    assert not json.loads(output).get("failed"), output
    assert room.content(target) == content
    assert room.mark(target) is None


def test_the_original_that_was_gone(room):
    """What is left has its uuid, and is not taken for it."""
    name = room.machine(sizes=(1, 1))
    content = room.back_up(name)
    uuid = room.vm(name).config.instanceUuid
    room.lab.wait(room.vm(name).Destroy_Task())
    options = {"restore_point": f"{name}@latest", "vm": name, "transport": ["datastore"]}
    room.vcenter.forget_calls()
    room.vcenter.rule("PUT /folder", nth=2, delay=30)
    process = room.start(**options)
    wait_until(lambda: room.vcenter.calls().get("PUT /folder") == 2)
    kill(process)
    room.vcenter.clear_rules()
    assert room.mark(name) is not None
    assert room.vm(name).config.instanceUuid == uuid

    room.restore(**options)

    assert room.content(name) == content
    assert room.vm(name).config.instanceUuid == uuid
    assert room.mark(name) is None


def leftovers(room, own):
    return {os.path.basename(path) for path in room.files().keys() ^ own.keys()}


def machines_of(room):
    view = room.lab.content.viewManager.CreateContainerView(
        room.lab.content.rootFolder, [vim.VirtualMachine], True
    )
    try:
        return {vm.name for vm in view.view}
    finally:
        view.Destroy()


def killed_while_it_sends(room, **options):
    room.vcenter.forget_calls()
    room.vcenter.rule("PUT /folder", delay=30)
    process = room.start(**options)
    wait_until(lambda: "PUT /folder" in room.vcenter.calls())
    kill(process)
    room.vcenter.clear_rules()


def test_disks_that_somebody_has_attached_to_what_was_left_stay(room):
    """The machine goes, with the disks that were made for it."""
    name = room.machine(sizes=(1,))
    content = room.back_up(name)
    new = f"{name}-new"
    options = {"restore_point": f"{name}@latest", "new_name": new, "transport": ["datastore"]}
    killed_while_it_sends(room, **options)
    theirs = room.lab.new_disk()
    room.lab.modules.vmdk_attach(path=theirs, vm=new)

    result = room.restore(**options)

    assert f"the unfinished machine {new}" in str(result["warnings"])
    assert room.content(new) == content
    assert theirs in {f"[datastore1] {os.path.basename(path)}" for path in room.files()}


def renamed(room, vm):
    room.lab.wait(vm.Rename_Task(f"{vm.name}-in-use"))


def with_a_snapshot(room, vm):
    room.lab.wait(vm.CreateSnapshot_Task(name="theirs", memory=False, quiesce=False))


def made_a_template(_room, vm):
    vm.MarkAsTemplate()


def without_its_disk(room, vm):
    take_away(vm, room.disks(vm.name)[0])


def with_its_disk_at_another_machine(room, vm):
    other = room.machine(sizes=(1,))
    put(room.vm(other), room.disks(vm.name)[0].backing.fileName, 5, "persistent")


@pytest.fixture
def left(room):
    """(what was asked for, the machine that a run has left which was killed when it had made it)"""
    name = room.machine(sizes=(1,))
    room.back_up(name)
    vm = room.vm(room.machine(sizes=(1,), name=f"{name}-new"))
    with log_in(room.vcenter) as session, Journal.begin("a restore") as journal:
        note_made(session, journal, vm.name, [1 << 20], vm.parent, vm)
        set_mark(room, vm, Mark(journal.run, host_name(), "p", made=True, disks=("scsi0:0",)))
    return {"restore_point": f"{name}@latest", "new_name": vm.name, "transport": ["datastore"]}, vm


def set_mark(room, vm, mark):
    room.lab.wait(vm.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[mark.option()])))


@pytest.mark.parametrize(
    ("taken", "why"),
    [
        (renamed, "somebody has renamed it"),
        (with_a_snapshot, "somebody has taken a snapshot of it"),
        (made_a_template, "somebody has made it a template"),
        (without_its_disk, "somebody has moved or detached disks of it"),
        (with_its_disk_at_another_machine, "has it attached: "),
    ],
)
def test_what_somebody_has_gone_on_with_stays(room, left, taken, why):
    _options, vm = left
    taken(room, vm)
    files = room.files()

    for _turn in range(2):
        [told] = told_by_sweep(room)
        assert why in told.message, told.message
        assert not told.done
        assert "delete its advanced setting vdisk.lifecycle.unfinished" in told.message
    assert vm.name in machines_of(room)
    assert room.files() == files


def test_what_somebody_has_started_is_his_from_then_on(room, left):
    options, vm = left
    room.lab.wait(vm.PowerOnVM_Task())

    [told] = told_by_sweep(room)
    room.lab.wait(vm.PowerOffVM_Task())

    assert "is left alone from now on, because it runs" in told.message
    assert told_by_sweep(room) == []
    assert "cannot be finished here" in room.refused(**options)
    assert vm.name in machines_of(room)


def test_the_name_of_a_host_may_change(room, left):
    """As that of a container does: whose the mark is, its journal tells."""
    options, vm = left
    mark = mark_of(vm.config.extraConfig)
    set_mark(room, vm, dataclasses.replace(mark, host="another"))

    assert room.restore(**options)["changed"]
    assert room.mark(options["new_name"]) is None


def test_a_machine_whose_name_vcenter_keeps_in_another_form(room):
    """It was killed before the id of the machine was known."""
    mark = Mark("20260101T000000-00000000", "here", "point", made=True, disks=("scsi0:0",))
    name = room.machine(sizes=(1,), extraConfig=[mark.option()])
    room.lab.wait(room.vm(name).Rename_Task(f"50%25 of {name}"))
    folder = room.lab.datacenter.vmFolder._moId
    facts = {"vm": "", "vm_name": f"50% of {name}", "folder": folder, "files": []}
    with log_in(room.vcenter) as session:
        entry = Entry(1, "machine", {**facts, "sizes": [1 << 20]})
        assert remove_made(session, entry, mark.run) == "was removed"
