# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Restore points of running machines hold every disk as it was at the moment of the snapshot."""

# pylint: disable=unused-import
from __future__ import annotations

import json

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.snapshots import (
    snapshot,
)
from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    repository,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import guest_tree
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    QUICK,
    find_vm,
    log_in,
    run_of_ours,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.vm_backups import (
    Guest,
    backed_up_vcenter,  # noqa: F401
    left_in,
    methods,
    shelf,  # noqa: F401
    transports,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.clients import Client, wait

MIB = 1 << 20
DISKS = {2000: 64 * MIB, 2001: 48 * MIB, 2002: 32 * MIB}  # of db01, by their keys
NAMES = {2000: "scsi0:0", 2001: "scsi0:1", 2002: "scsi0:2"}


@pytest.fixture
def proxy(shelf, tmp_path, monkeypatch):  # noqa: F811
    """This host is a machine of the vCenter."""
    with guest_tree(shelf.vcenter, tmp_path / "guest") as tree:
        for name, value in tree.environment().items():
            monkeypatch.setenv(name, value)
        yield tree


@pytest.fixture(params=["hotadd", "nfc"])
def carried(request, shelf):  # noqa: F811
    """A transport that carries the disks of running machines."""
    if request.param == "hotadd":
        request.getfixturevalue("proxy")
    return request.param


def contents_of(shelf, result):  # noqa: F811
    return {key: shelf.content(result, name) for key, name in NAMES.items()}


def test_every_point_is_one_moment_of_a_guest_that_writes(shelf, carried):  # noqa: F811
    guest = Guest(shelf.vcenter, "db01", DISKS, seed=7)
    with guest.at_work():
        results = [shelf.back_up("db01", transport=[carried]) for _night in range(3)]
    moments = [guest.moment_of(contents_of(shelf, result)) for result in results]

    assert moments == sorted(set(moments))
    assert methods(results[0]) == ["full"] * 3
    assert methods(results[1]) == ["incremental"] * 3
    last = results[2]
    assert transports(last) == {carried}
    if carried == "hotadd":
        assert methods(last) == ["changed"] * 3
        assert last["transfer"]["bytes_read"] < 50 * MIB < sum(DISKS.values())
    else:
        assert "carries whole disks only" in last["restore_point"]["disks"][0]["reason"]
    assert left_in(shelf.vcenter) == []


def test_an_unchanged_machine_costs_next_to_nothing(shelf, carried):  # noqa: F811
    guest = Guest(shelf.vcenter, "db01", DISKS, seed=len(carried))
    first = shelf.back_up("db01", transport=[carried])
    for _disk in DISKS:
        guest.write()
    proof = shelf.back_up("db01", transport=[carried])

    again = shelf.back_up("db01", transport=[carried], self_check=0)

    assert first["changed"]
    assert proof["changed"]
    assert not again["changed"]
    assert again["restore_point"]["id"] == proof["restore_point"]["id"]
    assert again["transfer"]["bytes_read"] < MIB
    assert again["transfer"]["seconds"] < 60
    assert again["transfer"]["transport"] == "none"
    assert left_in(shelf.vcenter) == []


def test_a_machine_that_is_off_is_read_from_its_files(shelf):  # noqa: F811
    first = shelf.back_up("files01")
    shelf.vcenter.guest_write("files01", 2000, 9 * MIB, b"changed")
    proof = shelf.back_up("files01")
    shelf.vcenter.guest_write("files01", 2000, 11 * MIB, b"again")
    last = shelf.back_up("files01")

    assert transports(first) == {"datastore"}
    assert first["restore_point"]["source"]["quiesce"] == "powered_off"
    assert shelf.holds_what_the_guest_has("files01", last)
    assert [methods(each) for each in (first, proof, last)] == [
        ["full"],
        ["incremental"],
        ["changed"],
    ]
    assert last["transfer"]["bytes_read"] < 5 * MIB
    assert left_in(shelf.vcenter) == []


def test_a_template_needs_no_snapshot(shelf):  # noqa: F811
    shelf.vcenter.forget_calls()
    first = shelf.back_up("debian-template")
    again = shelf.back_up("debian-template", self_check=0)

    assert first["changed"]
    assert first["restore_point"]["source"]["template"]
    assert not again["changed"]
    assert again["transfer"]["bytes_read"] < MIB
    assert shelf.holds_what_the_guest_has("debian-template", first)
    assert "CreateSnapshot_Task" not in shelf.vcenter.calls()


def test_tracking_that_misses_a_change_is_found_out(shelf, proxy):  # noqa: F811
    first = shelf.back_up("web01", transport=["hotadd"])
    shelf.vcenter.mode(drop_areas=1)
    for place in (5, 6, 7):
        shelf.vcenter.guest_write("web01", 2000, place * MIB, f"at {place}, {proxy}".encode())
    compared = shelf.back_up("web01", transport=["hotadd"])
    shelf.vcenter.reset_modes()
    assert shelf.holds_what_the_guest_has("web01", compared)
    shelf.vcenter.guest_write("web01", 2000, 8 * MIB, str(proxy).encode())
    again = shelf.back_up("web01", transport=["hotadd"])

    assert first["changed"]
    assert "changed block tracking missed a change at byte" in json.dumps(compared["warnings"])
    assert "missed a change" in again["restore_point"]["disks"][0]["reason"]
    assert left_in(shelf.vcenter) == []


def test_a_second_run_at_the_same_time_is_refused(shelf):  # noqa: F811
    with log_in(shelf.vcenter) as session, run_of_ours() as journal:
        vm = find_vm(session, "web01")
        with snapshot(session, vm, journal, CRASH_CONSISTENT, patience=QUICK):
            said = shelf.refused("web01")
            assert len(left_in(shelf.vcenter)) == 2  # the snapshot and the journal of the first
    assert "another run on this host has a snapshot of it" in said
    assert left_in(shelf.vcenter) == []


def test_a_second_run_on_a_template_is_refused(shelf):  # noqa: F811
    source = shelf.back_up("debian-template")["restore_point"]["source"]["id"]
    with Journal.begin("backup of debian-template", source):
        said = shelf.refused("debian-template")
    assert "another run on this host backs it up" in said
    assert left_in(shelf.vcenter) == []


def test_a_machine_that_went_back_in_time_is_read_whole(shelf, proxy):  # noqa: F811
    hotadd = {"transport": ["hotadd"]}
    with shelf.vcenter.connect() as service:
        machine = Client(shelf.vcenter, service).machine("web01")
        before = [shelf.back_up("web01", **hotadd)]
        shelf.vcenter.guest_write("web01", 2000, 5 * MIB, str(proxy).encode())
        before.append(shelf.back_up("web01", **hotadd))
        wait(machine.CreateSnapshot_Task("before the update", "", False, False))
        shelf.vcenter.guest_write("web01", 2000, 6 * MIB, b"the update")
        before.append(shelf.back_up("web01", **hotadd))
        wait(machine.RevertToCurrentSnapshot_Task())
        shelf.vcenter.guest_write("web01", 2000, 7 * MIB, b"something else")
        after = shelf.back_up("web01", **hotadd)
        wait(machine.RemoveAllSnapshots_Task())

    assert methods(before[2])[0] == "changed"
    first = after["restore_point"]["disks"][0]
    assert first["method"] == "incremental"
    assert "restarted while the VM had the snapshot" in first["reason"]
    assert shelf.holds_what_the_guest_has("web01", after)


def test_a_disk_that_has_grown_is_read_whole(shelf, proxy):  # noqa: F811
    for place in (5, 6):
        shelf.vcenter.guest_write("files01", 2000, place * MIB, str(proxy).encode())
        shelf.back_up("files01")
    with shelf.vcenter.connect() as service:
        machine = Client(shelf.vcenter, service).machine("files01")
        disk = next(each for each in machine.config.hardware.device if each.key == 2000)
        disk.capacityInKB, disk.capacityInBytes = 72 << 10, 72 << 20
        edit = vim.vm.device.VirtualDeviceSpec(operation="edit", device=disk)
        wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[edit])))
    shelf.vcenter.guest_write("files01", 2000, 70 * MIB, b"at the end")
    grown = shelf.back_up("files01")

    (disk,) = grown["restore_point"]["disks"]
    assert disk["size"] == 72 * MIB
    assert disk["reason"] == f"its size changed from {64 * MIB} to {72 * MIB} bytes"
    assert shelf.holds_what_the_guest_has("files01", grown)
