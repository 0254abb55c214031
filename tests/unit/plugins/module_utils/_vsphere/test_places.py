# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and paths in an inventory."""

from __future__ import annotations

import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import ObjectNotFound
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.names import (
    plain,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.places import (
    Place,
    Places,
    matcher,
)

TREE = [  # id, kind, name, parent, members
    ("root", "Folder", "Datacenters", None, ()),
    ("europe", "Folder", "europe", "root", ()),
    ("dc1", "Datacenter", "DC1", "europe", ()),
    ("vm", "Folder", "vm", "dc1", ("vm-1",)),
    ("prod", "Folder", "prod", "vm", ("vm-2",)),
    ("web", "Folder", "web%2fshop", "prod", ("vm-3", "vm-4")),
    ("hosts", "Folder", "host", "dc1", ()),
    ("c1", "ClusterComputeResource", "C1", "hosts", ()),
    ("h1", "HostSystem", "esx1", "c1", ("vm-1", "vm-2")),
    ("h2", "HostSystem", "esx2", "c1", ("vm-3",)),
    ("lone", "ComputeResource", "esx9", "hosts", ()),
    ("h9", "HostSystem", "esx9", "lone", ("vm-4",)),
    ("pool", "ResourcePool", "Resources", "lone", ("vm-4",)),
    # vApps are in a pool and in a folder; those within another in that one only
    ("shop", "VirtualApp", "shop", "pool", ("vm-5",), "prod"),
    ("tier", "VirtualApp", "tier", "shop", ("vm-6",)),
    ("quota", "ResourcePool", "quota", "tier", ("vm-7",)),
    ("racks", "Folder", "prod", "hosts", ()),  # of hosts, and called as one of VMs
    ("h3", "HostSystem", "esx3", "racks", ("vm-8",)),
]


@pytest.fixture
def places():
    def place(moref, *rest):
        return Place(types.SimpleNamespace(_moId=moref), *rest)

    return Places((place(*entry) for entry in TREE), "vc.example.com")


def names(found):
    return [place.name for place in found]


def test_a_path_is_without_the_root(places):
    assert places.path("prod") == "/europe/DC1/vm/prod"


def test_what_is_beneath_a_folder_is_in_it(places):
    assert places.machines(places.find("folder", ["web*"])) == {"vm-3", "vm-4"}


def test_what_is_in_the_vapps_of_a_folder_is_in_it(places):
    found = places.machines(places.find("folder", ["prod"]))
    assert found == {"vm-2", "vm-3", "vm-4", "vm-5", "vm-6", "vm-7"}


def test_what_is_beneath_a_vapp_is_in_it(places):
    found = places.machines(places.find("resource_pool", ["shop"]))
    assert found == {"vm-5", "vm-6", "vm-7"}


@pytest.mark.parametrize(
    ("moref", "folder"),
    [("web", "web"), ("shop", "prod"), ("quota", "prod"), ("pool", None), ("h1", None)],
)
def test_the_folder_of_a_place(places, moref, folder):
    assert places.folder(moref) == folder


def test_a_cluster_has_the_machines_of_its_hosts(places):
    assert places.machines(places.find("cluster", ["C1"])) == {"vm-1", "vm-2", "vm-3"}


def test_a_host_alone_is_in_no_cluster(places):
    assert places.above("h9", "cluster") is None
    assert places.above("h9", "datacenter").name == "DC1"


@pytest.mark.parametrize(
    "pattern", ["web/shop", "web*", "*/prod/*", "/europe/DC1/vm/prod/web%2fshop"]
)
def test_a_folder_is_found_by_name_and_path(places, pattern):
    assert names(places.find("folder", [pattern])) == ["web%2fshop"]


def test_upper_and_lower_case_differ(places):
    with pytest.raises(ObjectNotFound):
        places.find("cluster", ["c1"])


def test_a_name_that_is_not_there_is_told_with_those_that_are(places):
    with pytest.raises(
        ObjectNotFound, match=r"vc.example.com: there is no host 'esx4'.*one of: esx1, esx2, esx3"
    ):
        places.find("host", ["esx1", "esx4"])


@pytest.mark.parametrize(
    ("pattern", "text", "fits"),
    [
        ("web*", "web01", True),
        ("web*", "my web01", False),
        ("web?", "web1", True),
        ("web?", "web", False),
        ("[old] web", "[old] web", True),
        ("[old] web", "o web", False),
        ("a.c", "abc", False),
        ("*", "two\nlines", True),
    ],
)
def test_patterns(pattern, text, fits):
    assert matcher(pattern)(text) is fits


def test_names_are_as_users_see_them():
    assert plain("a%2Fb%5cc%25d%20e") == "a/b\\c%d%20e"
