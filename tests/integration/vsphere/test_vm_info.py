# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_vm_info, as a playbook meets it."""

from __future__ import annotations

import json
import resource
import time

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.list_vms import list_vms
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import (
    session as sessions,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.inventory import (
    Selection,
)

MACHINE = {
    "name",
    "moref",
    "instance_uuid",
    "uuid",
    "power_state",
    "template",
    "datacenter",
    "cluster",
    "host",
    "folder",
    "resource_pool",
    "custom_attributes",
    "tags",
}
REPORT = {"hw_version", "change_tracking", "snapshots", "concerns", "disks"}
DISK = {
    "key",
    "name",
    "label",
    "path",
    "size",
    "mode",
    "uuid",
    "change_tracking",
    "protectable",
    "concern",
}


@pytest.fixture
def web01(trusted):
    """The VM, by pyVmomi itself."""
    with trusted.connect() as client:
        content = client.content
        view = content.viewManager.CreateContainerView(
            content.rootFolder, [vim.VirtualMachine], True
        )
        yield {vm.name: vm for vm in view.view}["web01"]


def disks_of(vm):
    return [
        each for each in vm.config.hardware.device if isinstance(each, vim.vm.device.VirtualDisk)
    ]


def change(vm, **settings):
    """Reconfigure it."""
    WaitForTask(vm.ReconfigVM_Task(vim.vm.ConfigSpec(**settings)))


def edit(disk, **settings):
    """A change of a disk's backing."""
    for name, value in settings.items():
        setattr(disk.backing, name, value)
    return vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)


def only(result):
    (found,) = result["vms"]
    return found


def test_what_is_told_is_what_there_is(modules, web01):
    found = only(modules.vmdk_vm_info(name="web01"))
    assert set(found) == MACHINE | REPORT
    assert [set(disk) for disk in found["disks"]] == [DISK, DISK]
    assert (found["moref"], found["tags"]) == (web01._moId, ["backup:gold"])
    assert [(disk["key"], disk["path"], disk["size"], disk["uuid"]) for disk in found["disks"]] == [
        (disk.key, disk.backing.fileName, disk.capacityInBytes, disk.backing.uuid)
        for disk in disks_of(web01)
    ]
    assert [disk["name"] for disk in found["disks"]] == ["scsi0:0", "scsi0:1"]


def test_nothing_changes(modules, trusted):
    result = modules.vmdk_vm_info(check_mode=True)
    assert result["changed"] is False
    assert "diff" not in result
    assert len(result["vms"]) == 5


def test_without_disks_and_tags(modules, trusted):
    result = modules.vmdk_vm_info(gather_disks=False, gather_tags=False)
    assert {frozenset(found) for found in result["vms"]} == {frozenset(MACHINE - {"tags"})}
    assert not any("rest" in method.lower() for method in trusted.calls())


def test_an_empty_variable_says_nothing(modules, web01, monkeypatch):
    for name in ("DATACENTER", "PROXY_HOST", "PROXY_PORT"):
        monkeypatch.setenv(f"VMWARE_{name}", "")
    assert only(modules.vmdk_vm_info(name="web01"))


def test_an_independent_disk_is_unprotected(modules, web01):
    change(web01, deviceChange=[edit(disks_of(web01)[1], diskMode="independent_persistent")])
    first, second = only(modules.vmdk_vm_info(name="web01"))["disks"]
    assert (first["protectable"], first["concern"]) == (True, None)
    assert (second["protectable"], second["mode"]) == (False, "independent_persistent")
    assert "Independent: snapshots leave it out" in second["concern"]


def test_change_tracking_is_told_of_machine_and_disk(modules, web01):
    change(web01, changeTrackingEnabled=True)
    found = only(modules.vmdk_vm_info(name="web01"))
    assert found["change_tracking"] is True
    assert [disk["change_tracking"] for disk in found["disks"]] == [False, False]
    assert "not yet in effect" in found["disks"][0]["concern"]
    WaitForTask(web01.CreateSnapshot_Task("a", "", False, False))
    found = only(modules.vmdk_vm_info(name="web01"))
    assert [disk["change_tracking"] for disk in found["disks"]] == [True, True]
    assert found["snapshots"] == 1


def test_disks_that_need_consolidation_are_unprotected(modules, web01, trusted):
    WaitForTask(web01.CreateSnapshot_Task("a", "", False, False))
    trusted.mode(needs_consolidation=True)
    WaitForTask(web01.RemoveAllSnapshots_Task(consolidate=True))
    found = only(modules.vmdk_vm_info(name="web01"))
    assert any("need consolidation" in text for text in found["concerns"])
    assert [disk["protectable"] for disk in found["disks"]] == [False, False]


@pytest.mark.parametrize("given", [42, "42", "4?", 1.5, "*"])
def test_numbers_select_as_their_texts(modules, trusted, given):
    with trusted.connect() as client:
        manager = client.content.customFieldsManager
        field = manager.AddCustomFieldDef("cost center", vim.VirtualMachine)
        view = client.content.viewManager.CreateContainerView(
            client.content.rootFolder, [vim.VirtualMachine], True
        )
        by_name = {vm.name: vm for vm in view.view}
        value = "1.5" if given == 1.5 else "42"
        manager.SetField(by_name["db01"], field.key, value)
    found = only(modules.vmdk_vm_info(custom_attribute={"cost center": given}))
    assert found["custom_attributes"] == {"owner": "shop", "cost center": value}


@pytest.mark.parametrize(
    ("given", "told"),
    [(True, "True (bool)"), (None, "nothing (NoneType)"), (["shop"], "['shop'] (list)")],
    ids=str,
)
def test_what_is_no_text_selects_nothing_by_chance(modules, trusted, given, told):
    result = modules.fail("vmdk_vm_info", custom_attribute={"owner": given})
    assert result["error"]["kind"] == "InvalidRequest"
    assert "custom_attribute must give a text for the attribute owner" in result["msg"]
    assert told in result["msg"]
    assert "in quotes" in result["msg"]


def test_hostname_may_be_a_url(modules, trusted):
    url = f"https://{trusted.hostname}:{trusted.port}/ui/"
    assert len(modules.vmdk_vm_info(hostname=url)["vms"]) == 5


def test_options_are_those_of_vmware(modules, trusted, monkeypatch):
    for name in trusted.environment():
        if name.startswith("VMWARE_"):
            monkeypatch.delenv(name)
    given = {"hostname": trusted.hostname, "port": trusted.port, "gather_disks": False}
    found = modules.vmdk_vm_info(
        **given, admin=trusted.username, pwd=trusted.password, datacenter_name="DC0"
    )
    assert len(found["vms"]) == 5


def test_what_is_missing_is_told(modules, trusted, monkeypatch):
    monkeypatch.delenv("VMWARE_USER")
    result = modules.fail("vmdk_vm_info")
    assert result["error"]["kind"] == "InvalidRequest"
    assert "username" in result["msg"]
    assert "VMWARE_USER" in result["msg"]


def test_a_wrong_password_is_one_clear_message_without_it(modules, trusted):
    result = modules.fail("vmdk_vm_info", password="hunter2-is-wrong")
    assert result["error"]["kind"] == "AccessDenied"
    assert "wrong user name or password" in result["msg"]
    assert "hunter2-is-wrong" not in json.dumps(result)


def test_an_untrusted_certificate_is_one_clear_message(modules, trusted, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE")
    result = modules.fail("vmdk_vm_info")
    assert result["error"]["kind"] == "UntrustedCertificate"
    assert "SHA-256 fingerprint" in result["msg"]


def test_the_password_is_in_no_result(modules, trusted):
    assert trusted.password not in json.dumps(modules.vmdk_vm_info(password=trusted.password))


def test_weather_does_not_show(trusted, monkeypatch):
    """Whatever is asked of the inventory may be lost once, with or without the session."""
    monkeypatch.setattr(sessions, "SECOND_TRY", 0)
    target = VCenter(trusted.hostname, trusted.username, trusted.password, port=trusted.port)
    well = list_vms(target, Selection(folders=("vm",)))
    counts = trusted.calls()
    for method in ("RetrievePropertiesEx", "CreateContainerView", "Fetch"):
        for nth in range(1, counts[method] + 1):
            for trouble in ({"drop": True}, {"drop": "after"}, {"expire_session": True}):
                trusted.clear_rules()
                trusted.rule(method, nth=nth, **trouble)
                assert list_vms(target, Selection(folders=("vm",))) == well, (method, nth, trouble)


@pytest.mark.slow
def test_ten_thousand_machines(start_vcenter, monkeypatch):
    big = start_vcenter("--vms", "10000")
    for name, value in big.environment().items():
        monkeypatch.setenv(name, value)
    target = VCenter(big.hostname, big.username, big.password, port=big.port)
    by_name = Selection(names=("many0123?",))
    assert len(list_vms(target, by_name)["vms"]) == 10
    assert sum(big.calls().values()) < 50
    big.forget_calls()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # KiB
    started = time.monotonic()
    selection = Selection(clusters=("DC0_C0",), tags=("backup:gold",))
    found = list_vms(target, selection)["vms"]
    seconds = time.monotonic() - started
    gold = {f"many{number:05}" for number in range(10, 10000, 10)} | {"web01", "db01"}
    assert {vm["name"] for vm in found} == gold
    assert all(vm["disks"] and vm["cluster"] == "DC0_C0" for vm in found)
    assert sum(big.calls().values()) < 50
    assert seconds < 300  # one or two alone; the machine may be busy
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 << 10
