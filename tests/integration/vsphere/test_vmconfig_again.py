# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM made of a recorded configuration is the recorded one, but for what must differ."""

from __future__ import annotations

import json
import uuid

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    InvalidRequest,
    ObjectNotFound,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.compare import (
    differences,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.placement import (
    KEEP,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.plain import (
    from_plain,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.record import record
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.recreate import (
    missing,
    recreate,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.furnished import (
    MAC,
    SECRETS,
    disks,
    place,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import find_vm


def again(there, document, **more):
    session, tags, vm = there
    placement = place(session, vm, **more)
    made, told = recreate(session, document, placement, tags=tags)
    return made, record(session, made, tags=tags), placement, told


def test_it_is_the_same_again(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)

    _made, found, placement, told = again(there, json.loads(json.dumps(document)))

    different = differences(document, found, placement)
    assert [each for each in different if each.intended is None] == []
    assert {each.path for each in different} >= {"name", "uuid", "instance_uuid"}
    assert [each.partition(":")[0] for each in told] == SECRETS


def test_it_is_the_same_seen_by_pyvmomi(there):
    session, tags, vm = there

    made = again(there, record(session, vm, tags=tags))[0]

    for path in ("annotation", "firmware", "hardware.memoryMB", "hardware.numCPU", "guestId"):
        old, new = vm.config, made.config
        for name in path.split("."):
            old, new = getattr(old, name), getattr(new, name)
        assert old == new, path
    assert [each.capacityInKB for each in disks(made)] == [64 << 10, 32 << 10]
    assert made.config.bootOptions.bootOrder[0].deviceKey == disks(made)[0].key
    assert made.runtime.powerState == "poweredOff"
    assert disks(made)[0].backing.fileName != disks(vm)[0].backing.fileName


def test_new_identities(there):
    session, tags, vm = there

    made = again(there, record(session, vm, tags=tags))[0]

    assert made.config.uuid != vm.config.uuid
    assert made.config.instanceUuid != vm.config.instanceUuid
    assert MAC not in [getattr(each, "macAddress", None) for each in made.config.hardware.device]
    assert disks(made)[0].backing.uuid != disks(vm)[0].backing.uuid


@pytest.mark.parametrize(
    ("kept", "what", "option"),
    [
        ({"uuid": KEEP}, "instance uuid", "uuid: new"),
        ({"mac": KEEP}, f"MAC address {MAC}", "mac: new"),
    ],
    ids=["uuid", "mac"],
)
def test_a_kept_identity_beside_the_original_is_refused(there, kept, what, option):
    session, tags, vm = there
    document = record(session, vm, tags=tags)

    with pytest.raises(InvalidRequest) as caught:
        again(there, document, **kept)

    assert f"the virtual machine web01 ({vm._moId}) has the {what}" in str(caught.value)
    assert option in caught.value.hint
    with pytest.raises(KeyError):
        find_vm(session, "web01-restored")


def test_a_kept_bios_uuid_that_a_copy_has_is_refused(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)
    document["instance_uuid"] = str(uuid.uuid4())

    with pytest.raises(InvalidRequest, match=r"web01 .* has the BIOS uuid"):
        again(there, document, uuid=KEEP)


def test_a_kept_address_that_another_has_is_refused(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)
    other = find_vm(session, "files01")
    device = next(each for each in document["devices"] if each.get("macAddress") == MAC)
    device["macAddress"] = "00:50:56:3F:AB:CD"  # upper case, as some write them
    document["devices"] = [device]
    card = vim().vm.device.VirtualVmxnet3(
        key=-1,
        macAddress="00:50:56:3f:ab:cd",
        addressType="manual",
        backing=from_plain(device["backing"]),
    )
    change = vim().vm.device.VirtualDeviceSpec(operation="add", device=card)
    wait(session, other.ReconfigVM_Task(vim().vm.ConfigSpec(deviceChange=[change])))

    with pytest.raises(InvalidRequest, match=r"files01 .* has the MAC address"):
        again(there, document, mac=KEEP)


def test_kept_identities_when_the_original_is_gone(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)
    placement = place(session, vm, name=None, mac=KEEP, uuid=KEEP)
    if vm.runtime.powerState == "poweredOn":
        wait(session, vm.PowerOffVM_Task())
    wait(session, vm.Destroy_Task())

    made, _told = recreate(session, document, placement, tags=tags)

    assert made.config.instanceUuid == document["instance_uuid"]
    different = differences(document, record(session, made, tags=tags), placement)
    assert [each for each in different if each.intended is None] == []


def test_maps_of_networks_and_datastores(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)

    made, found, placement, _told = again(
        there,
        document,
        network_map={"VM Network": "DC0_DVPG0"},
        datastore_map={"datastore1": "nfs1"},
    )

    cards = [each for each in made.config.hardware.device if hasattr(each, "macAddress")]
    assert all(hasattr(each.backing, "port") for each in cards)
    assert disks(made)[0].backing.fileName.startswith("[nfs1] ")
    assert made.config.files.vmPathName.startswith("[nfs1] ")
    moved = [each for each in differences(document, found, placement) if "network" in each.path]
    assert [each.intended for each in moved] == ["another network was asked for"]


def test_a_network_that_is_not_there(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)
    document["names"] = {
        key: value.replace("VM Network", "gone") for key, value in document["names"].items()
    }

    with pytest.raises(ObjectNotFound, match="network_map"):
        again(there, document)


def test_options_of_an_appliance_come_along(there):
    session, tags, vm = there

    made = again(there, record(session, vm, tags=tags))[0]

    found = {each.id: each.value for each in made.config.vAppConfig.property}
    assert found == {"address": "10.0.0.7", "root": None}


def test_devices_of_a_host_are_told_of(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)
    document["devices"].append({"_type": "vim.vm.device.VirtualTPM", "key": 11000})

    assert any("BitLocker" in each for each in missing(document))
    assert any("BitLocker" in each for each in again(there, document)[3])


def test_an_unfinished_machine_is_removed(there, vcenter):
    session, tags, vm = there
    document = record(session, vm, tags=tags)
    vcenter.rule("SetField", fault="InvalidState")

    with pytest.raises(DiskError):
        again(there, document)

    with pytest.raises(KeyError):
        find_vm(session, "web01-restored")


def test_a_record_of_another_version(there):
    session, tags, vm = there

    with pytest.raises(UnsupportedDisk, match="another version"):
        again(there, {**record(session, vm, tags=tags), "format": 99})
