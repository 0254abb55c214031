# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""First-class disks by the modules that work on all other disks, against a simulated vCenter."""

from __future__ import annotations

import hashlib
import json
import uuid

import pytest

from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.attaching import kill_when

MIB = 1 << 20


@pytest.fixture
def name():
    return f"data {uuid.uuid4().hex[:6]}"


@pytest.fixture
def disk(lab, name):
    """The reference to a disk of 4 MiB; a test may delete it."""
    reference = f"[datastore1] fcd:{name}"
    lab.modules.vmdk_create(path=reference, size="4MiB")
    return reference


def in_vcenter(lab, name):
    """All that vCenter has under that name, asked with other eyes."""
    manager = lab.content.vStorageObjectManager
    datastore = next(each for each in lab.datacenter.datastore if each.name == "datastore1")
    objects = [
        manager.RetrieveVStorageObject(known, datastore).config
        for known in manager.ListVStorageObject(datastore)
    ]
    return [each for each in objects if each.name == name]


def snapshots_in_vcenter(lab, name):
    manager = lab.content.vStorageObjectManager
    datastore = next(each for each in lab.datacenter.datastore if each.name == "datastore1")
    info = manager.RetrieveSnapshotInfo(in_vcenter(lab, name)[0].id, datastore)
    return [each.description for each in info.snapshots or ()]


def key_of(lab, path, vm="web01"):
    return next(
        device.key
        for device in lab.vm(vm).config.hardware.device
        if getattr(device.backing, "fileName", None) == path
    )


# Created, grown, deleted


def test_it_is_created_once(lab, name):
    reference = f"[datastore1] fcd:{name}"
    wanted = {"path": reference, "size": "4MiB", "disk_type": "eagerZeroedThick"}
    foretold = lab.modules.vmdk_create(check_mode=True, **wanted)
    assert foretold["changed"]
    assert in_vcenter(lab, name) == []
    done = lab.modules.vmdk_create(**wanted)
    assert done["changed"]
    assert done["diff"]["before"] == {}
    assert done["diff"]["after"].items() <= done["disk"].items()
    (found,) = in_vcenter(lab, name)
    assert found.capacityInMB == 4
    assert found.backing.provisioningType == "eagerZeroedThick"
    assert found.keepAfterDeleteVm
    disk = done["disk"]
    assert (disk["path"], disk["size"], disk["disk_type"]) == (
        reference, 4 * MIB, "eagerZeroedThick"
    )  # fmt: skip
    assert disk["first_class"]["id"] == found.id.id
    assert disk["chain"] == [found.backing.filePath]
    again = lab.modules.vmdk_create(**wanted)
    assert not again["changed"]
    assert again["disk"] == disk
    assert len(in_vcenter(lab, name)) == 1


@pytest.mark.parametrize("module", ["vmdk_create", "vmdk_resize"])
def test_it_is_grown_and_never_cut(lab, disk, name, module):
    grow = getattr(lab.modules, module)
    assert grow(path=disk, size="6MiB", check_mode=True)["disk"]["size"] == 6 * MIB
    assert in_vcenter(lab, name)[0].capacityInMB == 4
    assert grow(path=disk, size="6MiB")["disk"]["size"] == 6 * MIB
    assert in_vcenter(lab, name)[0].capacityInMB == 6
    assert not grow(path=disk, size="6MiB")["changed"]
    assert "never cut" in lab.modules.fail(module, path=disk, size="5MiB")["msg"]


def test_it_is_deleted_once(lab, disk, name):
    path = in_vcenter(lab, name)[0].backing.filePath
    assert lab.modules.vmdk_create(path=disk, state="absent", check_mode=True)["changed"]
    assert in_vcenter(lab, name)
    done = lab.modules.vmdk_create(path=disk, state="absent")
    assert done["removed"] == [path]
    assert in_vcenter(lab, name) == []
    assert path.rpartition("/")[2] not in [file for *_rest, file in lab.files()]
    assert not lab.modules.vmdk_create(path=disk, state="absent")["changed"]


def test_one_with_snapshots_is_deleted_by_force_only(lab, disk, name):
    lab.modules.vmdk_snapshot(path=disk, child="before")
    told = lab.modules.fail("vmdk_create", path=disk, state="absent")["msg"]
    assert "it has snapshots, found before" in told
    assert (
        "delete them first"
        in lab.modules.fail("vmdk_resize", path=disk, size="9MiB")["msg"].lower()
    )
    assert lab.modules.vmdk_create(path=disk, state="absent", force=True)["changed"]
    assert in_vcenter(lab, name) == []


def test_what_it_has_no_use_for_is_told(lab, name):
    for option in ({"hw_version": 10}, {"adapter_type": "ide"}, {"metadata": {"uuid": "x"}}):
        told = lab.modules.fail(
            "vmdk_create", path=f"[datastore1] fcd:{name}", size="4MiB", **option
        )
        assert f"no {next(iter(option))}" in told["msg"]
    odd = lab.modules.fail("vmdk_create", path=f"[datastore1] fcd:{name}", size="1536KiB")
    assert "multiple of 1 MiB" in odd["msg"]
    assert "say its size" in lab.modules.fail("vmdk_create", path=f"[datastore1] fcd:{name}")["msg"]
    assert (
        "no name" in lab.modules.fail("vmdk_create", path="[datastore1] fcd:", size="4MiB")["msg"]
    )
    assert in_vcenter(lab, name) == []


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("vmdk_create", {"state": "absent", "force": True}),
        ("vmdk_create", {"size": "8MiB"}),
        ("vmdk_resize", {"size": "8MiB"}),
        ("vmdk_convert", {"disk_type": "thick"}),
        ("vmdk_data", {"uuid": "6000C29b0d3e63a19c4c1e7a1a4bac82"}),
        ("vmdk_rename", {"dest": "[datastore1] elsewhere/moved.vmdk"}),
    ],
)
def test_its_file_stays_as_it_is(lab, disk, name, module, options):
    path, files = in_vcenter(lab, name)[0].backing.filePath, lab.files()
    named = {"src" if module == "vmdk_rename" else "path": path}
    refused = lab.modules.fail(module, **named, **options)
    assert refused["error"]["kind"] == "DiskInUse"
    assert "it is the file of a first-class disk" in refused["msg"]
    assert f'path: "{disk}"' in refused["msg"]
    assert lab.files() == files
    assert lab.modules.vmdk_info(path=path)["disk"]["path"] == path


def test_a_copy_of_its_file_is_an_ordinary_disk(lab, disk, name):
    copy = f"[datastore1] {uuid.uuid4().hex[:8]}/{in_vcenter(lab, name)[0].backing.filePath[-9:]}"
    lab.modules.vmdk_clone(src=disk, dest=copy)
    assert lab.modules.vmdk_resize(path=copy, size="8MiB")["changed"]
    assert lab.modules.vmdk_create(path=copy, state="absent")["changed"]


def test_a_mark_that_vcenter_knows_nothing_of_keeps_nobody_away(lab):
    path = lab.new_disk()
    lab.add_to_descriptor(path, f'ddb.fcd.uuid = "{uuid.uuid4()}"')
    assert lab.modules.vmdk_create(path=path, state="absent")["changed"]


# Named


def test_by_name_and_by_id_it_is_the_same(lab, disk, name):
    known = in_vcenter(lab, name)[0].id.id
    by_name = lab.modules.vmdk_info(path=disk)["disk"]
    assert lab.modules.vmdk_info(path=f"[datastore1] fcd:{known}")["disk"] == by_name
    assert by_name["users"] == []
    assert by_name["first_class"]["snapshots"] == []


def test_two_of_one_name_are_both_told(lab, disk, name):
    lab.first_class_disk(name)
    ids = [each.id.id for each in in_vcenter(lab, name)]
    told = lab.modules.fail("vmdk_info", path=disk)["msg"]
    assert "several first-class disks" in told
    assert all(known in told for known in ids)
    assert lab.modules.vmdk_info(path=f"[datastore1] fcd:{ids[0]}")["disk"]["size"] == 4 * MIB


def test_one_that_is_not_there(lab, name):
    assert (
        "no first-class disk"
        in lab.modules.fail("vmdk_info", path=f"[datastore1] fcd:{name}")["msg"]
    )
    assert "no first-class disk" in lab.refused(f"[datastore1] fcd:{name}")
    assert not lab.detach(f"[datastore1] fcd:{name}")["changed"]


# Attached


def test_it_is_attached_and_detached(lab, disk, name):
    before, path = lab.disks(), in_vcenter(lab, name)[0].backing.filePath
    foretold = lab.attach(disk, check_mode=True)
    assert foretold["changed"]
    assert lab.disks() == before
    done = lab.attach(disk)
    assert foretold["attachment"] == {**done["attachment"], "key": None}
    assert lab.disks() == {**before, path: (0, 2, "persistent")}
    assert in_vcenter(lab, name)[0].consumerId
    assert not lab.attach(disk)["changed"]
    assert not lab.attach(path)["changed"]  # by its file, too
    info = lab.modules.vmdk_info(path=disk)["disk"]
    assert [each["name"] for each in info["users"]] == ["web01"]

    assert "web01" in lab.refused(disk, "db01")
    assert "is attached" in lab.modules.fail("vmdk_create", path=disk, state="absent")["msg"]
    assert "is attached" in lab.modules.fail("vmdk_resize", path=disk, size="9MiB")["msg"]

    assert lab.detach(disk)["changed"]
    assert lab.disks() == before
    assert not in_vcenter(lab, name)[0].consumerId
    assert in_vcenter(lab, name), "detaching must not delete it"
    assert not lab.detach(disk)["changed"]
    lab.attach(disk)
    assert lab.detach(path)["changed"]  # by its file: vCenter learns that it is free again
    assert not in_vcenter(lab, name)[0].consumerId


def test_a_controller_is_made_for_it(lab, disk):
    done = lab.attach(disk, controller={"type": "lsilogic", "bus": 2}, unit=4)
    assert done["attachment"]["name"] == "scsi2:4"
    assert not lab.attach(disk, controller={"type": "lsilogic", "bus": 2}, unit=4)["changed"]


def test_its_mode_on_a_machine_that_is_off(lab, disk):
    done = lab.attach(disk, "files01", mode="independent_persistent")
    assert done["attachment"]["mode"] == "independent_persistent"
    assert not lab.attach(disk, "files01", mode="independent_persistent")["changed"]


def test_a_mode_that_cannot_be_had_leaves_it_detached(lab, disk, name):
    before = lab.disks()
    assert "is running" in lab.refused(disk, mode="independent_persistent", check_mode=True)
    assert "is running" in lab.refused(disk, mode="independent_persistent")
    assert lab.disks() == before
    assert not in_vcenter(lab, name)[0].consumerId


def test_it_is_not_shared(lab, disk):
    assert "cannot be attached with sharing" in lab.refused(disk, sharing="multiwriter")


# Snapshots


def test_a_snapshot_is_made_once_and_deleted_once(lab, disk, name):
    wanted = {"path": disk, "child": "before the update"}
    assert lab.modules.vmdk_snapshot(check_mode=True, **wanted)["changed"]
    assert snapshots_in_vcenter(lab, name) == []
    done = lab.modules.vmdk_snapshot(**wanted)
    assert done["changed"]
    assert snapshots_in_vcenter(lab, name) == ["before the update"]
    (shown,) = done["disk"]["first_class"]["snapshots"]
    assert shown["description"] == "before the update"
    assert not lab.modules.vmdk_snapshot(**wanted)["changed"]

    assert lab.modules.vmdk_snapshot(state="absent", check_mode=True, **wanted)["changed"]
    gone = lab.modules.vmdk_snapshot(state="absent", **wanted)
    assert gone["removed"] == ["before the update"]
    assert snapshots_in_vcenter(lab, name) == []
    assert not lab.modules.vmdk_snapshot(state="absent", **wanted)["changed"]


def test_a_revert_brings_the_content_back(lab, disk, name):
    lab.attach(disk)
    path = in_vcenter(lab, name)[0].backing.filePath
    key = key_of(lab, path)
    lab.vcenter.guest_write("web01", key, MIB, b"first" * 100)
    lab.modules.vmdk_snapshot(path=disk, child="first")
    lab.vcenter.guest_write("web01", key, MIB, b"later" * 100)
    told = lab.modules.fail("vmdk_snapshot", path=disk, child="first", state="reverted")["msg"]
    assert "web01 has it attached" in told
    lab.detach(disk)
    assert lab.modules.vmdk_snapshot(path=disk, child="first", state="reverted", check_mode=True)[
        "changed"
    ]
    before = lab.modules.vmdk_info(path=disk, digest=True)["disk"]["digest"]
    assert lab.modules.vmdk_snapshot(path=disk, child="first", state="reverted")["changed"]
    after = lab.modules.vmdk_info(path=disk, digest=True)["disk"]["digest"]
    content = bytearray(4 * MIB)
    content[MIB : MIB + 500] = b"first" * 100
    assert after == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert before != after


def test_snapshots_that_are_not_plain_are_not_guessed(lab, disk):
    lab.modules.vmdk_snapshot(path=disk, child="one")
    lab.modules.vmdk_snapshot(path=disk, child="two")
    told = lab.modules.fail("vmdk_snapshot", path=disk, state="absent")["msg"]
    assert "several snapshots" in told
    assert "one (" in told
    assert "two (" in told
    known = lab.modules.vmdk_info(path=disk)["disk"]["first_class"]["snapshots"][0]["id"]
    assert lab.modules.vmdk_snapshot(path=disk, child=known, state="absent")["removed"] == ["one"]
    none = lab.modules.fail("vmdk_snapshot", path=disk, child="nothing", state="reverted")["msg"]
    assert "no such snapshot" in none
    assert "option child" in lab.modules.fail("vmdk_snapshot", path=disk)["msg"]


def test_other_managed_disks_have_no_snapshots_of_their_own(lab):
    told = lab.modules.fail("vmdk_snapshot", path=lab.new_disk(), child="one")["msg"]
    assert "only first-class disks" in told
    rebase = lab.modules.fail(
        "vmdk_snapshot", path=lab.new_disk(), state="rebased", parent="x.vmdk"
    )
    assert "parent" in rebase["msg"]


# Content, and faults


def test_its_content_is_cloned_like_that_of_any_disk(lab, disk, name, tmp_path):
    lab.attach(disk)
    key = key_of(lab, in_vcenter(lab, name)[0].backing.filePath)
    lab.vcenter.guest_write("web01", key, 12345, b"hello")
    lab.detach(disk)
    lab.modules.vmdk_clone(src=disk, dest=tmp_path / "copy.img")
    content = bytearray(4 * MIB)
    content[12345:12350] = b"hello"
    assert (tmp_path / "copy.img").read_bytes() == content


@pytest.mark.parametrize(
    "method",
    ["CreateDisk_Task", "ListVStorageObject", "RetrieveVStorageObject", "RetrieveSnapshotInfo"],
)
@pytest.mark.parametrize("rule", [{"fault": "HostCommunication"}, {"drop": True}])
def test_a_call_that_fails_once_is_told_and_the_next_run_finishes(lab, disk, name, method, rule):
    other = f"{disk} b"
    lab.vcenter.rule(method, nth=1, times=2, **rule)
    result = lab.modules.attempt("vmdk_create", path=other, size="4MiB")
    assert "Traceback" not in json.dumps(result)
    lab.vcenter.clear_rules()
    lab.modules.vmdk_create(path=other, size="4MiB")
    assert len(in_vcenter(lab, f"{name} b")) == 1


@pytest.mark.parametrize("method", ["ReconfigVM_Task", "AttachDisk_Task"])
def test_killed_on_the_way_the_next_run_finishes(lab, disk, name, method):
    """After the controller, before the disk; and while vCenter attaches the disk."""
    path, before = in_vcenter(lab, name)[0].backing.filePath, lab.disks()
    place = {"controller": {"type": "paravirtual", "bus": 3}}
    lab.vcenter.forget_calls()
    lab.vcenter.rule(method, nth=1, delay=1.5)
    kill_when(lambda: lab.vcenter.calls().get(method), path=disk, vm="web01", **place)
    lab.vcenter.clear_rules()
    lab.vcenter.wait_until_idle()
    assert lab.disks() in (before, {**before, path: (3, 0, "persistent")})
    lab.attach(disk, **place)
    assert lab.disks() == {**before, path: (3, 0, "persistent")}
    assert len(in_vcenter(lab, name)[0].consumerId) == 1


@pytest.mark.parametrize("method", ["AttachDisk_Task", "DetachDisk_Task", "ReconfigVM_Task"])
def test_attaching_that_fails_once_is_finished_by_the_next_run(lab, disk, name, method):
    path, before = in_vcenter(lab, name)[0].backing.filePath, lab.disks()
    place = {"controller": {"type": "paravirtual", "bus": 3}}
    for rule in ({"fault": "HostCommunication"}, {"drop": True}):
        lab.vcenter.rule(method, nth=1, times=1, **rule)
        lab.modules.attempt("vmdk_attach", path=disk, vm="web01", **place)
        lab.modules.attempt("vmdk_attach", path=disk, vm="web01", state="absent")
        lab.vcenter.clear_rules()
        lab.attach(disk, **place)
        assert lab.disks() == {**before, path: (3, 0, "persistent")}
        lab.detach(disk)
        assert lab.disks() == before
