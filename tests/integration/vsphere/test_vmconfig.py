# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration of a VM as it is recorded."""

from __future__ import annotations

import copy
import json

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.compare import (
    differences,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.plain import (
    from_plain,
    to_plain,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.record import record
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.furnished import (
    PASS,
    SECRETS,
    place,
)


def test_a_record_is_plain_json(there):
    session, tags, vm = there

    document = record(session, vm, tags=tags)

    assert json.loads(json.dumps(document)) == document


def test_a_record_says_what_an_operator_asks_for(there):
    session, tags, vm = there

    document = record(session, vm, tags=tags)

    assert document["name"] == "web01"
    assert document["settings"]["firmware"] == "efi"
    assert document["settings"]["bootOptions"]["efiSecureBootEnabled"] is True
    assert document["files"]["nvram"] == "[datastore1] web01/web01.nvram"
    assert document["attributes"] == {"owner": "shop"}
    assert [label.rpartition(":")[2] for label in document["tags"]] == ["gold"]
    assert {"VM Network", "DC0_DVPG0", "datastore1"} <= set(document["names"].values())
    assert document["slots"] == {"2000": "scsi0:0", "2001": "scsi0:1"}


def test_secrets_are_named_and_not_recorded(there):
    session, tags, vm = there

    document = record(session, vm, tags=tags)

    assert document["secrets_left_out"] == SECRETS
    assert "s3cr3t" not in json.dumps(document)
    assert "cGFzc3dvcmQ=" not in json.dumps(document)
    assert PASS not in json.dumps(document)
    assert document["extra_config"]["disk.EnableUUID"] == "TRUE"
    assert not {"nvram", "scsi0:0.ctkEnabled"} & document["extra_config"].keys()


def test_a_snapshot_is_recorded_as_it_was(there):
    session, tags, vm = there
    taken = wait(session, vm.CreateSnapshot_Task("s", "", False, False))
    wait(session, vm.ReconfigVM_Task(vim().vm.ConfigSpec(memoryMB=2048)))

    assert record(session, vm, tags=tags, snapshot=taken)["memory_mb"] == 1024
    assert record(session, vm, tags=tags)["memory_mb"] == 2048


def test_what_nobody_wanted_is_found(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)
    changed = copy.deepcopy(document)
    changed["memory_mb"] = 4
    changed["extra_config"].pop("disk.EnableUUID")
    next(each for each in changed["devices"] if each["key"] == 2000)["capacityInKB"] = 1

    unwanted = [
        each.path
        for each in differences(document, changed, place(session, vm))
        if each.intended is None
    ]

    assert unwanted == [
        "devices.VirtualDisk ParaVirtualSCSIController0:0.capacityInKB",
        "extra_config.disk.EnableUUID",
        "memory_mb",
    ]


def test_data_objects_come_back_as_they_were(there):
    vm = there[2]

    for device in vm.config.hardware.device:
        plain = to_plain(device)
        assert to_plain(from_plain(json.loads(json.dumps(plain)))) == without_references(plain)


def without_references(value):
    if isinstance(value, list):
        return [without_references(each) for each in value]
    if isinstance(value, dict):
        return {
            name: without_references(each)
            for name, each in value.items()
            if not (isinstance(each, dict) and "_ref" in each)
        }
    return value


def test_a_type_that_is_not_known():
    with pytest.raises(InvalidRequest, match=r"vim\.vm\.device\.FromTheFuture"):
        from_plain({"_type": "vim.vm.device.FromTheFuture"})
