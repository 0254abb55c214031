# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A VM made of a recorded configuration is the recorded one, but for what must differ."""

from __future__ import annotations

import copy
import json

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
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.rest import Rest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.policies import (
    Policies,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.tags import Tags
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.compare import (
    differences,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.placement import (
    KEEP,
    Found,
    Placement,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.plain import (
    from_plain,
    to_plain,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.record import record
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.recreate import (
    missing,
    recreate,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.spec import (
    make_spec,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    find_vm,
    log_in,
)

ENCRYPTING = "VM Encryption Policy"
SECRETS = ["guestinfo.userdata", "shop.api_token", "vApp property root"]
PASS = "Appliance-root-1"
MAC = "00:50:56:3f:12:34"


@pytest.fixture
def there(vcenter):
    """(session, tags, vm): a machine with something of everything."""
    with log_in(vcenter) as session, Rest(session.vcenter) as rest:
        vm = find_vm(session, "web01")
        _furnish(session, vm)
        yield session, Tags(rest), vm


def _furnish(session, vm):
    kinds = vim().vm.device
    networks = {each.name: each for each in vm.runtime.host.network}
    group = networks["DC0_DVPG0"]
    switch = group.config.distributedVirtualSwitch.uuid
    card = kinds.VirtualEthernetCard
    plain = card.NetworkBackingInfo(deviceName="VM Network", network=networks["VM Network"])
    port = vim().dvs.PortConnection(portgroupKey=group.key, switchUuid=switch)
    distributed = card.DistributedVirtualPortBackingInfo(port=port)
    connect = kinds.VirtualDevice.ConnectInfo(
        startConnected=True, allowGuestControl=True, connected=False
    )
    iso = kinds.VirtualCdrom.IsoBackingInfo(fileName="[datastore1] cd.iso")
    devices = [
        kinds.VirtualVmxnet3(
            key=-1, backing=plain, macAddress=MAC, addressType="manual", connectable=connect
        ),
        kinds.VirtualE1000e(key=-2, backing=distributed, addressType="generated"),
        kinds.VirtualAHCIController(key=-3, busNumber=0),
        kinds.VirtualCdrom(
            key=-4, controllerKey=-3, unitNumber=0, backing=iso, connectable=connect
        ),
        kinds.VirtualUSBXHCIController(key=-5, busNumber=0),
    ]
    spec = vim().vm.ConfigSpec(
        deviceChange=[kinds.VirtualDeviceSpec(operation="add", device=each) for each in devices],
        annotation="the shop's first\nserver",
        firmware="efi",
        memoryHotAddEnabled=True,
        memoryMB=1024,
        numCPUs=4,
        numCoresPerSocket=2,
        changeTrackingEnabled=True,
        extraConfig=[
            vim().option.OptionValue(key=key, value=value)
            for key, value in {
                "disk.EnableUUID": "TRUE",
                "guestinfo.userdata": "cGFzc3dvcmQ=",
                "shop.api_token": "s3cr3t",
                "scsi0:0.ctkEnabled": "TRUE",
                "nvram": "web01.nvram",
            }.items()
        ],
        cpuAllocation=vim().ResourceAllocationInfo(
            reservation=500, limit=2000, shares=vim().SharesInfo(level="high", shares=4000)
        ),
        tools=vim().vm.ToolsConfigInfo(syncTimeWithHost=True, toolsVersion=12345),
        flags=vim().vm.FlagInfo(diskUuidEnabled=True, vbsEnabled=True),
        vAppConfig=vim().vApp.VmConfigSpec(
            property=[_vapp(1, "address", "string", "10.0.0.7"), _vapp(2, "root", "password", PASS)]
        ),
    )
    wait(session, vm.ReconfigVM_Task(spec))
    order = vim().vm.BootOptions
    keys = {type(each).__name__.rpartition(".")[2]: each.key for each in vm.config.hardware.device}
    boot = order(
        efiSecureBootEnabled=True,
        bootDelay=3000,
        bootOrder=[
            order.BootableDiskDevice(deviceKey=2000),
            order.BootableEthernetDevice(deviceKey=keys["VirtualE1000e"]),
        ],
    )
    wait(session, vm.ReconfigVM_Task(vim().vm.ConfigSpec(bootOptions=boot)))


def _vapp(key, name, kind, value):
    info = vim().vApp.PropertyInfo(
        key=key, id=name, type=kind, value=value, userConfigurable=True, defaultValue=""
    )
    return vim().vApp.PropertySpec(operation="add", info=info)


def place(session, vm, **more):
    settings = {"name": "web01-restored", **more}
    return Placement(
        session.call(lambda: vm.parent), session.call(lambda: vm.resourcePool), **settings
    )


def disks(vm):
    return [each for each in vm.config.hardware.device if hasattr(each, "capacityInKB")]


def again(there, document, **more):
    session, tags, vm = there
    placement = place(session, vm, **more)
    made, told = recreate(session, document, placement, tags=tags)
    return made, record(session, made, tags=tags), placement, told


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


def test_kept_identities_beside_the_original(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)

    made, found, placement, _told = again(there, document, mac=KEEP, uuid=KEEP)

    assert made.config.uuid == vm.config.uuid
    assert made.config.instanceUuid != vm.config.instanceUuid
    assert MAC in [getattr(each, "macAddress", None) for each in made.config.hardware.device]
    unwanted = [each for each in differences(document, found, placement) if not each.intended]
    assert unwanted == []


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

    with pytest.raises(StopIteration):
        find_vm(session, "web01-restored")


def test_policies_are_found_by_their_names(there):
    session, _tags, vm = there
    policies = Policies(session)

    known = {each["name"]: each["id"] for each in policies.all()}

    assert policies.of_machine(vm, {2000: "scsi0:0"}) == {}
    assert policies.find({"id": "another vCenter's", "name": ENCRYPTING}) == known[ENCRYPTING]
    assert policies.find({"id": known[ENCRYPTING], "name": "renamed"}) == known[ENCRYPTING]
    assert policies.find({"id": "?", "name": "?"}) is None


def test_policies_outlive_a_session(there, vcenter):
    policies = Policies(there[0])
    policies.all()
    vcenter.expire_sessions()

    assert policies.of_machine(there[2], {2000: "scsi0:0"}) == {}


def test_policies_are_asked_for_again(there):
    session, tags, vm = there
    document = record(session, vm, tags=tags)
    policies = Policies(session)
    document["policies"] = {
        "home": {"id": "?", "name": ENCRYPTING},
        "scsi0:1": {"id": "?", "name": "vSAN Default Storage Policy"},
        "scsi0:0": {"id": "?", "name": "gone"},
    }
    placement = place(session, vm)
    profiles = {what: policies.find(each) for what, each in document["policies"].items()}
    profiles = {what: each for what, each in profiles.items() if each}

    spec = make_spec(
        document, placement, Found(session, placement), instance_free=False, profiles=profiles
    )
    told = recreate(session, document, placement, tags=tags, policies=policies)[1]

    assert [each.profileId for each in spec.vmProfile] == [profiles["home"]]
    disks_of_spec = [each for each in spec.deviceChange if each.fileOperation == "create"]
    assert [[one.profileId for one in each.profile] for each in disks_of_spec] == [
        [],
        [profiles["scsi0:1"]],
    ]
    assert "storage policy gone of scsi0:0: there is none of that name" in told


def test_a_record_of_another_version(there):
    session, tags, vm = there

    with pytest.raises(UnsupportedDisk, match="another version"):
        again(there, {**record(session, vm, tags=tags), "format": 99})


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
