# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two jobs that replace one managed disk at once: neither touches what the other has made."""

from __future__ import annotations

import dataclasses
import os
import re

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    DiskInUse,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.progress import Silent
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.copy_disk import plan_copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.managed.names import new_job
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.managed.replace import replace
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.managed.site import (
    Site,
    identity,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.managed.work import look
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import CopyRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.disks import (
    VirtualDisks,
)

MIB = 1 << 20
OURS, THEIRS, OLD = 3 * MIB, 5 * MIB, 4 * MIB  # sizes tell the disks apart


@pytest.fixture
def disk(lab, access):
    """A disk that is to be replaced, as our job sees it."""
    return look(access, lab.new_disk(size=OLD))


def there(lab, disk):
    """{what is beside the name, without the number of a job: size} of all disks of that name."""
    stem = disk.place.path.stem
    sizes = {name: size for _folder, size, name in lab.files() if name.startswith(stem)}
    names = {name: name.removeprefix(stem).removesuffix("-flat.vmdk") for name in sizes}
    return {
        re.sub("-[0-9a-f]{8}$", "", short): sizes[name]
        for name, short in names.items()
        if name.endswith("-flat.vmdk")
    }


def create(site, size=OURS):
    site.create(site.new, size, "thin", "lsilogic")


def another_job(lab, disk, size=THEIRS):
    """It takes what we have made for what a killed job has left, and begins its own."""
    lab.wait(lab.content.virtualDiskManager.DeleteVirtualDisk_Task(str(disk.new), lab.datacenter))
    lab.new_disk_at(str(disk.new), size)


def test_alone_it_takes_the_place(lab, disk):
    assert replace(disk, create) == []
    assert there(lab, disk) == {"": OURS}


@pytest.mark.parametrize("fails", [False, True])
def test_what_another_job_is_making_is_neither_moved_nor_deleted(lab, disk, fails):
    def make(site):
        create(site)
        another_job(lab, disk)
        if fails:
            raise DiskError("something else")

    with pytest.raises(DiskError, match="something else" if fails else "another job"):
        replace(disk, make)
    assert there(lab, disk) == {"": OLD, ".vdisk-new": THEIRS}


def test_of_two_whole_jobs_the_second_one_wins(lab, disk, access):
    def make(site):
        create(site)
        replace(look(access, str(disk.place)), lambda other: create(other, THEIRS))

    with pytest.raises(DiskInUse, match="somebody else"):
        replace(disk, make)
    assert there(lab, disk) == {"": THEIRS}


def test_it_is_not_changed_either(lab, disk):
    def make(site):
        create(site)
        another_job(lab, disk)
        uuid = lab.uuid_of(str(disk.new))
        for change in (
            lambda: site.set_uuid(site.new, "60 00 C2 9b 0d 3e 63 a1-9c 4c 1e 7a 1a 4b ac 82"),
            lambda: site.note_eager(site.new),
        ):
            with pytest.raises(DiskInUse, match="another job"):
                change()
        assert lab.uuid_of(str(disk.new)) == uuid

    with pytest.raises(DiskInUse):
        replace(disk, make)


def test_one_that_came_first_is_not_disturbed(lab, disk):
    """It has replaced the disk between our look and our beginning."""
    moved = str(disk.place).replace(".vmdk", ".vdisk-old.vmdk")
    lab.move(str(disk.place), moved)
    lab.new_disk_at(str(disk.new), THEIRS)
    with pytest.raises(DiskInUse, match="somebody else"):
        replace(disk, create)
    assert there(lab, disk) == {".vdisk-old": OLD, ".vdisk-new": THEIRS}


def test_one_that_comes_in_the_last_moment_gets_its_disk_back(lab, disk, monkeypatch):
    """Between our last look at what we have made and its move."""
    kind = type(lab.content.virtualDiskManager)
    real = kind.MoveVirtualDisk_Task

    def swapped(self, source, *rest):
        if source == str(disk.new):
            monkeypatch.setattr(kind, "MoveVirtualDisk_Task", real)
            another_job(lab, disk)
        return real(self, source, *rest)

    monkeypatch.setattr(kind, "MoveVirtualDisk_Task", swapped)
    with pytest.raises(DiskInUse, match="somebody else") as caught:
        replace(disk, create)
    assert "was left as it is" not in caught.value.hint  # it was moved, and back again
    assert there(lab, disk) == {"": OLD, ".vdisk-new": THEIRS}


def test_one_that_grew_meanwhile_is_left_as_it_is(lab, disk, modules):
    def make(site):
        create(site)
        modules.vmdk_resize(path=str(disk.place), size=THEIRS)

    with pytest.raises(DiskInUse, match="somebody else"):
        replace(disk, make)
    assert there(lab, disk) == {"": THEIRS}


@pytest.mark.parametrize("nth", [1, 2])
def test_a_move_whose_answer_was_lost_is_undone(lab, disk, monkeypatch, nth):
    move, moves = VirtualDisks.move, []

    def lost(disks, source, target):
        move(disks, source, target)
        moves.append(source)
        if len(moves) == nth:
            raise DiskError("the answer was lost")

    monkeypatch.setattr(VirtualDisks, "move", lost)
    with pytest.raises(DiskError, match="the answer was lost"):
        replace(disk, create)
    assert there(lab, disk) == {"": OLD}


def test_what_a_killed_job_has_left_is_swept(lab, disk, modules):
    lab.new_disk_at(str(disk.new), THEIRS)
    modules.vmdk_convert(path=str(disk.place), disk_type="thick")
    assert there(lab, disk) == {"": OLD}


class Watched(Silent):
    """Somebody does something each time that an upload begins."""

    def __init__(self, act):
        self._act = act

    def start(self, label, total):
        self._act()


def test_what_is_sent_again_goes_into_no_other_disk(lab, access, tmp_path):
    """The connection is lost, and meanwhile another job takes the first one's disk away."""
    raw, path = tmp_path / "a.img", f"[datastore1] {tmp_path.name}/copy.vmdk"
    raw.write_bytes(os.urandom(OURS))
    looks = []

    def another():
        other = look(access, path)
        site = Site(other)
        for place in other.leftovers():
            VirtualDisks(other.session).delete(place)
        site.create(site.new, THEIRS, "thick", "lsilogic")
        looks.append(other)

    lab.vcenter.rule("PUT /folder", drop=True)
    request = CopyRequest(str(raw), path, access, progress=Watched(another))
    with pytest.raises(DiskInUse, match="another job"):
        plan_copy(request).run(check_mode=False)
    (other,) = looks
    assert there(lab, other) == {".vdisk-new": THEIRS}
    with other.device(other.new) as device:
        assert bytes(read(device, 0, THEIRS)) == bytes(THEIRS)


def test_jobs_write_to_files_of_their_own(access, disk):
    names = {
        str(each) for job in (disk, look(access, str(disk.place))) for each in (job.new, job.sent)
    }
    assert len(names) == 4


def test_disks_that_were_given_one_uuid_are_told_apart(lab, disk):
    """As two conversions make them. Nobody has written to either: they have one content id."""
    uuid = "60 00 C2 9b 0d 3e 63 a1-9c 4c 1e 7a 1a 4b ac 82"
    before = []

    def make(site):
        create(site)
        site.set_uuid(site.new, uuid)

    for _job in range(2):
        replace(look_again(disk), make)
        before.append(identity(disk, disk.place))
    assert before[0].uuid == before[1].uuid
    assert before[0].cid == before[1].cid == 0xFFFFFFFE
    assert before[0] != before[1]


def look_again(disk):
    return dataclasses.replace(disk, job=new_job())


def test_a_new_disk_that_may_be_half_made_is_not_taken_for_whole(lab, disk, modules):
    """Whoever was killed there: the old disk had stepped aside."""
    lab.move(str(disk.place), str(disk.old))
    lab.new_disk_at(str(disk.new), THEIRS)
    foretold = modules.vmdk_resize(path=str(disk.place), size=8 * MIB, check_mode=True)
    assert foretold["disk"]["size"] == OLD
    modules.vmdk_resize(path=str(disk.place), size=8 * MIB)
    assert there(lab, disk) == {"": 8 * MIB, ".vdisk-new": THEIRS}


@pytest.mark.parametrize(
    ("module", "options"),
    [("vmdk_create", {"state": "absent"}), ("vmdk_convert", {"disk_type": "thick"})],
)
def test_what_a_killed_job_has_left_and_somebody_attached_stays(
    lab, disk, modules, module, options
):
    lab.new_disk_at(str(disk.new), THEIRS)
    lab.take(str(disk.new))
    refused = modules.fail(module, path=str(disk.place), **options)
    assert refused["error"]["kind"] == "DiskInUse"
    assert "files01 has it attached" in refused["msg"]
    assert there(lab, disk) == {"": OLD, ".vdisk-new": THEIRS}
