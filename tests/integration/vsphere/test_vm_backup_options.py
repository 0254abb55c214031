# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users may ask for when they back up a machine, and what they are told."""

# pylint: disable=unused-import
from __future__ import annotations

import json
from pathlib import Path

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    repository,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.vm_backups import (
    backed_up_vcenter,  # noqa: F401
    left_in,
    shelf,  # noqa: F401
    transports,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.clients import Client, wait

MIB = 1 << 20


def names(result):
    return [disk["name"] for disk in result["restore_point"]["disks"]]


def texts(result):
    """Of its warnings."""
    return json.dumps(result.get("warnings", []))


def change(shelf, vm, **spec):  # noqa: F811
    with shelf.vcenter.connect() as service:
        machine = Client(shelf.vcenter, service).machine(vm)
        wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(**spec)))


@pytest.fixture
def independent(shelf):  # noqa: F811
    """web01, whose second disk no snapshot holds."""

    def turn(mode):
        with shelf.vcenter.connect() as service:
            machine = Client(shelf.vcenter, service).machine("web01")
            wait(machine.PowerOffVM_Task())
            disk = next(each for each in machine.config.hardware.device if each.key == 2001)
            disk.backing.diskMode = mode
            edit = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
            wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit])))
            wait(machine.PowerOnVM_Task())

    turn("independent_persistent")
    yield "web01"
    turn("persistent")


def test_check_mode_makes_nothing(shelf):  # noqa: F811
    shelf.vcenter.forget_calls()
    result = shelf.back_up("web01", check_mode=True)

    assert result["changed"]
    assert "restore_point" not in result
    first, second = result["plan"]["disks"]
    assert (first["name"], first["method"], first["transport"]) == ("scsi0:0", "full", "nfc")
    assert "datastore: hosts lock the files" in first["transport_reason"]
    assert second["label"] == "Hard disk 2"
    assert not {"CreateSnapshot_Task", "ReconfigVM_Task"} & shelf.vcenter.calls().keys()
    assert shelf.opened.points() == []
    assert left_in(shelf.vcenter) == []


def test_a_point_of_that_name_or_young_enough_will_do(shelf):  # noqa: F811
    first = shelf.back_up("web01", name="before-upgrade")
    shelf.vcenter.forget_calls()
    again = shelf.back_up("web01", name="before-upgrade")
    young = shelf.back_up("web01", max_age="12h")

    assert first["changed"]
    assert not again["changed"]
    assert not young["changed"]
    assert again["restore_point"] == young["restore_point"] == first["restore_point"]
    assert "CreateSnapshot_Task" not in shelf.vcenter.calls()


def test_check_mode_knows_whether_somebody_has_worked_on_a_template(shelf):  # noqa: F811
    foreseen = []
    for note in ("", "mended"):
        shelf.back_up("debian-template")
        if note:
            change(shelf, "debian-template", annotation=note)
        (disk,) = shelf.back_up("debian-template", check_mode=True)["plan"]["disks"]
        foreseen.append((disk["method"], disk["transport"]))

    assert foreseen == [("changed", "datastore"), ("incremental", "datastore")]


def test_a_point_of_some_disks_is_none_of_the_machine(shelf):  # noqa: F811
    one, young = {"disks": ["scsi0:1"]}, {"max_age": "12h"}
    shelf.back_up("db01", **one)
    whole = shelf.back_up("db01", **young)

    assert whole["changed"]
    assert names(whole) == ["scsi0:0", "scsi0:1", "scsi0:2"]
    assert not shelf.back_up("db01", **young)["changed"]
    assert not shelf.back_up("db01", **one, **young)["changed"]


def test_a_machine_answers_to_its_moref_and_its_uuid(shelf):  # noqa: F811
    source = shelf.back_up("web01")["restore_point"]["source"]
    for text in (source["moref"], source["instance_uuid"], "web/web01"):
        assert not shelf.back_up(text, max_age="1h")["changed"]


def test_another_setting_makes_another_point(shelf):  # noqa: F811
    first = shelf.back_up("web01")
    change(shelf, "web01", annotation="moved to the new rack")
    second = shelf.back_up("web01")

    assert second["changed"]
    assert second["restore_point"]["configuration"]
    settings = [shelf.document(each).configuration["settings"] for each in (first, second)]
    assert [each.get("annotation") for each in settings] == [None, "moved to the new rack"]
    assert shelf.document(second).configuration["tags"] == ["backup:gold"]


def test_files_of_the_machine_are_kept_without_its_secrets(shelf):  # noqa: F811
    folder = Path(shelf.vcenter.datastore_dir) / "datastore1" / "web01"
    firmware = bytes(range(256)) * 16
    (folder / "web01.nvram").write_bytes(firmware)
    vmx = folder / "web01.vmx"
    before = vmx.read_bytes()
    vmx.write_text('guestinfo.userdata = "s3cr3t"\nnumvcpus = "2"\n.encoding = "UTF-8"\n')
    nvram = vim.option.OptionValue(key="nvram", value="web01.nvram")
    change(shelf, "web01", extraConfig=[nvram])
    result = shelf.back_up("web01")
    again = shelf.back_up("web01")
    vmx.write_bytes(before)
    change(shelf, "web01", extraConfig=[vim.option.OptionValue(key="nvram", value="")])

    document = shelf.document(result)
    assert document.nvram == firmware
    assert document.vmx == '.encoding = "UTF-8"\nnumvcpus = "2"\n'
    assert document.left_out == ()
    assert b"s3cr3t" not in shelf.content(result, "configuration")
    assert not again["changed"]


def test_what_cannot_be_had_of_a_machine_is_told(shelf):  # noqa: F811
    shelf.vcenter.rule("GET /rest", times=0, status=500)
    result = shelf.back_up("web01")
    assert shelf.document(result).configuration["tags"] == []
    assert "the restore point lacks its tags" in texts(result)


def test_disks_are_chosen_by_name_or_label(shelf):  # noqa: F811
    assert names(shelf.back_up("db01", disks=["scsi0:1"])) == ["scsi0:1"]
    without = shelf.back_up("db01", exclude_disks=["Hard disk 1", "scsi0:2"])
    assert names(without) == ["scsi0:1"]
    assert "partial" not in without["restore_point"]["source"]

    assert "has no disk 'scsi0:7', which disks names" in shelf.refused("db01", disks=["scsi0:7"])
    none = shelf.refused("db01", disks=["scsi0:1"], exclude_disks=["Hard disk 2"])
    assert "no disk of the virtual machine is left to back up" in none


def test_a_disk_that_no_snapshot_holds_is_an_error_unless_it_is_allowed(
    shelf,  # noqa: F811
    independent,
):
    said = shelf.refused(independent)
    assert "1 of 2 disks cannot be backed up" in said
    assert "scsi0:1: Independent: snapshots leave it out." in said
    assert "exclude_disks" in said
    assert shelf.opened.points() == []

    partial = shelf.back_up(independent, allow_partial=True)
    assert names(partial) == ["scsi0:0"]
    assert partial["restore_point"]["source"]["partial"]["scsi0:1"].startswith("Independent")
    assert "the restore point lacks scsi0:1" in texts(partial)
    assert names(shelf.back_up(independent, exclude_disks=["scsi0:1"], max_age="1h")) == ["scsi0:0"]
    assert left_in(shelf.vcenter) == []


def test_a_disk_that_fails_is_left_out_only_if_that_is_allowed(shelf):  # noqa: F811
    nfc = {"transport": ["nfc"]}
    shelf.vcenter.rule("GET /nfc", nth=2, status=500)
    said = shelf.refused("web01", **nfc)
    assert shelf.opened.points() == []
    assert left_in(shelf.vcenter) == []

    shelf.vcenter.rule("GET /nfc", nth=2, status=500)
    partial = shelf.back_up("web01", allow_partial=True, **nfc)
    assert len(names(partial)) == 1
    ((lost, why),) = partial["restore_point"]["source"]["partial"].items()
    assert lost not in names(partial)
    assert "500" in why
    assert "500" in said


def test_a_point_without_any_disk_is_none(shelf):  # noqa: F811
    shelf.vcenter.rule("GET /nfc", times=0, status=500)
    said = shelf.refused("web01", transport=["nfc"], allow_partial=True)
    assert "none of its disks could be backed up" in said
    assert shelf.opened.points() == []
    assert left_in(shelf.vcenter) == []


def test_another_transport_goes_on_where_one_fails(shelf):  # noqa: F811
    shelf.vcenter.mode(lock_live_flat=False)
    shelf.vcenter.rule("GET /folder", nth=14, times=0, status=409)
    result = shelf.back_up("web01", transport=["datastore", "nfc"])

    assert "nfc" in transports(result)
    assert "passed over datastore: " in result["transfer"]["transport_reason"]
    shelf.vcenter.clear_rules()
    assert shelf.holds_what_the_guest_has("web01", result)


def test_the_level_that_was_reached_is_told(shelf):  # noqa: F811
    shelf.vcenter.mode(quiesce_fault="FilesystemQuiesceFault")
    options = {"quiesce": "filesystem"}
    said = shelf.refused("web01", **options)
    assert "no snapshot is as consistent as was asked for" in said

    result = shelf.back_up("web01", quiesce_least="crash_consistent", **options)
    assert result["restore_point"]["source"]["quiesce"] == "crash_consistent"
    assert "the snapshot is no better than crash_consistent" in texts(result)
    assert left_in(shelf.vcenter) == []


@pytest.fixture(params=["without tools", "suspended"])
def restless(shelf, request):  # noqa: F811
    """web01, with a guest that vSphere cannot bring to rest; it takes the snapshot all the same."""
    tools = ("VirtualMachine", "web01", "guest.toolsRunningStatus")
    with shelf.vcenter.connect() as service:
        machine = Client(shelf.vcenter, service).machine("web01")
        if request.param == "suspended":
            wait(machine.SuspendVM_Task())
        else:
            shelf.vcenter.set_property(*tools, "guestToolsNotRunning", "xsd:string")
        yield "web01"
        if request.param == "suspended":
            wait(machine.PowerOnVM_Task())
        else:
            shelf.vcenter.set_property(*tools, "guestToolsRunning", "xsd:string")


def test_what_vsphere_does_not_quiesce_is_not_called_quiesced(shelf, restless):  # noqa: F811
    said = shelf.refused(restless, quiesce="application")
    assert "no snapshot is as consistent as was asked for" in said
    options = {"quiesce": "application", "quiesce_least": "crash_consistent"}
    source = shelf.back_up(restless, **options)["restore_point"]["source"]
    assert source["quiesce"] == "crash_consistent"
    assert "filesystem: " in source["quiesce_reason"]
    assert left_in(shelf.vcenter) == []


def test_a_point_stays_though_its_snapshot_does(shelf, monkeypatch):  # noqa: F811
    shelf.vcenter.rule("RemoveSnapshot_Task", fault="NoPermission", times=0)
    result = shelf.back_up("web01")
    assert result["changed"]
    assert len(result["leftovers"]) == 1
    assert "the restore point is whole, but" in texts(result)
    assert len(left_in(shelf.vcenter)) == 2  # the snapshot, and the journal that knows of it
    shelf.vcenter.clear_rules()

    again = shelf.back_up("web01")
    assert not again["changed"]
    assert "was removed" in texts(again)
    assert left_in(shelf.vcenter) == []


def test_other_peoples_snapshots_stay(shelf):  # noqa: F811
    with shelf.vcenter.connect() as service:
        machine = Client(shelf.vcenter, service).machine("web01")
        wait(machine.CreateSnapshot_Task("of somebody else", "", False, False))
    result = shelf.back_up("web01", transport=["nfc"])

    assert shelf.holds_what_the_guest_has("web01", result)
    assert [list(each) for each in left_in(shelf.vcenter)] != []
    with shelf.vcenter.connect() as service:
        machine = Client(shelf.vcenter, service).machine("web01")
        (node,) = machine.snapshot.rootSnapshotList
        assert (node.name, node.childSnapshotList) == ("of somebody else", [])
        wait(machine.RemoveAllSnapshots_Task())


def test_an_unknown_machine_is_told(shelf):  # noqa: F811
    assert "there is no virtual machine nobody" in shelf.refused("nobody")


def test_path_and_vm_exclude_each_other(shelf):  # noqa: F811
    assert "mutually exclusive" in shelf.refused("web01", path="/srv/web01.vmdk")
    assert "is running and has it" in shelf.refused(None, path="[datastore1] web01/web01.vmdk")
