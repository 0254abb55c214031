# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks read through export leases: byte for byte, or not at all; and the lease is always gone."""

# pylint: disable=unused-import
from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.pipeline import ordered_map
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc import (
    forward,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc import (
    lease as leases,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc.link import Link
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc.transport import Nfc
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.target import (
    VCenter,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.sweep import sweep
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.frozen_disks import (  # noqa: F401
    digest,
    fill,
    frozen,
    machines,
    read_all,
    take,
    there,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (  # noqa: F401
    find_vm,
    place,
)

MIB = 1 << 20
SIZE = 16 * MIB


@pytest.fixture
def lab(place, there):  # noqa: F811
    """(vcenter, session, journal, a machine with something in its disk). No lease may be left."""
    vcenter, name = place
    fill(vcenter, name, 2000, SIZE)
    with Journal.begin("a test") as journal:
        yield vcenter, there, journal, find_vm(there, name)
        assert [each.kind for each in journal.open_entries()] == []
    assert vcenter.state()["leases"] == []


@pytest.fixture
def opened(lab):
    """(device, its content at the snapshot, the transport)"""
    vcenter, session, journal, vm = lab
    snapshot = take(session, vm)
    then = vcenter.guest_read(vm.name, 2000, 0, SIZE)
    vcenter.guest_write(vm.name, 2000, 0, b"later")
    with contextlib.closing(Nfc(session)) as transport:
        [disk] = frozen(session, journal, vm, snapshot)
        assert transport.refusal(disk) is None
        yield transport.open(disk), then, transport


def test_a_running_machine_is_read_as_it_was(opened):
    device, then, _transport = opened
    assert digest(read_all(device)) == digest(then)
    device.require_unchanged()


def test_without_looking_at_the_extents(opened):
    device, then, _transport = opened
    parts = [read(device, offset, MIB) for offset in range(0, SIZE, MIB)]
    assert digest(b"".join(parts)) == digest(then)
    device.require_unchanged()


def test_what_has_gone_by_is_told(opened, monkeypatch):
    device, _then, _transport = opened
    monkeypatch.setattr(forward, "MOST", 1000)
    read(device, SIZE - MIB, MIB)
    with pytest.raises(errors.InvalidRequest, match="has gone by"):
        read(device, 0, 512)


def test_what_was_not_read_to_its_end_does_not_count(opened):
    device, _then, _transport = opened
    read(device, 0, MIB)
    with pytest.raises(errors.DiskInUse, match="not read to its end"):
        device.require_unchanged()


def test_a_machine_that_is_off(lab):
    vcenter, session, journal, vm = lab
    wait(session, vm.PowerOffVM_Task(), "power off")
    with contextlib.closing(Nfc(session)) as transport:
        [disk] = frozen(session, journal, vm)
        content = read_all(transport.open(disk))
    assert digest(content) == digest(vcenter.guest_read(vm.name, 2000, 0, SIZE))


def test_several_disks_share_a_lease_and_are_not_mixed_up(lab):
    vcenter, session, journal, _vm = lab
    vm = find_vm(session, "web01")
    snapshot = take(session, vm)
    vcenter.forget_calls()
    with contextlib.closing(Nfc(session)) as transport:
        disks = frozen(session, journal, vm, snapshot)
        devices = [transport.open(disk) for disk in disks]
        found = list(ordered_map(lambda device: digest(read_all(device, MIB, 2)), devices, 2))
    models = [vcenter.guest_read("web01", disk.device.key, 0, disk.size) for disk in disks]
    assert found == [digest(model) for model in models]
    calls = vcenter.calls()
    assert (calls["ExportSnapshot"], calls["GET /nfc"]) == (1, 2)
    assert calls["HttpNfcLeaseComplete"] == 1


def test_a_disk_of_nothing(lab, machines):  # noqa: F811
    _vcenter, session, journal, _vm = lab
    vm = find_vm(session, machines[1].pop())
    with contextlib.closing(Nfc(session)) as transport:
        device = transport.open(frozen(session, journal, vm, take(session, vm))[0])
        assert list(device.extents()) == [Extent(0, SIZE, Kind.ZERO)]
        device.require_unchanged()


# What goes wrong


def refused(device, kind, match):
    with pytest.raises(kind, match=match) as caught:
        read_all(device)
    with pytest.raises(errors.DiskError):  # it stays so
        read(device, SIZE - 512, 512)
    return caught.value


@pytest.mark.parametrize("cut", [1, 700, 70000])
def test_a_stream_that_breaks_off_is_no_disk(lab, opened, cut):
    lab[0].mode(nfc_cut=cut)
    refused(opened[0], errors.ServerUnreachable, "dropped")


def test_a_stream_without_its_end_mark_is_no_disk(lab, opened):
    """All of the content is there."""
    lab[0].mode(nfc_cut=length_of_stream(opened[2]) - 512)
    refused(opened[0], errors.ServerUnreachable, "dropped")


def length_of_stream(transport):
    link = transport._lease.links[0]
    with contextlib.closing(link.connect()) as connection:
        connection.request("GET", link.path)
        return len(connection.getresponse().read())


def test_more_behind_the_end(lab, opened):
    lab[0].mode(nfc_junk=4)
    refused(opened[0], errors.CorruptDisk, "behind the end")


def test_another_disk(lab):
    _vcenter, session, journal, vm = lab
    [disk] = frozen(session, journal, vm, take(session, vm))
    with contextlib.closing(Nfc(session)) as transport:
        larger = transport.open(dataclasses.replace(disk, size=2 * SIZE))
        refused(larger, errors.CorruptDisk, "another size")
        with pytest.raises(errors.TransportUnavailable, match=r"scsi0:5.*found scsi0:0"):
            transport.open(dataclasses.replace(disk, name="scsi0:5"))


@pytest.mark.parametrize("reason", ["encrypted", "physical"])
def test_what_is_refused_before_trying(lab, reason):
    _vcenter, session, journal, vm = lab
    [disk] = frozen(session, journal, vm, take(session, vm))
    if reason == "encrypted":
        disk = dataclasses.replace(disk, is_encrypted=True)
    else:
        disk.device.backing = vim().vm.device.VirtualDisk.RawDiskMappingVer1BackingInfo(
            compatibilityMode="physicalMode"
        )
    assert reason in Nfc(session).refusal(disk)


def not_opened(lab, kind, match):
    _vcenter, session, journal, vm = lab
    with contextlib.closing(Nfc(session)) as transport:
        [disk] = frozen(session, journal, vm, take(session, vm))
        with pytest.raises(kind, match=match):
            transport.open(disk)


def test_a_lease_that_never_gets_ready(lab):
    lab[0].mode(lease_fault="FileLocked")
    not_opened(lab, errors.DiskInUse, "cannot export its disks")


def test_an_export_that_is_refused(lab):
    lab[0].rule("ExportSnapshot", fault="NoPermission", privilege="VApp.Export")
    not_opened(lab, errors.AccessDenied, r"VApp\.Export")


def test_a_lease_whose_id_is_lost_dies_by_itself(lab):
    vcenter = lab[0]
    vcenter.mode(lease_timeout=1.0)
    vcenter.rule("ExportSnapshot", drop="after")
    not_opened(lab, errors.ServerUnreachable, "dropped")
    wait_until_gone(vcenter)


def wait_until_gone(vcenter):
    end = time.monotonic() + 60
    while vcenter.state()["leases"] and time.monotonic() < end:
        time.sleep(0.1)


def test_a_host_that_cannot_be_reached_is_known_at_once(lab):
    lab[0].mode(nfc_host="127.0.0.9")
    not_opened(lab, errors.ServerUnreachable, r"127\.0\.0\.9.*listens.*must be able to reach it")


def test_a_host_that_says_no(lab, opened):
    lab[0].rule("GET /nfc", status=503)
    refused(opened[0], errors.TransportUnavailable, "503")


def test_a_slow_reader_keeps_the_lease(lab):
    vcenter, session, journal, vm = lab
    vcenter.mode(lease_timeout=2.0)
    snapshot = take(session, vm)
    with contextlib.closing(Nfc(session)) as transport:
        device = transport.open(frozen(session, journal, vm, snapshot)[0])
        read(device, 0, MIB)
        time.sleep(2.6)
        content = read(device, 0, SIZE)
    assert digest(content) == digest(vcenter.guest_read(vm.name, 2000, 0, SIZE))
    assert vcenter.calls()["HttpNfcLeaseProgress"] >= 3


def test_a_lease_of_which_nothing_is_heard(lab, monkeypatch):
    """The error is the lease's own, not what its end did to the connection."""
    vcenter, session, journal, vm = lab
    monkeypatch.setattr(leases.Lease, "_beat", lambda self: None)
    vcenter.mode(lease_timeout=2.0)  # a busy machine needs some of it to open the disk
    snapshot = take(session, vm)
    with contextlib.closing(Nfc(session)) as transport:
        device = transport.open(frozen(session, journal, vm, snapshot)[0])
        wait_until_gone(vcenter)
        refused(device, errors.VSphereFault, "Timedout")


def test_a_lease_that_somebody_ends(lab, opened):
    end_from_outside(lab[0], opened[2])
    refused(opened[0], errors.VSphereFault, "RequestCanceled")


def end_from_outside(vcenter, transport):
    ref = transport._lease._ref._moId
    assert ref in vcenter.state()["leases"]
    with vcenter.connect() as client:
        type(transport._lease._ref)(ref, client._stub).HttpNfcLeaseAbort()


def test_a_dead_lease_is_noticed_while_nothing_is_read(lab, opened, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.05)
    vcenter, session, journal, vm = lab
    with contextlib.closing(Nfc(session)) as transport:
        [disk] = frozen(session, journal, vm, vm.snapshot.currentSnapshot)
        transport.open(disk)
        end_from_outside(vcenter, transport)
        transport._lease._keeper.join(10)
        with pytest.raises(errors.VSphereFault, match="RequestCanceled"):
            transport._lease.tell("scsi0:0", 0)


def test_the_next_disk_gets_another_lease_then(lab, opened):
    vcenter, session, journal, vm = lab
    end_from_outside(vcenter, opened[2])
    [disk] = frozen(session, journal, vm, vm.snapshot.currentSnapshot)
    assert digest(read_all(opened[2].open(disk))) == digest(opened[1])
    refused(opened[0], errors.VSphereFault, "RequestCanceled")


@pytest.mark.parametrize("fault", ["HostCommunication", None])
def test_a_beat_that_is_lost_does_no_harm(lab, monkeypatch, fault):
    vcenter, session, journal, vm = lab
    monkeypatch.setattr(leases, "BEAT", 0.1)
    rule = {"fault": fault} if fault else {"drop": True}
    vcenter.rule("HttpNfcLeaseProgress", times=2, **rule)
    snapshot = take(session, vm)
    with contextlib.closing(Nfc(session)) as transport:
        device = transport.open(frozen(session, journal, vm, snapshot)[0])
        time.sleep(0.6)
        content = read_all(device)
    assert digest(content) == digest(vcenter.guest_read(vm.name, 2000, 0, SIZE))


def test_a_host_that_does_not_know_its_name(lab):
    vcenter, session, journal, vm = lab
    vcenter.mode(nfc_host="*")
    snapshot = take(session, vm)
    with contextlib.closing(Nfc(session)) as transport:
        device = transport.open(frozen(session, journal, vm, snapshot)[0])
        assert device.size == len(read_all(device))


# Certificates of hosts


@pytest.mark.parametrize("digits", [40, 64])
def test_a_certificate_is_trusted_by_its_thumbprint(lab, opened, monkeypatch, digits):
    link = opened[2]._lease.links[0]
    monkeypatch.delenv("SSL_CERT_FILE")
    with contextlib.closing(link.connect()) as connection:
        assert connection.sock.getpeercert(binary_form=True)
        # Hosts are silent for long: is it there still, and does the firewall know us still?
        assert connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    wrong = Link(link.slot, link.at, link.path, "0" * digits)
    with pytest.raises(errors.UntrustedCertificate, match="not the one that vCenter knows"):
        wrong.connect()


def test_a_certificate_that_nobody_vouches_for(lab, opened, monkeypatch):
    link = opened[2]._lease.links[0]
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(errors.UntrustedCertificate, match="not trusted"):
        Link(link.slot, link.at, link.path, "").connect()
    at = VCenter(link.at.hostname, "", "", link.at.port, validate_certs=False)
    Link(link.slot, at, link.path, "").connect().close()


# Killed jobs

JOB = """
import sys, time
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import find_vm
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.frozen_disks import frozen
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc.transport import Nfc
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import (
    session, target)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal)
host, port, user, password, name = sys.argv[1:]
logged = session.open_session(target.VCenter(host, user, password, int(port)))
vm = find_vm(logged, name)
disk = frozen(logged, Journal.begin("killed"), vm, vm.snapshot.currentSnapshot)[0]
read(Nfc(logged).open(disk), 0, 1 << 20)
print("reading", flush=True)
time.sleep(60)
"""


def test_a_killed_job_leaves_a_lease_that_the_next_one_ends(lab):
    vcenter, session, _journal, vm = lab
    take(session, vm)
    command = [sys.executable, "-c", JOB, vcenter.hostname, str(vcenter.port), vcenter.username]
    command += [vcenter.password, vm.name]
    paths = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=paths) as job:
        assert job.stdout.readline() == b"reading\n"
        job.send_signal(signal.SIGKILL)
    assert len(vcenter.state()["leases"]) == 1
    [swept] = sweep(session)
    assert swept.done and "lease" in swept.message
    assert vcenter.state()["leases"] == []
    assert sweep(session) == []
