# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option `datacenter` where two of them have the same name, in different folders."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import ObjectNotFound
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.rest import Rest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.session import (
    open_session,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.paths import (
    find_place,
    parse_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.inventory import (
    Selection,
    select,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.named_vm import (
    find_vm,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.tags import Tags

DISK = parse_disk("[datastore1] web01/web01.vmdk")


@pytest.fixture
def within(trusted, target):
    """Sessions with that option. There is /DC0, where everything is, and an empty /branch/DC0."""
    with trusted.connect() as client:
        root = client.RetrieveContent().rootFolder
        root.CreateFolder("branch").CreateDatacenter("DC0")

    def log_in(datacenter):
        return open_session(dataclasses.replace(target, datacenter=datacenter))

    return log_in


@pytest.mark.parametrize("datacenter", [None, "DC0", "/DC0", "/DC0/"])
def test_a_name_means_all_of_that_name_and_a_path_one(within, datacenter):
    with within(datacenter) as session:
        assert find_place(session, DISK).datacenter_path == "DC0"
        assert find_vm(session, "web01").name == "web01"


@pytest.mark.parametrize("datacenter", ["/branch/DC0", "branch/DC0"])
def test_what_is_elsewhere_is_not_found(within, datacenter):
    with within(datacenter) as session:
        with pytest.raises(ObjectNotFound, match="no datastore datastore1"):
            find_place(session, DISK)
        with pytest.raises(ObjectNotFound, match="no virtual machine web01"):
            find_vm(session, "web01")
        assert chosen(session) == set()


def test_a_folder_that_is_not_there_has_no_datacenter(within):
    with within("/nowhere/DC0") as session:
        for look in (lambda: find_place(session, DISK), lambda: find_vm(session, "web01")):
            with pytest.raises(ObjectNotFound, match="there is no datacenter /nowhere/DC0"):
                look()


def test_a_selection_is_of_one_datacenter(within):
    with within("/DC0") as session:
        assert chosen(session) == {"web01"}
    with within("DC0") as session, pytest.raises(ObjectNotFound, match="several datacenters"):
        chosen(session)


def chosen(session):
    with Rest(session.vcenter) as rest:
        found = select(session, Selection(names=("web*",)), Tags(rest))
        return {each.name for each in found}
