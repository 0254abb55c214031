# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_attach against a simulated vCenter."""

from __future__ import annotations

import json

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.managed.attach_disk import (
    AttachRequest,
    plan_detached,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    open_session,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks import (
    attach as attaching,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.attaching import kill_after

PVSCSI = vim.vm.device.ParaVirtualSCSIController


def warnings(result):
    return " ".join(json.dumps(each) for each in result.get("warnings", ()))


def test_a_disk_is_attached_once_and_detached_once(lab):
    path = lab.new_disk()
    before, files = lab.disks(), lab.files()

    foretold = lab.attach(path, check_mode=True)
    assert foretold["changed"]
    assert lab.disks() == before
    done = lab.attach(path)
    assert done["changed"]
    assert done["diff"]["before"] == {"attachment": None}
    assert foretold["attachment"] == {**done["attachment"], "key": None}
    assert lab.disks() == {**before, path: (0, 2, "persistent")}
    again = lab.attach(path)
    assert not again["changed"]
    assert again["attachment"] == done["attachment"]

    assert lab.detach(path, check_mode=True)["changed"]
    assert path in lab.disks()
    gone = lab.detach(path)
    assert gone["changed"]
    assert gone["diff"]["after"] == {"attachment": None}
    assert gone["diff"]["before"]["attachment"] == done["attachment"]
    assert lab.disks() == before
    assert not lab.detach(path)["changed"]
    assert lab.files() == files


def test_the_result_says_what_the_guest_sees(lab):
    path = lab.new_disk()
    digits = lab.uuid_of(path)
    attachment = lab.attach(path)["attachment"]
    assert attachment["by_id"] == [
        f"/dev/disk/by-id/wwn-0x{digits}",
        f"/dev/disk/by-id/scsi-3{digits}",
    ]
    assert attachment["name"] == "scsi0:2"
    assert attachment["controller"] == {"type": "paravirtual", "bus": 0}
    assert attachment["vm"] == "web01"
    assert attachment["moref"] == lab.vm("web01")._moId
    assert attachment["instance_uuid"] == lab.vm("web01").config.instanceUuid
    assert attachment["enable_uuid"] is False
    lab.set_option("web01", "disk.EnableUUID", "TRUE")
    try:
        assert lab.attach(path)["attachment"]["enable_uuid"] is True
    finally:
        lab.set_option("web01", "disk.EnableUUID", "FALSE")
    assert lab.attach(path)["attachment"]["enable_uuid"] is False


def test_the_mode_and_the_place_that_were_asked_for(lab):
    path = lab.new_disk()
    wanted = {
        "mode": "independent_persistent",
        "controller": {"type": "lsilogicsas", "bus": 2},
        "unit": 9,
    }
    assert lab.attach(path, **wanted)["attachment"]["name"] == "scsi2:9"
    assert lab.disks()[path] == (2, 9, "independent_persistent")
    assert lab.controllers()[2] is vim.vm.device.VirtualLsiLogicSASController
    assert not lab.attach(path, **wanted)["changed"]
    assert not lab.attach(path)["changed"]
    message = lab.refused(path, unit=3)
    assert "attached to web01 already" in message
    assert "scsi2:9 (lsilogicsas)" in message


def test_the_mode_changes_while_the_machine_is_off_only(lab):
    path = lab.new_disk()
    lab.attach(path)
    assert "web01 is running" in lab.refused(path, mode="independent_persistent")
    lab.power("web01", on=False)
    done = lab.attach(path, mode="independent_persistent")
    assert done["changed"]
    assert done["diff"]["before"]["attachment"]["mode"] == "persistent"
    assert done["diff"]["after"]["attachment"]["mode"] == "independent_persistent"
    assert lab.disks()[path][2] == "independent_persistent"
    assert not lab.attach(path, mode="independent_persistent")["changed"]


def test_slots_run_full_one_controller_after_the_other(lab):
    vm = lab.vm("files01")
    paths = [lab.new_disk() for _number in range(16)]
    names = [lab.attach(path, "files01")["attachment"]["name"] for path in paths]
    assert names[:6] == [f"scsi0:{unit}" for unit in range(1, 7)]
    assert names[6:14] == [f"scsi0:{unit}" for unit in range(8, 16)]
    assert names[14:] == ["scsi1:0", "scsi1:1"]
    assert lab.controllers("files01") == {0: PVSCSI, 1: PVSCSI}
    assert len({device.key for device in vm.config.hardware.device}) == len(
        vm.config.hardware.device
    )
    message = lab.refused(lab.new_disk(), "files01", controller={"bus": 0})
    assert "no free slot there on scsi0" in message


def test_a_disk_of_another_machine_is_refused(lab):
    path = next(iter(lab.disks("db01")))
    before = lab.disks("web01")
    message = lab.refused(path, check_mode=True)
    assert f"db01 ({lab.vm('db01')._moId}) has it attached at scsi0:0" in message
    assert lab.refused(path, mode="independent_nonpersistent")
    assert lab.refused(path, sharing="multiwriter")
    assert lab.disks("web01") == before
    # Detaching looks at the named machine only.
    assert not lab.detach(path, "web01")["changed"]
    assert path in lab.disks("db01")


def test_machines_may_share_a_disk_if_all_of_them_say_so(lab):
    path = lab.new_disk()
    assert (
        lab.attach(path, "web01", sharing="multiwriter")["attachment"]["sharing"] == "multiwriter"
    )
    assert "in use" in lab.refused(path, "db01")
    assert lab.attach(path, "db01", sharing="multiwriter")["changed"]
    assert not lab.attach(path, "db01", sharing="multiwriter")["changed"]
    assert "sharing: multiwriter" in lab.refused(path, "db01", sharing="none")


def test_a_disk_that_snapshots_hold_stays(lab):
    path = lab.new_disk()
    lab.attach(path)
    lab.snapshot()
    assert path not in lab.disks()  # it is on a redo log now
    assert not lab.attach(path)["changed"]
    message = lab.refused(path, state="absent")
    assert "snapshots of web01 hold it, found before the update" in message
    lab.power("web01", on=False)
    assert "before the update" in lab.refused(path, mode="independent_persistent")
    lab.remove_snapshots()
    assert lab.detach(path)["changed"]


def test_what_snapshots_stand_on_can_only_be_looked_at(lab):
    path = lab.new_disk()
    lab.attach(path)
    lab.snapshot()
    message = lab.refused(path, "db01")
    assert f"web01 ({lab.vm('web01')._moId}) has a disk that stands on it" in message
    assert "independent_nonpersistent" in message
    looked = lab.attach(path, "db01", mode="independent_nonpersistent")
    assert looked["attachment"]["mode"] == "independent_nonpersistent"
    assert not lab.attach(path, "db01", mode="independent_nonpersistent")["changed"]
    assert lab.detach(path, "db01")["changed"]


def test_several_may_look_at_a_frozen_disk(lab):
    path = lab.new_disk()
    lab.attach(path)
    lab.snapshot()
    for vm in ("files01", "db01"):  # one is off, one runs
        assert lab.attach(path, vm, mode="independent_nonpersistent")["changed"]
        assert not lab.attach(path, vm, mode="independent_nonpersistent")["changed"]
    for vm in ("files01", "db01"):
        assert lab.detach(path, vm)["changed"]
        assert not lab.detach(path, vm)["changed"]


def test_a_machine_with_snapshots_is_told_of(lab):
    lab.snapshot()
    path = lab.new_disk()
    assert "going back to one of them detaches" in warnings(lab.attach(path, check_mode=True))
    assert "going back to one of them detaches" in warnings(lab.attach(path))
    assert "has snapshots" in lab.refused(lab.new_disk(), sharing="multiwriter")


def test_an_independent_disk_goes_in_spite_of_snapshots(lab):
    path = lab.new_disk()
    lab.attach(path, mode="independent_persistent")
    lab.snapshot()
    gone = lab.detach(path)
    assert gone["changed"]
    assert "attaches it again" in warnings(gone)


def test_another_disk_in_the_place_of_one_that_snapshots_hold_is_not_taken_for_it(lab):
    """Keys and slots are given again."""
    old, new = lab.new_disk(), lab.new_disk()
    independent = {"vm": "files01", "mode": "independent_persistent"}
    lab.attach(old, **independent)
    lab.snapshot("files01")
    lab.detach(old, vm="files01")
    placed = lab.attach(new, **independent)["attachment"]

    assert not lab.detach(old, vm="files01")["changed"]
    again = lab.attach(new, **independent)
    assert (again["changed"], again["attachment"]) == (False, placed)
    lab.remove_snapshots("files01")


@pytest.mark.parametrize("how", ["name", "path", "whole path", "uuid", "moref"])
def test_the_machine_by_any_name(lab, how):
    vm = lab.vm("web01")
    text = {
        "name": "web01",
        "path": "web/web01",
        "whole path": "/DC0/vm/web/web01",
        "uuid": vm.config.instanceUuid,
        "moref": vm._moId,
    }[how]
    path = lab.new_disk()
    assert lab.attach(path, text)["attachment"]["moref"] == vm._moId
    assert path in lab.disks()


def test_two_machines_of_one_name_are_both_told(lab):
    other, path = lab.vm("files01"), lab.new_disk()
    lab.wait(other.Rename_Task("web01"))
    try:
        _refuse_to_guess(lab, path)
    finally:
        lab.wait(other.Rename_Task("files01"))


def _refuse_to_guess(lab, path):
    message = lab.refused(path, "web01")
    assert "several virtual machines answer to web01" in message
    assert "/DC0/vm/web/web01 (vm-" in message
    assert "/DC0/vm/web01 (vm-" in message
    assert lab.attach(path, "web/web01")["changed"]


@pytest.mark.parametrize("name", ["web02", "vm-999999", "web/files01", "nowhere/web01"])
def test_a_machine_that_is_not_there(lab, name):
    assert f"there is no virtual machine {name}" in lab.refused(lab.new_disk(), name)


def test_the_datacenter_limits_where_machines_are_looked_for(lab):
    path = lab.new_disk()
    assert lab.attach(path, datacenter="DC0", check_mode=True)["changed"]
    assert "no datacenter elsewhere" in lab.refused(path, datacenter="elsewhere")


def test_a_disk_that_is_not_there(lab):
    message = lab.refused("[datastore1] web01/nothing.vmdk")
    assert "[datastore1] web01/nothing.vmdk" in message
    assert not lab.detach("[datastore1] web01/nothing.vmdk")["changed"]
    assert "no datastore nothing" in lab.refused("[nothing] web01/web01.vmdk")


@pytest.mark.parametrize(
    "path",
    ["/srv/vm/web01.vmdk", "[datastore1] web01", "[datastore1] x/x-flat.vmdk", "web01@latest"],
)
def test_what_is_no_managed_disk(lab, path):
    assert "disk reference" in lab.refused(path)


def test_a_frozen_disk_on_nfs_is_warned_of(lab):
    path = lab.new_disk("nfs1")
    assert "warnings" not in lab.attach(path, check_mode=True)
    assert "ESXi 8.0 U2b" in warnings(lab.attach(path, mode="independent_nonpersistent"))


def test_a_frozen_disk_on_vsan_is_warned_of(lab):
    path = lab.new_disk("vsanDatastore")
    told = lab.attach(path, mode="independent_nonpersistent", check_mode=True)
    assert "KB 306343" in warnings(told)


def test_an_encrypted_disk_is_warned_of(lab):
    path = lab.new_disk()
    lab.add_to_descriptor(path, 'encryptionKeys = "vmware:key/list/(pair/(fqid/<VMWARE-NULL>/x))"')
    told = warnings(lab.attach(path, check_mode=True))
    assert "Cryptographer.AddDisk" in told


def test_a_datastore_that_the_host_does_not_have(lab, tmp_path):
    lab.new_datastore_at_another_host(tmp_path, "web01")
    message = lab.refused("[lonely] data.vmdk", check_mode=True)
    assert "the host of web01, DC0_C0_H" in message
    assert "cannot reach the datastore" in message


def test_every_call_that_fails_once_leaves_nothing_half(lab):
    """Whatever fails: the disk is attached or not, and the next run makes it so."""
    path = lab.new_disk()
    lab.vcenter.forget_calls()
    lab.attach(path)
    calls = [name for name in lab.vcenter.calls() if name not in ("Login", "Logout")]
    lab.detach(path)
    before, keys = lab.disks(), lab.keys("web01")
    for method in calls:
        for rule in ({"fault": "HostCommunication"}, {"drop": True}):
            lab.vcenter.rule(method, nth=1, times=2, **rule)
            result = lab.modules.attempt("vmdk_attach", path=path, vm="web01")
            assert "Traceback" not in json.dumps(result), (method, rule, result)
            lab.vcenter.clear_rules()
            assert lab.disks() in (before, {**before, path: (0, 2, "persistent")}), (method, rule)
            lab.attach(path)
            assert lab.disks() == {**before, path: (0, 2, "persistent")}, (method, rule)
            lab.tidy("web01", keys)


def test_a_session_that_expires_on_the_way_is_no_matter(lab):
    path = lab.new_disk()
    lab.vcenter.rule("ReconfigVM_Task", nth=1, expire_session=True)
    assert lab.attach(path)["changed"]


@pytest.mark.parametrize("number", range(4))
def test_killed_on_the_way_the_next_run_finishes(lab, number):
    path = lab.new_disk()
    before = lab.disks()
    lab.vcenter.rule("ReconfigVM_Task", nth=1, delay=0.5)
    kill_after(0.5 + 0.25 * number, path=path, vm="web01")
    lab.vcenter.clear_rules()
    lab.vcenter.wait_until_idle()
    assert lab.disks() in (before, {**before, path: (0, 2, "persistent")})
    lab.attach(path)
    assert lab.disks() == {**before, path: (0, 2, "persistent")}


def test_another_program_that_takes_the_slot_is_no_matter(lab):
    path = lab.new_disk()
    lab.vcenter.rule("ReconfigVM_Task", nth=1, fault="ConcurrentAccess")
    assert lab.attach(path)["changed"]
    assert path in lab.disks()


def test_a_file_operation_is_never_sent(lab, monkeypatch):
    """Were one to slip into a change, it would not reach vSphere."""
    path = lab.new_disk()
    lab.attach(path)
    files = lab.files()
    target = VCenter(
        lab.vcenter.hostname, lab.vcenter.username, lab.vcenter.password, port=lab.vcenter.port
    )
    change = attaching._change

    def destroying(*arguments):
        changed = change(*arguments)
        changed.fileOperation = "destroy"
        return changed

    monkeypatch.setattr(attaching, "_change", destroying)
    lab.vcenter.forget_calls()
    with open_session(target) as session:
        plan = plan_detached(session, AttachRequest(path, "web01"))
        with pytest.raises(InvalidRequest, match="must not touch files"):
            plan.run(check_mode=False)
    assert "ReconfigVM_Task" not in lab.vcenter.calls()
    assert path in lab.disks()
    assert lab.files() == files


def test_the_password_is_nowhere(lab):
    result = lab.modules.attempt("vmdk_attach", path="[datastore1] no.vmdk", vm="web01")
    assert lab.vcenter.password not in json.dumps(result)
