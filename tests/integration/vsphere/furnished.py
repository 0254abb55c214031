# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine with something of everything, to be recorded and made again."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.rest import Rest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.tags import Tags
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.placement import (
    Placement,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import find_vm, log_in

PASS = "Appliance-root-1"
MAC = "00:50:56:3f:12:34"
SECRETS = ["guestinfo.userdata", "shop.api_token", "vApp property root"]


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
