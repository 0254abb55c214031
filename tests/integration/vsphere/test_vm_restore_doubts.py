# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore in place while others work on the same machine, or vCenter fails half-way."""

from __future__ import annotations

import dataclasses
import json
import os
import socket

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskInUse
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.restore.restore_vm import (
    plan_restore_vm,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.restore.scene import (
    RestoreVmRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.rest import Rest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.tags import Tags
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import (
    put,
    take_away,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import find_vm, log_in
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.restored import (
    UNFINISHED,
    kill,
    wait_until,
)


@pytest.fixture
def room(room, one_vcenter):
    yield room
    one_vcenter[0].reset_modes()


@pytest.fixture
def name(room):
    """Of a machine whose second disk is not as in its restore point any more."""
    name = room.machine(sizes=(1, 1))
    room.back_up(name)
    room.vcenter.guest_write(name, room.disks(name)[1].key, 4096, b"later")
    return name


def options_of(name, *roads):
    roads = roads or ("datastore",)
    return {"restore_point": f"{name}@latest", "vm": name, "transport": roads, "force": True}


def require_untouched(room, name, content):
    assert room.content(name) == content
    assert room.mark(name) is None
    assert room.vm(name).config.changeTrackingEnabled
    assert os.listdir(os.environ["VDISK_STATE_DIR"]) == []


def attach(room, name, path, unit):
    """At the controller of its own disks."""
    kind = vim.vm.device.VirtualDisk
    backing = kind.FlatVer2BackingInfo(fileName=path, diskMode="persistent")
    controller = room.disks(name)[0].controllerKey
    disk = kind(key=-1, controllerKey=controller, unitNumber=unit, backing=backing)
    change = vim.vm.device.VirtualDeviceSpec(operation="add", device=disk)
    room.lab.wait(room.vm(name).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))


def set_mark(room, name, **facts):
    known = {"run": "r", "host": "h", "point": "p", "made": False, "disks": [], "tracking": False}
    option = vim.option.OptionValue(key=UNFINISHED, value=json.dumps({**known, **facts}))
    room.lab.wait(room.vm(name).ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))


def planned(room, access, name, road):
    access = dataclasses.replace(access, repository=room.url)
    return plan_restore_vm(RestoreVmRequest(access=access, **options_of(name, road)))


def written_to(room, name, key):
    """By its guest, which was started for that."""
    room.lab.wait(room.vm(name).PowerOnVM_Task())
    room.vcenter.guest_write(name, key, 8192, b"by the guest")
    room.lab.wait(room.vm(name).PowerOffVM_Task())


def test_a_disk_that_is_given_to_another_machine_is_not_written_to(room, access, name, road):
    other, disk = room.machine(sizes=(1,)), room.disks(name)[1]
    before = room.content(name)
    plan = planned(room, access, name, road)
    take_away(room.vm(name), disk)
    put(room.vm(other), disk.backing.fileName, 5, "persistent")

    with pytest.raises(DiskInUse, match="changed by somebody else while its disks were compared"):
        plan.run(check_mode=False)

    require_untouched(room, name, before[:1])
    assert room.content(other)[1] == before[1]


def test_a_disk_that_was_equal_and_is_written_to_meanwhile_is_not_passed_over(
    room, access, name, road
):
    plan = planned(room, access, name, road)
    written_to(room, name, room.disks(name)[0].key)
    before = room.content(name)

    with pytest.raises(DiskInUse, match="somebody else"):
        plan.run(check_mode=False)

    require_untouched(room, name, before)


def during_the_upload(room, options, happens):
    """What the restore says to what happens while it sends the first disk."""
    room.vcenter.forget_calls()
    room.vcenter.rule("PUT /folder", delay=1)
    process = room.start(**options)
    try:
        wait_until(lambda: room.vcenter.calls().get("PUT /folder") == 1)
        happens()
        return json.loads(process.stdout.read())
    finally:
        kill(process)


def test_each_disk_is_looked_for_anew_before_it_is_written_to(room, name):
    room.scribble(name, "both")
    disk, before = room.disks(name)[1], room.content(name)

    result = during_the_upload(room, options_of(name), lambda: take_away(room.vm(name), disk))

    assert "does not have the disk scsi0:1" in result["msg"]
    assert "do not start it" in result["msg"]
    attach(room, name, disk.backing.fileName, 1)
    assert room.content(name)[1] == before[1]
    room.restore(**options_of(name))


def test_a_mark_that_is_another_runs_meanwhile_stays(room, name):
    result = during_the_upload(room, options_of(name), lambda: set_mark(room, name, run="theirs"))

    assert "the mark of this restore is not on the machine any more" in result["msg"]
    assert "run theirs on h" in result["msg"]
    assert '"theirs"' in room.mark(name)


def test_a_mark_goes_by_its_run_and_not_by_the_name_of_a_host(room, name):
    before = room.content(name)
    set_mark(room, name, run="20260101T000000-00000000", host=socket.gethostname())

    message = room.refused(**options_of(name))

    assert "works on it, or was killed" in message
    assert "its journal is not in this host's VDISK_STATE_DIR" in message
    assert room.content(name) == before
    with Journal.begin("a run of the same container, which had another name") as journal:
        journal.note("restore", vcenter="elsewhere", hostname="elsewhere", vm="vm-1")
    set_mark(room, name, run=journal.run, host="another", disks=["scsi0:1"])

    assert room.restore(**options_of(name))["changed"]
    assert room.mark(name) is None


def test_a_new_disk_in_its_place_is_a_beginning_even_where_the_old_one_cannot_go(room, name):
    room.scribble(name, "both")
    before, files = room.content(name), room.files()
    # The first one that goes is what was sent, which is copied to a thin disk.
    room.vcenter.rule("DeleteVirtualDisk_Task", nth=2, fault="FileLocked", times=1)

    message = room.refused(**options_of(name))

    assert "do not start it" in message
    assert room.content(name)[0] != before[0] and room.content(name)[1] == before[1]
    assert room.mark(name) is not None
    assert not room.vm(name).config.changeTrackingEnabled
    room.restore(**options_of(name))
    assert room.mark(name) is None
    assert room.files().keys() == files.keys()


def test_a_mark_of_which_no_answer_came_is_remembered(room, name):
    room.vcenter.rule("ReconfigVM_Task", drop="after")

    room.refused(**options_of(name))

    assert room.mark(name) is not None
    assert len(os.listdir(os.environ["VDISK_STATE_DIR"])) == 1
    assert room.restore(**options_of(name))["changed"]
    require_untouched(room, name, room.content(name))


def test_a_mark_that_was_refused_leaves_nothing(room, name):
    before = room.content(name)
    room.vcenter.rule("ReconfigVM_Task", fault="NoPermission", privilege="VirtualMachine.Config")

    room.refused(**options_of(name))

    require_untouched(room, name, before)


def test_tracking_that_goes_on_as_if_nothing_had_been_is_told(room, name):
    room.vcenter.mode(keeps_tracker=True)

    result = room.restore(**options_of(name))

    assert "changed block tracking stays off: vSphere goes on" in str(result["warnings"])
    assert "mode: full" in str(result["warnings"])
    assert not room.vm(name).config.changeTrackingEnabled
    assert room.mark(name) is None


def test_a_copy_beside_the_original_is_left_alone(room, name):
    disk = room.disks(name)[1]
    point, copy = f"{name}@latest#scsi0:1", f"[datastore1] {name}/copy.vmdk"
    room.restore(restore_point=point, dest=copy)
    manager = room.lab.content.virtualDiskManager
    manager.SetVirtualDiskUuid(copy, room.lab.datacenter, disk.backing.uuid)
    attach(room, name, copy, 2)
    room.vcenter.guest_write(name, room.disks(name)[2].key, 0, b"of the copy")
    before = room.content(name)
    assert room.disks(name)[2].backing.uuid == disk.backing.uuid

    result = room.restore(**options_of(name))

    assert room.content(name)[1] != before[1] and room.content(name)[2] == before[2]
    assert result["not_restored"] == ["content of scsi0:2: it is not in the restore point"]


def annotate(room, name, text):
    room.lab.wait(room.vm(name).ReconfigVM_Task(vim.vm.ConfigSpec(annotation=text)))


def test_a_tag_that_is_gone_is_told_and_does_not_change_the_machine_each_time(room, name):
    annotate(room, name, "as it was")
    with log_in(room.vcenter) as session, Rest(session.vcenter) as rest:
        kind = rest.get("cis/tagging/category")[0]
        spec = {"create_spec": {"name": "passing", "description": "", "category_id": kind}}
        tag = rest._ask("POST", "cis/tagging/tag", None, None, spec)
        assert Tags(rest).attach(find_vm(session, name)._moId, ["backup:passing"]) == []
        room.back_up(name)
        rest._ask("DELETE", "cis/tagging/tag", tag, None, None)
    annotate(room, name, "changed")
    options = {**options_of(name), "what": "all"}

    first, second = room.restore(**options), room.restore(**{**options, "force": False})

    assert first["changed"] and not second["changed"]
    for result in (first, second):
        assert "tag backup:passing: there is no such tag" in result["not_restored"]


def test_what_cannot_be_read_over_https_is_written_by_hotadd(room, name, inside):
    content = room.content(name)
    options = options_of(name, "hotadd", "datastore")
    room.vcenter.rule("GET /folder", times=0, status=403)

    message = room.refused(**{**options, "force": False})
    room.restore(**options)

    assert "nobody can tell whether the machine is as in the restore point" in message
    assert "scsi0:0 could not be looked at" in message
    assert room.content(name)[0] == content[0] and room.content(name)[1] != content[1]
    assert room.mark(name) is None
