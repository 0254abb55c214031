# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Virtual machines are chosen by where they are, and what they are called and tagged."""

from __future__ import annotations

import dataclasses
import functools

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.rest import Rest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    open_session,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory import (
    inventory,
    places,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.inventory import (
    Selection,
    select,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.tags import Tags

ALL = {"web01", "db01", "files01", "debian-template", "proxy01"}


@pytest.fixture
def choose(session):
    """choose(names=("web*",)) → the names of the VMs."""
    with Rest(session.vcenter) as rest:
        tags = Tags(rest)

        def chosen(**selection):
            found = [one.name for one in select(session, Selection(**selection), tags)]
            assert len(found) == len(set(found))
            return set(found)

        yield chosen


@pytest.fixture
def world(trusted):
    """The inventory, as pyVmomi itself sees it: {name: VirtualMachine}."""
    with trusted.connect() as client:
        content = client.content
        view = content.viewManager.CreateContainerView(
            content.rootFolder, [vim.VirtualMachine], True
        )
        yield {vm.name: vm for vm in view.view}


CASES = [
    ({}, ALL),
    ({"names": ("web01",)}, {"web01"}),
    ({"names": ("*01",)}, {"web01", "db01", "files01", "proxy01"}),
    ({"names": ("db*", "debian*")}, {"db01", "debian-template"}),
    ({"names": ("WEB01",)}, set()),
    ({"clusters": ("DC0_C0",)}, ALL),
    ({"folders": ("web",)}, {"web01"}),
    ({"folders": ("/DC0/vm/web", "databases")}, {"web01", "db01"}),
    ({"folders": ("vm",)}, ALL),
    ({"resource_pools": ("production",)}, {"web01", "db01"}),
    ({"tags": ("gold",)}, {"web01", "db01"}),
    ({"tags": ("backup:silver",)}, {"files01"}),
    ({"tags": ("backup:*",)}, {"web01", "db01", "files01"}),
    ({"attributes": {"owner": "shop"}}, {"web01", "db01"}),
    ({"attributes": {"owner": "*"}}, {"web01", "db01", "files01", "proxy01"}),
    ({"attributes": {"owner": "*o*"}}, {"web01", "db01", "files01"}),
    ({"power_state": "poweredOff"}, {"files01", "debian-template"}),
    ({"template": True}, {"debian-template"}),
    ({"template": False}, ALL - {"debian-template"}),
    ({"datastores": ("datastore1",)}, ALL),
    ({"datastores": ("nfs1",)}, set()),
    ({"tags": ("gold",), "folders": ("web",)}, {"web01"}),
    ({"tags": ("gold",), "names": ("d*",), "power_state": "poweredOn"}, {"db01"}),
    ({"tags": ("silver",), "folders": ("web",)}, set()),
]


def test_selections(choose):
    for selection, expected in CASES:
        assert choose(**selection) == expected, selection


def test_by_host(choose, world):
    host = world["web01"].runtime.host.name
    assert choose(hosts=(host,)) == {
        name for name, vm in world.items() if vm.runtime.host.name == host
    }


def test_by_id(choose, world):
    vm = world["db01"]
    for text in (vm._moId, vm.config.instanceUuid, vm.config.uuid):
        assert choose(names=(text,)) == {"db01"}


@pytest.mark.parametrize(
    ("selection", "reason"),
    [
        ({"clusters": ("DC0_C9",)}, "no cluster 'DC0_C9'.*one of: DC0_C0"),
        ({"folders": ("wbe",)}, "no folder 'wbe'"),
        ({"resource_pools": ("production", "tset")}, "no resource pool 'tset'"),
        ({"datastores": ("datastore2",)}, "no datastore 'datastore2'.*nfs1"),
        ({"tags": ("gold", "bronze")}, "no tag 'bronze'"),
        ({"attributes": {"Owner": "shop"}}, "no custom attribute 'Owner'.*owner"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_typing_mistake_is_no_empty_selection(choose, selection, reason):
    with pytest.raises(errors.ObjectNotFound, match=reason):
        choose(**selection)


def test_what_a_chosen_one_is(session, world):
    vm = world["web01"]
    with Rest(session.vcenter) as rest:
        (found,) = select(session, Selection(names=("web01",)), Tags(rest))
    told = dataclasses.asdict(dataclasses.replace(found, ref=None))
    assert found.moref == vm._moId
    assert told == {
        "ref": None,
        "name": "web01",
        "instance_uuid": vm.config.instanceUuid,
        "uuid": vm.config.uuid,
        "power_state": "poweredOn",
        "template": False,
        "datacenter": "DC0",
        "cluster": "DC0_C0",
        "host": vm.runtime.host.name,
        "folder": "/DC0/vm/web",
        "resource_pool": "production",
        "attributes": {"owner": "shop"},
    }


@pytest.fixture
def vapp(world, monkeypatch):
    """shop01 in the vApp `shop`, in the folder `web`. As vSphere has it, and the simulator has not,
    such a machine has no parent and is no child of a folder."""
    web01 = world["web01"]
    spec = vim.vm.ConfigSpec(
        name="shop01",
        guestId="otherGuest",
        numCPUs=1,
        memoryMB=128,
        files=vim.vm.FileInfo(vmPathName="[datastore1]"),
    )
    resources = web01.resourcePool.config
    app = web01.resourcePool.CreateVApp("shop", resources, vim.vApp.VAppConfigSpec(), web01.parent)
    WaitForTask(app.CreateChildVM_Task(spec, None))
    (shop01,) = app.vm

    def rows(found):
        for ref, values in found:
            if ref._moId == shop01._moId:
                values.pop("parent", None)
            if "childEntity" in values:
                values["childEntity"] = [
                    each for each in values["childEntity"] if each._moId != shop01._moId
                ]
            yield ref, values

    for module, name in ((inventory, "collect"), (places, "collect_kinds")):
        real = getattr(module, name)
        monkeypatch.setattr(module, name, functools.partial(_changed, real, rows))


def _changed(real, change, *asked, **more):
    return change(real(*asked, **more))


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"folders": ("web",)}, {"web01", "shop01"}),
        ({"folders": ("databases",)}, {"db01"}),
        ({"resource_pools": ("shop",)}, {"shop01"}),
        ({"resource_pools": ("production",)}, {"web01", "db01", "shop01"}),
        ({}, ALL | {"shop01"}),
    ],
)
def test_machines_of_vapps_are_in_the_vapps_folder_and_pool(choose, vapp, selection, expected):
    assert choose(**selection) == expected


def test_the_folder_of_a_machine_in_a_vapp_is_the_vapps(session, vapp):
    (found,) = select(session, Selection(names=("shop01",)), None)
    assert (found.folder, found.resource_pool) == ("/DC0/vm/web", "shop")


def test_the_datacenter_must_be_there(target):
    elsewhere = dataclasses.replace(target, datacenter="DC7")
    with (
        open_session(elsewhere) as session,
        pytest.raises(errors.ObjectNotFound, match="no datacenter 'DC7'"),
    ):
        list(select(session, Selection(), Tags(Rest(elsewhere))))


def test_a_name_with_a_slash_is_found_as_users_see_it(choose, world):
    task = world["files01"].Rename_Task("a%2fb")
    while task.info.state not in ("success", "error"):
        pass
    assert choose(names=("a/b",)) == {"a/b"}
