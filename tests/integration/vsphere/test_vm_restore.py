# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_restore makes new machines of restore points: their content, their settings, their place."""

from __future__ import annotations

import dataclasses
import json
import os

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DigestMismatch,
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.restore import filling
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.restore.restore_vm import (
    plan_restore_vm,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.restore.scene import (
    RestoreVmRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.descriptor import (
    Descriptor,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.restored import (
    NVRAM,
    UNFINISHED,
    kill,
    wait_until,
)


def restored(room, name, **options):
    return room.restore(restore_point=f"{name}@latest", new_name=f"{name}-new", **options)


def unwanted(result):
    return [each for each in result["differences"] if each["intended"] is None]


def cards(config):
    """(MAC address, key of the port group it is on or None) of each."""
    found = [each for each in config.hardware.device if hasattr(each, "macAddress")]
    return [
        (each.macAddress, getattr(getattr(each.backing, "port", None), "portgroupKey", None))
        for each in found
    ]


def disks_of(machine):
    devices = machine.config.hardware.device
    return [each for each in devices if isinstance(each, vim.vm.device.VirtualDisk)]


@pytest.mark.parametrize("road", ["datastore", "nfc"])
def test_a_new_machine_has_the_content_of_the_point(room, road):
    name = room.machine()
    content = room.back_up(name)
    room.scribble(name, "later")

    result = restored(room, name, transport=[road], verify=True)

    assert result["changed"]
    assert room.content(f"{name}-new") == content != room.content(name)
    assert result["transfer"]["transport"] == road
    assert result["vm"]["name"] == f"{name}-new"
    assert room.mark(f"{name}-new") is None
    assert os.listdir(os.environ["VDISK_STATE_DIR"]) == []


@pytest.mark.usefixtures("inside")
def test_a_new_machine_is_filled_by_this_host_where_it_can_attach_disks(room):
    name = room.machine()
    content = room.back_up(name)

    result = restored(room, name, verify=True)

    assert result["transfer"]["transport"] == "hotadd"
    assert room.content(f"{name}-new") == content
    assert len(room.disks("proxy01")) == 1


def test_the_second_run_finds_it_and_does_nothing(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    restored(room, name, transport=["datastore"])

    assert not restored(room, name)["changed"]

    room.scribble(f"{name}-new", "by its users")
    before = room.content(f"{name}-new")
    message = room.refused(restore_point=f"{name}@latest", new_name=f"{name}-new", force=True)
    assert "its disk scsi0:0 differs" in message
    assert room.content(f"{name}-new") == before


def test_a_name_that_is_free_is_that_of_a_new_machine_in_each_run(room):
    name = room.machine(sizes=(1,))
    content = room.back_up(name)
    options = {"restore_point": f"{name}@latest", "vm": f"{name}-new", "transport": ["datastore"]}

    assert room.restore(**options)["changed"]
    assert not room.restore(**options)["changed"]
    assert room.content(f"{name}-new") == content


def test_what_the_product_has_backed_up_while_the_guest_ran(room):
    name = room.machine()
    room.lab.wait(room.vm(name).PowerOnVM_Task())
    room.scribble(name, "running")
    content = room.content(name)
    made = room.lab.modules.vmdk_backup(vm=name, repository=room.url, quiesce="crash_consistent")
    room.scribble(name, "later")

    result = room.restore(
        restore_point=made["restore_point"]["id"], new_name=f"{name}-new", verify=True
    )

    assert room.content(f"{name}-new") == content != room.content(name)
    assert unwanted(result) == []


@pytest.mark.slow
def test_a_machine_goes_to_another_vcenter(room, start_vcenter):
    name = room.machine(sizes=(1,))
    content = room.back_up(name)
    other = start_vcenter()
    where = {each: getattr(other, each) for each in ("hostname", "port", "username", "password")}
    options = {"restore_point": f"{name}@latest", "vm": name, "validate_certs": False, **where}

    result = room.restore(**options)

    assert result["changed"]
    assert unwanted(result) == []
    with other.connect() as client:
        machine = client.content.searchIndex.FindByUuid(
            None, result["vm"]["instance_uuid"], True, True
        )
        (disk,) = disks_of(machine)
    assert [other.guest_read(name, disk.key, 0, len(content[0]))] == content
    assert not room.restore(**options)["changed"]


def test_where_disks_are_objects_another_transport_is_taken(room):
    name = room.machine(sizes=(1,))
    content = room.back_up(name)

    result = restored(room, name, datastore="vsanDatastore", transport=["nfc", "datastore"])

    assert result["transfer"]["transport"] == "nfc"
    assert room.content(f"{name}-new") == content

    room.lab.wait(room.vm(f"{name}-new").Destroy_Task())
    message = room.refused(
        restore_point=f"{name}@latest", new_name=f"{name}-new", datastore="vsanDatastore",
        transport=["datastore"],
    )  # fmt: skip
    assert "keeps disks as objects" in message
    assert room.vm(f"{name}-new") is None


def test_where_this_host_cannot_attach_disks_it_says_why(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)

    result = restored(room, name, transport=["hotadd", "datastore"])

    assert "passed over hotadd: " in result["transfer"]["transport_reason"]


@pytest.mark.parametrize("road", ["datastore", "nfc"])
def test_its_settings_are_the_recorded_ones(room, road):
    option = vim.option.OptionValue
    name = room.machine(
        sizes=(1,),
        annotation="the shop's first\nserver",
        firmware="efi",
        numCoresPerSocket=2,
        memoryHotAddEnabled=True,
        extraConfig=[option(key="disk.EnableUUID", value="TRUE"), option(key="x.token", value="s")],
        cpuAllocation=vim.ResourceAllocationInfo(
            reservation=500, limit=2000, shares=vim.SharesInfo(level="high", shares=4000)
        ),
    )
    room.back_up(name)

    result = restored(room, name, transport=[road])

    assert unwanted(result) == []
    assert "warnings" not in result
    assert {"name", "uuid", "instance_uuid"} <= {each["path"] for each in result["differences"]}
    assert set(result["not_restored"]) == {
        "x.token: it may hold a secret", "a device: it was in use"
    }  # fmt: skip
    old, new = room.vm(name).config, room.vm(f"{name}-new").config
    for field in ("annotation", "firmware", "memoryHotAddEnabled", "guestId"):
        assert getattr(new, field) == getattr(old, field), field
    assert (new.hardware.numCPU, new.hardware.memoryMB) == (2, 256)
    assert new.cpuAllocation.shares.shares == 4000
    assert new.uuid != old.uuid


def test_its_firmware_finds_its_variables(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)

    restored(room, name, transport=["datastore"])

    config = room.vm(f"{name}-new").config
    options = {each.key: each.value for each in config.extraConfig}
    folder = config.files.vmPathName.partition("] ")[2].rpartition("/")[0]
    path = os.path.join(room.vcenter.datastore_dir, "datastore1", folder, options["nvram"])
    with open(path, "rb") as file:
        assert file.read() == NVRAM


def test_it_is_the_original_again_where_that_is_gone(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    old = room.vm(name).config
    uuids = [disk.backing.uuid for disk in room.disks(name)]
    room.lab.wait(room.vm(name).Destroy_Task())

    result = room.restore(restore_point=f"{name}@latest", vm=name, transport=["datastore"])

    new = room.vm(name).config
    assert result["changed"]
    assert (new.uuid, new.instanceUuid) == (old.uuid, old.instanceUuid)
    assert [disk.backing.uuid for disk in room.disks(name)] == uuids
    assert cards(new) == cards(old)


def test_beside_the_original_it_is_another_one(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)

    restored(room, name, transport=["datastore"], network_map={"VM Network": "DC0_DVPG0"})

    old, new = room.vm(name).config, room.vm(f"{name}-new").config
    assert {old.uuid, old.instanceUuid}.isdisjoint({new.uuid, new.instanceUuid})
    assert {each[0] for each in cards(old)}.isdisjoint(each[0] for each in cards(new))
    group = next(each for each in room.lab.datacenter.network if each.name == "DC0_DVPG0")
    assert [each[1] for each in cards(new)] == [group.key]


def test_disks_of_one_name_go_to_other_datastores(room):
    name = room.machine(sizes=(2, 1), datastores=("datastore1", "nfs1"))
    content = room.back_up(name)

    restored(
        room, name, datastore_map={"datastore1": "nfs1", "nfs1": "datastore1"},
        transport=["datastore"],
    )  # fmt: skip

    paths = [disk.backing.fileName.partition("]")[0] for disk in room.disks(f"{name}-new")]
    assert paths == ["[nfs1", "[datastore1"]
    assert room.content(f"{name}-new") == content


def test_all_of_it_goes_to_one_datastore_and_another_place(room):
    name = room.machine(sizes=(1, 1), datastores=("datastore1", "nfs1"))
    content = room.back_up(name)

    result = restored(
        room, name, datastore="nfs1", folder="/DC0/vm/web", resource_pool="test",
        transport=["datastore"],
    )  # fmt: skip

    vm = room.vm(f"{name}-new")
    assert {disk.backing.datastore.name for disk in room.disks(f"{name}-new")} == {"nfs1"}
    assert (vm.parent.name, vm.resourcePool.name) == ("web", "test")
    assert result["vm"]["folder"] == "/DC0/vm/web"
    assert room.content(f"{name}-new") == content


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"datastore": "nowhere"}, "there is no datastore nowhere"),
        ({"folder": "nowhere"}, "there is no folder 'nowhere'"),
        ({"cluster": "nowhere"}, "there is no cluster 'nowhere'"),
        ({"network_map": {"VM Network": "nowhere"}}, "there is no network 'nowhere'"),
        ({"identity": "keep"}, "has the instance uuid"),
        ({"what": "disks"}, "there is no machine"),
        ({"delta": True}, "delta cannot be used together with new_name"),
    ],
    ids=["datastore", "folder", "cluster", "network", "identity", "what", "delta"],
)
def test_what_cannot_be_is_told_before_anything_is_made(room, options, told):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    room.vcenter.forget_calls()

    message = room.refused(restore_point=f"{name}@latest", new_name=f"{name}-new", **options)

    assert told in message
    assert "CreateVM_Task" not in room.vcenter.calls()


def test_check_mode_makes_nothing(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    files = room.files()

    result = restored(room, name, check_mode=True)

    assert result["changed"]
    assert result["diff"]["after"]["vm"] == f"{name}-new"
    assert room.vm(f"{name}-new") is None
    assert room.files() == files


def test_a_machine_with_empty_disks(room):
    name = room.machine(sizes=(2, 1))
    room.back_up(name)

    result = restored(room, name, what="configuration")

    assert room.content(f"{name}-new") == [bytes(2 << 20), bytes(1 << 20)]
    assert unwanted(result) == []
    assert not restored(room, name, what="configuration")["changed"]


def test_a_template_becomes_one(room):
    name = room.machine(sizes=(1,))
    room.vm(name).MarkAsTemplate()
    content = room.back_up(name)

    restored(room, name, transport=["datastore"])

    assert room.vm(f"{name}-new").config.template
    assert room.content(f"{name}-new") == content


def test_what_could_not_be_made_a_template_is_kept_and_becomes_one_later(room):
    name = room.machine(sizes=(1,))
    room.vm(name).MarkAsTemplate()
    content = room.back_up(name)
    room.vcenter.rule("MarkAsTemplate", fault="NoPermission")

    first = restored(room, name, transport=["datastore"])

    assert any(each.startswith("template: ") for each in first["not_restored"])
    assert "template" in {each["path"] for each in unwanted(first)}
    assert not room.vm(f"{name}-new").config.template
    assert room.content(f"{name}-new") == content

    second = restored(room, name, transport=["datastore"])

    assert second["changed"]
    assert unwanted(second) == []
    assert room.vm(f"{name}-new").config.template
    assert not restored(room, name, transport=["datastore"])["changed"]


def test_a_mark_that_another_has_set_meanwhile_stays(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    new = f"{name}-new"
    room.vcenter.forget_calls()
    room.vcenter.rule("PUT /folder", delay=2)
    process = room.start(restore_point=f"{name}@latest", new_name=new, transport=["datastore"])
    wait_until(lambda: "PUT /folder" in room.vcenter.calls())
    option = vim.option.OptionValue(key=UNFINISHED, value="another's")
    room.lab.wait(room.vm(new).ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))

    message = json.loads(process.stdout.read())["msg"]
    kill(process)

    assert "somebody has taken its mark away, or set another" in message
    assert room.mark(new) == "another's"


def test_a_machine_whose_name_vcenter_keeps_in_another_form_is_found_again(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    options = {"restore_point": f"{name}@latest", "transport": ["datastore"]}
    room.restore(new_name=f"{name}-new", **options)
    vm = room.vm(f"{name}-new")
    room.lab.wait(vm.Rename_Task(f"50%25 of {name}"))  # for "50% of", as a real vCenter does

    assert not room.restore(vm=vm._moId, **options)["changed"]


def test_what_cannot_be_filled_is_removed_again(room):
    name = room.machine(sizes=(1, 1))
    room.back_up(name)
    files = room.files()
    room.vcenter.rule("PUT /folder", nth=2, times=0, status=507)

    message = room.refused(
        restore_point=f"{name}@latest", new_name=f"{name}-new", transport=["datastore"]
    )

    assert "the datastore is full" in message
    assert room.vm(f"{name}-new") is None
    assert room.files() == files
    assert os.listdir(os.environ["VDISK_STATE_DIR"]) == []


def test_what_somebody_has_attached_to_it_meanwhile_stays_when_it_is_removed(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    theirs = room.lab.new_disk()
    room.vcenter.forget_calls()
    room.vcenter.rule("PUT /folder", times=0, delay=2, status=507)
    new = f"{name}-new"
    process = room.start(restore_point=f"{name}@latest", new_name=new, transport=["datastore"])
    wait_until(lambda: "PUT /folder" in room.vcenter.calls())
    room.lab.modules.vmdk_attach(path=theirs, vm=new)

    message = json.loads(process.stdout.read())["msg"]
    kill(process)

    assert f"What was made of {new} was removed" in message
    assert room.vm(new) is None
    assert theirs in {f"[datastore1] {os.path.basename(path)}" for path in room.files()}


def test_nothing_is_sent_into_a_disk_that_is_encrypted(room, access, monkeypatch):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    read_descriptor = filling.read_descriptor

    def encrypted(*arguments):
        text = read_descriptor(*arguments).to_bytes()
        return Descriptor(text + b'encryptionKeys="vmware:key/list/(pair/())"\n')

    monkeypatch.setattr(filling, "read_descriptor", encrypted)
    here = dataclasses.replace(access, repository=room.url)
    request = RestoreVmRequest(
        f"{name}@latest", here, new_name=f"{name}-new", transport=("datastore",)
    )
    room.vcenter.forget_calls()

    with pytest.raises(TransportUnavailable, match="is encrypted"):
        plan_restore_vm(request).run(check_mode=False)
    assert "PUT /folder" not in room.vcenter.calls()
    assert room.vm(f"{name}-new") is None


def test_what_could_not_be_verified_is_not_imported(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    room.vcenter.forget_calls()

    message = room.refused(
        restore_point=f"{name}@latest", new_name=f"{name}-new", datastore="vsanDatastore",
        transport=["nfc"], verify=True,
    )  # fmt: skip

    assert "nfc: its work could not be verified, as vsanDatastore keeps disks as objects" in message
    assert "ImportVApp" not in room.vcenter.calls()


def test_verify_finds_what_the_storage_has_not_kept(room, access, monkeypatch):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    upload, new = filling.upload, f"{name}-new"

    def spoiled(*arguments):
        done = upload(*arguments)
        room.vcenter.guest_write(new, room.disks(new)[0].key, 4096, b"something else")
        return done

    monkeypatch.setattr(filling, "upload", spoiled)
    here = dataclasses.replace(access, repository=room.url)
    request = RestoreVmRequest(
        f"{name}@latest", here, new_name=new, transport=("datastore",), verify=True
    )

    with pytest.raises(DigestMismatch, match="differs from the restore point after it was written"):
        plan_restore_vm(request).run(check_mode=False)
    assert room.vm(new) is None


def test_an_unfinished_one_of_another_host_is_left_alone(room):
    name = room.machine(sizes=(1,))
    room.back_up(name)
    mark = (
        '{"run": "20260101T000000-00000000", "host": "elsewhere", "point": "p", "made": true,'
        ' "disks": [], "tracking": false}'
    )
    option = vim.option.OptionValue(key=UNFINISHED, value=mark)
    theirs = room.machine(sizes=(1,), name=f"{name}-new", extraConfig=[option])

    message = room.refused(restore_point=f"{name}@latest", new_name=theirs)

    assert "a run on elsewhere has made it" in message
    assert room.vm(theirs) is not None


def test_a_point_of_a_disk_is_no_machine(room, tmp_path):
    disk = tmp_path / "data.img"
    disk.write_bytes(os.urandom(1 << 20))
    room.lab.modules.vmdk_backup(path=disk, repository=room.url)

    assert "not of a virtual machine" in room.refused(restore_point="data@latest", vm="data")


def test_one_disk_of_a_machine_goes_anywhere(room, tmp_path):
    name = room.machine(sizes=(2, 1))
    content = room.back_up(name)
    point = f"{name}@latest#scsi0:1"

    room.restore(restore_point=point, dest=tmp_path / "one.img")
    room.restore(restore_point=point, dest=tmp_path / "one.vmdk")
    room.restore(restore_point=point, dest=f"[nfs1] {name}.vmdk", verify=True)

    assert (tmp_path / "one.img").read_bytes() == content[1]
    flat = os.path.join(room.vcenter.datastore_dir, "nfs1", f"{name}-flat.vmdk")
    with open(flat, "rb") as file:
        assert file.read() == content[1]
