# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is there when it starts, seen with plain pyVmomi and with e2fsprogs."""

from __future__ import annotations

import shutil
import subprocess
import time

import pytest

pytest.importorskip("pyVmomi")

from pyVim.task import WaitForTask
from pyVmomi import vim, vmodl

from ansible_collections.vdisk.lifecycle.tests.simulator.images import Images

MIB = 1 << 20


@pytest.fixture
def look(start_vcenter):
    """look(*arguments) → (vcenter, ServiceInstance)"""
    clients = []

    def look(*arguments):
        vcenter = start_vcenter(*arguments)
        clients.append(vcenter.connect())
        return vcenter, clients[-1].__enter__()

    yield look
    for client in clients:
        client.__exit__(None, None, None)


def every(client, kind):
    content = client.RetrieveContent()
    view = content.viewManager.CreateContainerView(content.rootFolder, [kind], True)
    return {each.name: each for each in view.view}


def disks(machine):
    return [
        each
        for each in machine.config.hardware.device
        if isinstance(each, vim.vm.device.VirtualDisk)
    ]


class TestMachines:
    def test_keys_labels_units_sizes_and_ids_are_as_vsphere_gives_them(self, look):
        _other, client = look()
        first, second, third = disks(every(client, vim.VirtualMachine)["db01"])
        assert [each.key for each in (first, second, third)] == [2000, 2001, 2002]
        assert [each.deviceInfo.label for each in (first, second, third)] == [
            "Hard disk 1",
            "Hard disk 2",
            "Hard disk 3",
        ]
        assert [each.unitNumber for each in (first, second, third)] == [0, 1, 2]
        assert [each.capacityInBytes for each in (first, second, third)] == [
            64 * MIB,
            48 * MIB,
            32 * MIB,
        ]
        assert second.backing.uuid.startswith("6000C29")
        assert second.backing.fileName == "[datastore1] db01/db01_1.vmdk"

    def test_there_are_machines_on_and_off_and_a_template(self, look):
        _other, client = look()
        machines = every(client, vim.VirtualMachine)
        assert machines["web01"].runtime.powerState == "poweredOn"
        assert machines["files01"].runtime.powerState == "poweredOff"
        assert machines["debian-template"].config.template

    def test_where_they_are(self, look):
        _other, client = look()
        web01 = every(client, vim.VirtualMachine)["web01"]
        assert web01.parent.name == "web"
        assert web01.resourcePool.name == "production"
        assert isinstance(web01.runtime.host.parent, vim.ClusterComputeResource)
        assert [each.value for each in web01.customValue] == ["shop"]

    @pytest.mark.parametrize(
        ("storage", "datastore", "kind"),
        [("vmfs", "datastore1", "VMFS"), ("nfs", "nfs1", "NFS"), ("vsan", "vsanDatastore", "vsan")],
    )
    def test_their_disks_lie_on_the_storage_asked_for(self, look, storage, datastore, kind):
        vcenter, client = look("--storage", storage)
        web01 = every(client, vim.VirtualMachine)["web01"]
        assert [(each.name, each.summary.type) for each in web01.datastore] == [(datastore, kind)]
        image = Images(vcenter.datastore_dir).open(disks(web01)[0].backing.fileName)
        same = image.read(0, 64 * MIB) == vcenter.guest_read("web01", 2000, 0, 64 * MIB)
        assert same

    def test_their_names_and_ids_are_the_same_each_time(self, look):
        one, other = (every(look()[1], vim.VirtualMachine)["web01"] for _other in range(2))
        assert disks(one)[0].backing.uuid == disks(other)[0].backing.uuid


def test_any_property_can_be_set_behind_the_clients_backs(look):
    vcenter, client = look()
    vcenter.set_property("Datastore", "nfs1", "summary.freeSpace", 4096, "xsd:long")
    vcenter.set_property(
        "VirtualMachine", "web01", "runtime.consolidationNeeded", "true", "xsd:boolean"
    )
    assert every(client, vim.Datastore)["nfs1"].summary.freeSpace == 4096
    assert every(client, vim.VirtualMachine)["web01"].runtime.consolidationNeeded


class TestContent:
    @pytest.mark.skipif(shutil.which("e2fsck") is None, reason="needs e2fsprogs")
    @pytest.mark.parametrize(("vm", "key"), [("web01", 2000), ("db01", 2002), ("files01", 2000)])
    def test_the_disks_have_sound_file_systems(self, vcenter, tmp_path, vm, key):
        image = tmp_path / "disk"
        size = {2000: 64, 2002: 32}[key] * MIB
        image.write_bytes(vcenter.guest_read(vm, key, 0, size))
        subprocess.run(["e2fsck", "-f", "-n", image], check=True, capture_output=True)

    @pytest.mark.skipif(shutil.which("debugfs") is None, reason="needs e2fsprogs")
    def test_the_files_say_whose_they_are(self, vcenter, tmp_path):
        image = tmp_path / "disk"
        image.write_bytes(vcenter.guest_read("web01", 2000, 0, 64 * MIB))
        shown = subprocess.run(
            ["debugfs", "-R", "cat /etc/hostname", image], check=True, capture_output=True
        )
        assert shown.stdout == b"web01\n"

    def test_they_are_thin(self, vcenter):
        image = Images(vcenter.datastore_dir).open("[datastore1] web01/web01.vmdk")
        assert 0 < len(image.allocated()) * 65536 < 32 * MIB


class TestTags:
    def test_tags_are_where_the_world_put_them(self, vcenter):
        import base64
        import http.client
        import json
        import ssl

        tls = ssl.create_default_context(cafile=vcenter.ca_file)
        connection = http.client.HTTPSConnection(vcenter.hostname, vcenter.port, context=tls)

        def ask(verb, path, body=None, **headers):
            connection.request(verb, f"/rest/com/vmware/cis/{path}", body, headers)
            return json.loads(connection.getresponse().read() or "{}").get("value")

        basic = base64.b64encode(f"{vcenter.username}:{vcenter.password}".encode()).decode()
        session = {"vmware-api-session-id": ask("POST", "session", Authorization=f"Basic {basic}")}
        names = {
            ask("GET", f"tagging/tag/id:{each}", **session)["name"]: each
            for each in ask("GET", "tagging/tag", **session)
        }
        action = f"tagging/tag-association/id:{names['gold']}?~action=list-attached-objects"
        tagged = {each["id"] for each in ask("POST", action, "{}", **session)}
        with vcenter.connect() as client:
            machines = every(client, vim.VirtualMachine)
        assert tagged == {machines["web01"]._moId, machines["db01"]._moId}


class TestTasks:
    def test_vcsims_tasks_on_disks_can_be_read(self, look):
        """Its tasks name a VirtualDiskManager as their entity, which pyVmomi refuses."""
        _other, client = look()
        content = client.RetrieveContent()
        [datacenter] = content.rootFolder.childEntity
        folder = content.fileManager.MakeDirectory("[datastore1] new", datacenter, True)
        assert folder is None
        task = content.fileManager.CopyDatastoreFile_Task(
            "[datastore1] web01/web01.vmx", datacenter, "[datastore1] new/copy", datacenter, True
        )
        WaitForTask(task)
        assert isinstance(task.info.entity, vim.ManagedEntity)

    def test_a_method_that_nobody_knows(self, look):
        _other, client = look()
        with pytest.raises((vmodl.fault.MethodNotFound, vmodl.fault.NotSupported)):
            client.content.perfManager.QueryPerfCounterByLevel(1)


@pytest.mark.slow
def test_ten_thousand_machines_are_there_soon_and_told_quickly(look):
    began = time.monotonic()
    vcenter, client = look("--vms", "10000")
    assert time.monotonic() - began < 600  # ten to twenty seconds alone
    content = client.RetrieveContent()
    view = content.viewManager.CreateContainerView(content.rootFolder, [vim.VirtualMachine], True)
    collector = vmodl.query.PropertyCollector
    spec = collector.FilterSpec(
        objectSet=[
            collector.ObjectSpec(
                obj=view,
                skip=True,
                selectSet=[
                    collector.TraversalSpec(type=vim.view.ContainerView, path="view", name="all")
                ],
            )
        ],
        propSet=[collector.PropertySpec(type=vim.VirtualMachine, pathSet=["name"])],
    )
    vcenter.forget_calls()
    answer = content.propertyCollector.RetrievePropertiesEx(
        [spec], collector.RetrieveOptions(maxObjects=1000)
    )
    names = {each.propSet[0].val for each in answer.objects}
    while answer.token:
        answer = content.propertyCollector.ContinueRetrievePropertiesEx(answer.token)
        names |= {each.propSet[0].val for each in answer.objects}
    assert len(names) == 10000
    assert sum(vcenter.calls().values()) == 10
