# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a disk is not attached to the proxy; each reason says what to do, or whose it is."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd import rules
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd.case import (
    Case,
    Host,
    Target,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.machine import (
    Machine,
    ManagedFile,
)

vim = pytest.importorskip("pyVmomi").vim
VirtualDisk = vim.vm.device.VirtualDisk
PATH, UUID = "[datastore1] web01/web01.vmdk", "6000C29e-8d5b-5e2f-0a87-1c4e6a5d3b21"
OTHER = "6000C29f-8d5b-5e2f-0a87-1c4e6a5d3b21"
HERE, THERE = Host("host-1", "8.0.3", "24280767"), Host("host-2", "8.0.3", "24280767")
OLD = Host("host-2", "7.0.3", "24585291")  # a younger build of an older release


def machine(*devices, moref="vm-1", **facts):
    options = [vim.option.OptionValue(key="disk.EnableUUID", value="TRUE")]
    known = {
        "config.hardware.device": devices or [controller()],
        "config.extraConfig": options,
        "runtime.powerState": "poweredOn",
        **{name.replace("__", "."): value for name, value in facts.items()},
    }
    return Machine(SimpleNamespace(_moId=moref), "proxy01", known)


def controller(key=1000, bus=0, kind=vim.vm.device.ParaVirtualSCSIController):
    return kind(key=key, busNumber=bus, sharedBus="noSharing", scsiCtlrUnitNumber=7)


def disk(path="[datastore1] other.vmdk", unit=0, key=1000, mode="persistent", uuid=OTHER):
    backing = VirtualDisk.FlatVer2BackingInfo(fileName=path, diskMode=mode, uuid=uuid)
    return VirtualDisk(key=2000 + unit, controllerKey=key, unitNumber=unit, backing=backing)


def target(**changes):
    backing = VirtualDisk.FlatVer2BackingInfo(fileName=PATH, diskMode="persistent", uuid=UUID)
    file = ManagedFile(PATH, SimpleNamespace(_moId="datastore-1"), UUID)
    known = Target(file, "VMFS", backing, SimpleNamespace(_moId="vm-2"), "web01")
    return dataclasses.replace(known, **changes)


def case(**changes):
    known = Case(
        disk=target(),
        proxy=machine(),
        proxy_tracks_changes=False,
        proxy_on_vsan=False,
        proxy_host=HERE,
        vm_host=THERE,
        unreached=None,
        lacking=(),
    )
    return dataclasses.replace(known, **changes)


def why(**changes):
    return rules.refusal(case(**changes)) or ""


def test_nothing_is_wrong_with_an_ordinary_disk():
    assert rules.refusal(case()) is None


def test_the_proxy_does_not_read_itself():
    vm = SimpleNamespace(_moId="vm-1")
    assert "the proxy itself" in why(disk=target(vm=vm))


def test_without_uuids_the_guest_cannot_tell_disks_apart():
    for value in ("FALSE", ""):
        options = [vim.option.OptionValue(key="disk.EnableUUID", value=value)]
        told = why(proxy=machine(config__extraConfig=options))
        assert "set disk.EnableUUID = TRUE" in told
        assert "power it off" in told


def test_a_disk_without_a_uuid():
    assert "no uuid" in why(disk=target(file=ManagedFile(PATH, None, "")))


def test_a_proxy_whose_changes_are_tracked():
    assert "changed block tracking is on for the proxy" in why(proxy_tracks_changes=True)


@pytest.mark.parametrize("mode", ["physicalMode", "virtualMode"])
def test_raw_device_mappings(mode):
    raw = VirtualDisk.RawDiskMappingVer1BackingInfo(fileName=PATH, compatibilityMode=mode)
    assert "raw device mapping" in why(disk=target(backing=raw))
    above = VirtualDisk.FlatVer2BackingInfo(fileName="[d] x-000001.vmdk")
    above.parent = None
    assert why(disk=target(backing=above)) == ""


@pytest.mark.parametrize(
    "kind", [VirtualDisk.RawDiskVer2BackingInfo, VirtualDisk.PartitionedRawDiskVer2BackingInfo]
)
def test_raw_disks(kind):
    assert "raw device mapping" in why(disk=target(backing=kind(descriptorFileName=PATH)))


def test_a_disk_that_others_write_to():
    backing = VirtualDisk.FlatVer2BackingInfo(fileName=PATH, sharing="sharingMultiWriter")
    assert "other machines may write to it" in why(disk=target(backing=backing))


def test_se_sparse_deltas_are_fine():
    backing = VirtualDisk.SeSparseBackingInfo(fileName=PATH, diskMode="persistent")
    assert why(disk=target(backing=backing)) == ""


def test_a_datastore_that_nobody_names():
    assert "on which datastore" in why(disk=target(file=ManagedFile(PATH, None, UUID)))


def test_a_datastore_out_of_reach():
    assert "esx7, cannot reach the datastore" in why(unreached="esx7")


@pytest.mark.parametrize(
    ("vm_host", "proxy_host", "is_refused"),
    [
        (OLD, HERE, True),
        (HERE, OLD, True),
        (OLD, OLD, False),  # one host
        (HERE, THERE, False),
        (Host("host-2", "8.0.2", "22380479"), HERE, True),  # 8.0 U2
        (Host("host-2", "8.0.2", "23305546"), HERE, False),  # 8.0 U2b
        (Host("host-2", "9.0.0", "24755229"), HERE, False),
        (Host("host-2", "", ""), HERE, True),
        (Host("host-2", "8.0", "25000000"), HERE, True),  # nobody knows which update
    ],
)
def test_nfs_3_and_another_host(vm_host, proxy_host, is_refused):
    told = why(disk=target(storage="NFS"), vm_host=vm_host, proxy_host=proxy_host)
    assert ("web01 would stand still" in told) == is_refused
    assert why(disk=target(storage="NFS41"), vm_host=vm_host, proxy_host=proxy_host) == ""
    assert why(vm_host=vm_host, proxy_host=proxy_host) == ""


@pytest.mark.parametrize(
    ("storage", "on_vsan", "words"),
    [
        ("vsan", False, "the disk is on vSAN and the proxy proxy01 is not"),
        ("VMFS", True, "the proxy proxy01 is on vSAN and the disk is not"),
        ("vsan", True, ""),
        ("VVOL", False, ""),
    ],
)
def test_vsan_only_with_vsan(storage, on_vsan, words):
    told = why(disk=target(storage=storage), proxy_on_vsan=on_vsan)
    assert told.startswith(words) and bool(told) == bool(words)


def test_an_encrypted_disk_wants_an_encrypted_proxy():
    encrypted = target(is_encrypted=True)
    assert "is encrypted and the proxy proxy01 is not" in why(disk=encrypted)
    key = vim.encryption.CryptoKeyId(keyId="k")
    assert why(disk=encrypted, proxy=machine(config__keyId=key)) == ""


def test_missing_privileges_are_named():
    assert "Cryptographer.Access" in why(lacking=("Cryptographer.Access",))


def test_what_the_proxy_has_already():
    held = disk(PATH, 1, mode=rules.NONPERSISTENT, uuid=UUID)
    assert "another job" in why(proxy=machine(controller(), held))


def test_a_copy_at_the_proxy():
    copy = disk("[datastore1] copy.vmdk", 1, mode=rules.NONPERSISTENT, uuid=UUID.lower())
    told = why(proxy=machine(controller(), copy))
    assert "has a disk of the same uuid already, [datastore1] copy.vmdk" in told


def test_no_more_disks_than_are_good_for_it():
    held = [disk(f"[d] {unit}.vmdk", unit, mode=rules.NONPERSISTENT) for unit in range(7)]
    assert why(proxy=machine(controller(), *held)) == ""
    held.append(disk("[d] 8.vmdk", 8, mode=rules.NONPERSISTENT))
    assert "8 disks are attached" in why(proxy=machine(controller(), *held))


def test_no_free_slot():
    """Fifteen disks on each of four controllers; IDE is no place for them."""
    devices = [vim.vm.device.VirtualIDEController(key=200, busNumber=0)]
    for bus in range(4):
        devices.append(controller(1000 + bus, bus))
        units = [unit for unit in range(16) if unit != 7]
        devices += [disk(f"[d] {bus}-{unit}.vmdk", unit, 1000 + bus) for unit in units]
    assert "no free slot" in why(proxy=machine(*devices))
    assert why(proxy=machine(*devices[:-1])) == ""
