# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""New machines by an import lease: with just the content that was sent, or not at all."""

# pylint: disable=unused-import
from __future__ import annotations

import contextlib
import itertools
import random
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc import (
    lease as leases,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc import (
    restore,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc.restore import (
    import_vm,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc.transport import Nfc
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.stream.writer import (
    StreamWriter,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.collect import (
    collect,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.sweep import sweep
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.frozen_disks import (
    digest,
    frozen,
    read_all,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import log_in
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import needed, simulator

KIB = 1 << 10
ODD = [3073 * KIB, 64 * KIB, 5 * KIB]  # no multiples of a grain, and one that is just one
NAMES = (f"restored{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def started():
    """A simulator, and a session, for all tests of this file."""
    needed()
    with simulator() as vcenter, log_in(vcenter) as session:
        yield vcenter, session


@pytest.fixture
def lab(started, tmp_path, monkeypatch):
    """(vcenter, session, journal). Nothing may be left."""
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path))
    vcenter, session = started
    modes = vcenter.state()["mode"]
    with Journal.begin("a test") as journal:
        yield vcenter, session, journal
        assert journal.open_entries() == []
    vcenter.clear_rules()
    vcenter.mode(**modes)
    assert vcenter.state()["leases"] == []


def one(session, kind):
    return next(ref for ref, _facts in collect(session, kind, ("name",)))


def spec_of(name, sizes):
    """As vmconfig makes it: a controller, and disks to create."""
    vm, device = vim().vm, vim().vm.device
    controller = device.ParaVirtualSCSIController(key=-1, busNumber=0, sharedBus="noSharing")
    changes = [device.VirtualDeviceSpec(operation="add", device=controller)]
    for unit, size in enumerate(sizes):
        backing = device.VirtualDisk.FlatVer2BackingInfo(
            fileName="", diskMode="persistent", thinProvisioned=True
        )
        disk = device.VirtualDisk(
            key=-10 - unit,
            controllerKey=-1,
            unitNumber=unit,
            capacityInKB=size // KIB,
            capacityInBytes=size,
            backing=backing,
        )
        changes.append(
            device.VirtualDeviceSpec(operation="add", fileOperation="create", device=disk)
        )
    return vm.ConfigSpec(
        name=name,
        guestId="otherGuest",
        numCPUs=1,
        memoryMB=128,
        deviceChange=changes,
        files=vm.FileInfo(vmPathName="[datastore1]"),
    )


def content_of(size):
    data = bytearray(size)
    chance = random.Random(size)
    for _turn in range(3):
        start = chance.randrange(size)
        data[start : start + 9000] = chance.randbytes(len(data[start : start + 9000]))
    data[-1] = 1
    return data


def make(lab, sizes, disks=None):
    _vcenter, session, journal = lab
    [datacenter] = [ref for ref, _facts in collect(session, vim().Datacenter, ("name",))]
    contents = {f"scsi0:{unit}": content_of(size) for unit, size in enumerate(sizes)}
    made = import_vm(
        session,
        journal,
        pool=one(session, vim().ResourcePool),
        folder=datacenter.vmFolder,
        host=None,
        spec=spec_of(next(NAMES), sizes),
        disks=disks or {slot: MemoryDevice(data) for slot, data in contents.items()},
    )
    return made, contents


def machines(session):
    return {facts["name"] for _ref, facts in collect(session, vim().VirtualMachine, ("name",))}


def test_disks_of_odd_sizes_there_and_back(lab):
    vcenter, session, journal = lab
    made, contents = make(lab, ODD)
    for disk in frozen(session, journal, made.vm):
        found = vcenter.guest_read(made.vm.name, disk.device.key, 0, disk.size)
        assert digest(found) == digest(contents[disk.name])
    assert made.transfer.bytes_total == sum(ODD)
    assert made.vm.runtime.powerState == "poweredOff"
    with contextlib.closing(Nfc(session)) as transport:
        for disk in frozen(session, journal, made.vm):
            assert digest(read_all(transport.open(disk), 4096)) == digest(contents[disk.name])


def test_zeros_are_not_sent(lab):
    vcenter, session, journal = lab
    size = 64 << 20
    made, _contents = make(lab, [size], {"scsi0:0": MemoryDevice(size)})
    assert made.transfer.bytes_written == 0
    [disk] = frozen(session, journal, made.vm)
    assert vcenter.guest_read(made.vm.name, disk.device.key, 0, size).count(0) == size


def refused(lab, kind, match, sizes=(3073 * KIB,), disks=None):
    before = machines(lab[1])
    with pytest.raises(kind, match=match):
        make(lab, sizes, disks)
    assert machines(lab[1]) == before


def test_a_killed_job_leaves_a_machine_that_goes_with_its_lease(lab, monkeypatch):
    """As if it had been killed in the middle: nothing was taken back."""
    _vcenter, session, _journal = lab
    before = len(machines(session))
    with Journal.begin("killed") as journal, monkeypatch.context() as patched:
        patched.setattr(leases.Lease, "abort", lambda self: self._stop())
        patched.setattr(restore, "_remove", lambda session, vm, spec: None)
        with pytest.raises(errors.DiskIOError):
            make((None, session, journal), [3073 * KIB], {"scsi0:0": Broken(bytes(3073 * KIB))})
    assert len(machines(session)) == before + 1
    [swept] = sweep(session)
    assert swept.done
    assert len(machines(session)) == before


class Broken(MemoryDevice):
    """Its storage fails in the middle."""

    def readinto(self, offset, buffer):
        if offset:
            raise errors.DiskIOError("cannot read it", path="here")
        super().readinto(offset, buffer)


def test_a_source_that_fails_leaves_no_machine(lab):
    disks = {"scsi0:0": Broken(content_of(3073 * KIB))}
    refused(lab, errors.DiskIOError, "cannot read it", disks=disks)


@pytest.mark.parametrize("slots", [["scsi0:1"], ["scsi0:0", "scsi0:1"]])
def test_content_for_other_disks(lab, slots):
    disks = {slot: MemoryDevice(content_of(3073 * KIB)) for slot in slots}
    refused(lab, errors.InvalidRequest, "scsi0:1", disks=disks)


def test_a_connection_that_breaks_leaves_no_machine(lab):
    lab[0].rule("POST /nfc", drop=True)
    refused(lab, errors.ServerUnreachable, "dropped")


def test_a_host_that_says_no(lab):
    lab[0].rule("POST /nfc", status=500, message="the datastore is full")
    refused(lab, errors.DiskError, "500.*datastore is full")


def test_a_request_that_is_refused(lab):
    lab[0].rule("ImportVApp", fault="NoPermission", privilege="VApp.Import")
    refused(lab, errors.AccessDenied, r"VApp\.Import")


def test_a_lease_that_never_gets_ready(lab):
    lab[0].mode(lease_fault="InsufficientResourcesFault")
    refused(lab, errors.VSphereFault, "InsufficientResourcesFault")


def test_an_end_that_is_refused(lab):
    lab[0].rule("HttpNfcLeaseComplete", fault="HostCommunication")
    refused(lab, errors.VSphereFault, "HostCommunication")


def test_an_end_of_which_nothing_is_heard(lab):
    """The machine is there and whole, but nobody can know that."""
    lab[0].rule("HttpNfcLeaseComplete", drop="after")
    refused(lab, errors.ServerUnreachable, "dropped")


def test_half_a_stream_is_not_taken(lab, monkeypatch):
    monkeypatch.setattr(StreamWriter, "finish", lambda self: None)
    refused(lab, errors.VSphereFault, r"cannot import.*ends 512 bytes too early.*SystemError")


def test_a_lease_that_ends_meanwhile(lab, monkeypatch):
    lab[0].mode(lease_timeout=0.3)
    monkeypatch.setattr(leases.Lease, "_beat", lambda self: None)

    class Slow(MemoryDevice):
        def readinto(self, offset, buffer):
            time.sleep(0.4)
            super().readinto(offset, buffer)

    disks = {"scsi0:0": Slow(content_of(3073 * KIB))}
    refused(lab, errors.VSphereFault, "Timedout", disks=disks)
