# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_snapshot of a machine: taken, gone back to, removed; and nobody else's touched."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    OURS,
    find_vm,
    keep,
    log_in,
    names,
    wait,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import needed, simulator

PLACE = 1 << 20


@pytest.fixture(scope="module")
def fresh():
    """A vCenter for all tests of this file, and names of machines that none of them has had."""
    needed()
    with simulator("--vms", "20") as vcenter:
        yield vcenter, [f"many{number:05}" for number in range(5, 20)]


class Machine:
    def __init__(self, vcenter, session, modules, name):
        self.vcenter, self.session, self.name = vcenter, session, name
        self._modules = modules
        self.vm = find_vm(session, name)

    def snapshot(self, state="present", **options):
        words = {"vm": self.name, "name": "mine", "state": state, **options}
        return self._modules.vmdk_snapshot(quiesce="crash_consistent", **words)

    def refused(self, state="present", **options):
        words = {"vm": self.name, "name": "mine", "state": state, **options}
        return self._modules.fail("vmdk_snapshot", quiesce="crash_consistent", **words)["msg"]

    def write(self, content):
        self.vcenter.guest_write(self.name, 2000, PLACE, content)

    def read(self):
        return bytes(self.vcenter.guest_read(self.name, 2000, PLACE, 5))

    @property
    def is_on(self):
        return self.vm.runtime.powerState == "poweredOn"


@pytest.fixture
def machine(fresh, modules, tmp_path, monkeypatch):
    vcenter, free = fresh
    for name, value in vcenter.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))
    with log_in(vcenter) as session:
        yield Machine(vcenter, session, modules, free.pop())
    vcenter.clear_rules()
    vcenter.reset_modes()


def test_a_machine_goes_back_and_runs_again(machine):
    machine.write(b"first")
    assert machine.snapshot(check_mode=True)["changed"]
    assert names(machine.vm) == []

    taken = machine.snapshot()
    assert taken["changed"]
    assert (taken["snapshot"]["level"], taken["snapshot"]["power_state"]) == (
        "crash_consistent",
        "poweredOn",
    )
    again = machine.snapshot()
    assert (again["changed"], again["snapshot"]) == (False, taken["snapshot"])

    machine.write(b"later")
    result = machine.snapshot("reverted")
    assert result["changed"] and result["powered_on"]
    assert machine.read() == b"first"
    assert machine.is_on and names(machine.vm) == ["mine"]

    machine.write(b"third")
    assert machine.snapshot("absent")["changed"]
    assert (machine.read(), names(machine.vm)) == (b"third", [])
    assert not machine.snapshot("absent")["changed"]
    assert os.listdir(os.environ["VDISK_STATE_DIR"]) == []


def test_snapshots_of_others_are_not_touched(machine):
    keep(machine.session, machine.vm, "mine")
    for state in ("present", "absent", "reverted"):
        assert "was not made by this module" in machine.refused(state)
    assert names(machine.vm) == ["mine"]


def test_what_somebody_has_taken_since_keeps_it_from_going_back(machine):
    machine.snapshot()
    keep(machine.session, machine.vm, "theirs")
    machine.write(b"later")
    assert "newer snapshots than mine, found theirs" in machine.refused("reverted")
    assert machine.read() == b"later"
    machine.snapshot("absent")
    assert names(machine.vm) == ["theirs"]


def test_a_machine_that_stands_on_another_snapshot_is_left_there(machine):
    """Somebody has gone back to an older one meanwhile, and works on from there."""
    keep(machine.session, machine.vm, "theirs")
    machine.snapshot()
    (older,) = machine.vm.snapshot.rootSnapshotList
    wait(machine.session, older.snapshot.RevertToSnapshot_Task(suppressPowerOn=True))
    machine.write(b"there")
    assert "does not stand on the snapshot mine any more" in machine.refused("reverted")
    assert machine.read() == b"there"


def test_a_name_that_vsphere_would_read_as_another_is_refused(machine):
    assert "cannot be the name of a snapshot" in machine.refused(name="100%25")
    assert names(machine.vm) == []


def test_a_full_datastore_gets_none(machine):
    (store,) = {each._moId: each for each in machine.vm.datastore}.values()
    free = store.summary.freeSpace
    words = {"type": "Datastore", "path": "summary.freeSpace", "xsi": "xsd:long"}
    machine.vcenter.control("POST", "property", b"4096", name=store.name, **words)
    try:
        assert "too full for a snapshot" in machine.refused()
    finally:
        machine.vcenter.control("POST", "property", b"%d" % free, name=store.name, **words)
    assert names(machine.vm) == []


def test_one_that_was_not_completed_is_swept(machine):
    """The answer to the last step is lost, and vCenter never carried it out; nor could it be taken
    back: what is left has the name of a run, and the next one removes it."""
    machine.vcenter.rule("RenameSnapshot", fault="SystemError", times=1)
    machine.vcenter.rule("RemoveSnapshot_Task", fault="NoPermission", times=1)
    machine.refused()
    (left,) = names(machine.vm)
    assert left.startswith(OURS)

    result = machine.snapshot()
    assert names(machine.vm) == ["mine"]
    assert any("was removed" in str(each) for each in result["warnings"])


def test_a_removal_that_was_cut_off_is_completed(machine):
    machine.snapshot()
    machine.vcenter.rule("RemoveSnapshot_Task", fault="NoPermission", times=1)
    machine.refused("absent")
    (left,) = names(machine.vm)
    assert left.startswith(OURS)
    machine.snapshot(name="another")
    assert names(machine.vm) == ["another"]


def test_one_that_does_not_come_up_again_is_told(machine):
    machine.write(b"first")
    machine.snapshot()
    machine.write(b"later")
    machine.vcenter.rule("PowerOnVM_Task", fault="InvalidState", times=1)
    assert f"{machine.name} is off. Its disks are as in the snapshot" in machine.refused("reverted")
    assert machine.read() == b"first"
    assert machine.snapshot("reverted")["powered_on"]
    assert machine.is_on
