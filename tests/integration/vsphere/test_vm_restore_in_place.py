# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_restore makes the machine that was backed up what it was, and nothing else."""

from __future__ import annotations

import os

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.restored import (
    UNFINISHED,
)


def test_it_becomes_what_it_was(room, road):
    name = room.machine()
    content = room.back_up(name)
    room.scribble(name, "later")
    uuids = [disk.backing.uuid for disk in room.disks(name)]
    files = room.files()

    result = room.restore(
        restore_point=f"{name}@latest", vm=name, transport=[road], verify=True, force=True
    )

    assert result["changed"]
    assert result["transfer"]["transport"] == road
    assert room.content(name) == content
    assert [disk.backing.uuid for disk in room.disks(name)] == uuids
    assert room.mark(name) is None
    assert room.vm(name).config.changeTrackingEnabled
    assert room.files().keys() == files.keys()

    again = room.restore(restore_point=f"{name}@latest", vm=name, transport=[road])
    assert not again["changed"]


def test_nothing_is_overwritten_without_force(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    room.scribble(name, "later")
    before = room.content(name)

    message = room.refused(restore_point=f"{name}@latest", vm=name)

    assert "the machine is not as in the restore point: scsi0:0" in message
    assert "force: true" in message
    assert room.content(name) == before
    assert room.mark(name) is None


def test_check_mode_writes_nothing(room):
    name = room.machine(sizes=(1, 1))
    room.back_up(name)
    key = room.disks(name)[1].key
    room.vcenter.guest_write(name, key, 4096, b"by the guest")
    before = room.content(name)

    result = room.restore(restore_point=f"{name}@latest", vm=name, force=True, check_mode=True)

    assert result["changed"]
    disks = result["diff"]["before"]["disks"]
    assert disks["scsi0:1"] == "another content" != disks["scsi0:0"]
    assert room.content(name) == before


def test_one_disk_alone(room):
    name = room.machine(sizes=(1, 1))
    content = room.back_up(name)
    room.scribble(name, "later")
    before = room.content(name)

    room.restore(restore_point=f"{name}@latest#scsi0:1", vm=name, force=True)

    assert room.content(name) == [before[0], content[1]]


def test_the_next_backup_does_not_believe_in_changes_since_the_last_one(room, road):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    room.scribble(name, "later")
    before = room.disks(name)[0].backing.changeId

    room.restore(restore_point=f"{name}@latest", vm=name, transport=[road], force=True)

    after = room.disks(name)[0].backing.changeId
    assert before and after
    assert before.rpartition("/")[0] != after.rpartition("/")[0]


def power_on(room, name):
    room.lab.wait(room.vm(name).PowerOnVM_Task())


def snapshot(room, name):
    room.lab.wait(room.vm(name).CreateSnapshot_Task("before the update", "", False, False))


def grow(room, name):
    disk = room.disks(name)[0]
    disk.capacityInKB *= 2
    disk.capacityInBytes = disk.capacityInKB << 10
    change(room, name, "edit", disk)


def remove(room, name):
    change(room, name, "remove", room.disks(name)[0])


def change(room, name, operation, disk):
    spec = vim.vm.device.VirtualDeviceSpec(operation=operation, device=disk)
    room.lab.wait(room.vm(name).ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[spec])))


@pytest.mark.parametrize(
    ("happens", "told"),
    [
        (power_on, "while it is powered off"),
        (snapshot, "before the update"),
        (grow, "another size than when it was backed up"),
        (remove, "does not have the disk scsi0:0"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(room, happens, told):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    room.scribble(name, "later")
    happens(room, name)
    room.vcenter.forget_calls()

    message = room.refused(restore_point=f"{name}@latest", vm=name, force=True)

    assert told in message
    assert "new_name" in message
    assert "ReconfigVM_Task" not in room.vcenter.calls()


def test_another_machine_is_never_overwritten(room):
    name, other = room.machine(sizes=(1,)), room.machine(sizes=(1,))
    room.back_up(name)
    before = room.content(other)

    message = room.refused(restore_point=f"{name}@latest", vm=other, force=True)

    assert "is there already, and its disk scsi0:0 differs" in message
    assert room.content(other) == before

    message = room.refused(restore_point=f"{name}@latest#scsi0:0", vm=other, force=True)

    assert "is not the machine that was backed up" in message
    assert room.content(other) == before


def test_its_settings_are_put_right_where_that_is_asked_for(room):
    name = room.machine(sizes=(1,), annotation="as it was", memoryHotAddEnabled=True)
    content = room.back_up(name)
    option = vim.option.OptionValue(key="theirs", value="1")
    spec = vim.vm.ConfigSpec(memoryMB=512, annotation="changed", extraConfig=[option])
    room.lab.wait(room.vm(name).ReconfigVM_Task(spec))

    told = room.restore(restore_point=f"{name}@latest", vm=name)
    assert not told["changed"]
    assert {"memory_mb", "settings.annotation"} <= {each["path"] for each in told["differences"]}

    result = room.restore(restore_point=f"{name}@latest", vm=name, what="all", force=True)

    config = room.vm(name).config
    assert (config.hardware.memoryMB, config.annotation) == (256, "as it was")
    assert [each["path"] for each in result["differences"]] == ["extra_config.theirs"]
    assert room.content(name) == content
    again = room.restore(restore_point=f"{name}@latest", vm=name, what="configuration")
    assert not again["changed"]


def test_the_disk_that_was_there_stays_whole_where_the_new_one_cannot_be_sent(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    room.scribble(name, "later")
    before, files = room.content(name), room.files()
    room.vcenter.rule("PUT /folder", times=0, status=507)

    message = room.refused(
        restore_point=f"{name}@latest", vm=name, force=True, transport=["datastore"]
    )

    assert "the datastore is full" in message
    assert "mixture" not in message
    assert room.content(name) == before
    assert room.files() == files
    assert room.mark(name) is None
    assert room.vm(name).config.changeTrackingEnabled


def test_half_a_restore_is_told_and_completed_by_the_next_one(room):
    name = room.machine(sizes=(1, 1))
    content = room.back_up(name)
    room.scribble(name, "later")
    before = room.content(name)
    room.vcenter.rule("PUT /folder", nth=2, times=0, status=507)
    options = {"restore_point": f"{name}@latest", "vm": name, "transport": ["datastore"]}

    message = room.refused(**options, force=True)

    assert "do not start it" in message
    assert room.content(name) == [content[0], before[1]]
    assert room.mark(name) is not None
    assert not room.vm(name).config.changeTrackingEnabled
    backup = room.lab.modules.fail("vmdk_backup", vm=name, repository=room.url)
    assert "a restore of it is not finished" in backup["msg"]

    room.vcenter.clear_rules()
    room.restore(**options, force=True)

    assert room.content(name) == content
    assert room.mark(name) is None
    assert room.vm(name).config.changeTrackingEnabled
    assert os.listdir(os.environ["VDISK_STATE_DIR"]) == []


def test_a_restore_that_another_host_has_begun_is_left_to_it(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    room.scribble(name, "later")
    before = room.content(name)
    mark = (
        '{"run": "20260101T000000-00000000", "host": "elsewhere", "point": "p", "made": false,'
        ' "disks": ["scsi0:0"], "tracking": false}'
    )
    option = vim.option.OptionValue(key=UNFINISHED, value=mark)
    room.lab.wait(room.vm(name).ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))

    message = room.refused(restore_point=f"{name}@latest", vm=name, force=True)

    assert "a restore on elsewhere works on it, or was killed" in message
    assert room.content(name) == before


def test_no_disk_in_the_clear_takes_the_place_of_one_that_is_encrypted(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    room.scribble(name, "later")
    path = os.path.join(room.vcenter.datastore_dir, "datastore1", name, f"{name}.vmdk")
    with open(path, "a", encoding="utf-8") as file:
        file.write('encryptionKeys="vmware:key/list/(pair/())"\n')
    room.vcenter.forget_calls()

    message = room.refused(
        restore_point=f"{name}@latest", vm=name, transport=["datastore"], force=True
    )

    assert "is encrypted" in message
    assert "PUT /folder" not in room.vcenter.calls()
    assert room.mark(name) is None
