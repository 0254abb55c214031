# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever goes wrong in a backup of a machine is told; nothing is left, or told and swept."""

# pylint: disable=unused-import
from __future__ import annotations

import contextlib
import datetime
import random

import pytest
from pyVmomi import vim

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    DiskIOError,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.progress import Silent
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup import (
    backup_vm,
    disks,
    run,
    subject,
    tracking,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.request import (
    VmBackupRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.tracking import (
    marks_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport import datastore_frozen
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd.device import (
    HotAddedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import (
    session as sessions,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import tasks
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.inventory.named_vm import (
    find_vm,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    CRASH_CONSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.sweep import sweep
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.unfinished import (
    Mark,
)
from ansible_collections.vdisk.lifecycle.tests.examples import examples
from ansible_collections.vdisk.lifecycle.tests.integration.modules.conftest import (  # noqa: F401
    repository,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import guest_tree
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.leftovers import HASTY
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import QUICK, log_in
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.vm_backups import (
    Shelf,
    left_in,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.clients import Client, wait
from ansible_collections.vdisk.lifecycle.tests.simulator.fixtures import needed, simulator

VM, DISK, TEMPLATE = "many00005", 2000, "debian-template"
FAULTS = {
    "refused": {"fault": "InvalidState"},
    "failing": {"fault": "HostCommunication", "task": True},
    "lost": {"drop": True},
    "unanswered": {"drop": "after"},
    "expired": {"expire_session": True},
}
# Of these calls none is ours alone to repeat, or to do without.
NEVER_ASKED = ("Logout", "GET /sdk")


@pytest.fixture
def shelf(modules, repository, tmp_path, monkeypatch):  # noqa: F811
    needed()
    with simulator("--vms", "6") as vcenter, guest_tree(vcenter, tmp_path / "guest") as tree:
        for name, value in {**vcenter.environment(), **tree.environment()}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))
        monkeypatch.setattr(keys, "COST", (1 << 4, 8, 1))
        monkeypatch.setattr(sessions, "SECOND_TRY", 0.1)
        monkeypatch.setattr(tasks, "FIRST_PAUSE", 0.01)
        yield Shelf(vcenter, modules, repository)


@pytest.fixture
def back_up(shelf, repository, monkeypatch):  # noqa: F811
    """A whole run, with a session of its own; the result, or None where it failed."""
    names = ("hostname", "username", "password", "port")
    where = {**{name: getattr(shelf.vcenter, name) for name in names}, "validate_certs": True}

    def back_up_once(patience=HASTY, **options):
        opened = []

        def log_in_anew(_vcenter):
            opened.append(log_in(shelf.vcenter))
            return opened[-1]

        monkeypatch.setattr(backup_vm, "shared_session", log_in_anew)
        request = VmBackupRequest(
            access=Access(**repository, vsphere=where),
            quiesce=CRASH_CONSISTENT,
            patience=patience,
            **{"vm": VM, "transports": ("hotadd", "nfc"), "self_check": 2, **options},
        )
        try:
            return backup_vm.plan_vm_backup(request).run(False)
        except DiskError:
            return None
        finally:
            for session in opened:
                session.close()

    return back_up_once


def next_run(vcenter):
    with log_in(vcenter) as session:
        return sweep(session, (), QUICK)


class Meddler(Silent):
    """Somebody who does something once, while the disk is being read."""

    def __init__(self, work):
        self._work, self._done = work, False

    def advance(self, count):
        if not self._done:
            self._done = True
            self._work()


@contextlib.contextmanager
def machine_of(vcenter, name):
    """As somebody else sees it."""
    with vcenter.connect() as service:
        yield Client(vcenter, service).machine(name)


def set_option(vcenter, name, option):
    with machine_of(vcenter, name) as machine:
        wait(machine.ReconfigVM_Task(vim.vm.ConfigSpec(extraConfig=[option])))


def test_a_snapshot_that_somebody_removes_makes_no_point(shelf, back_up, monkeypatch):
    monkeypatch.setattr(disks, "OPENED_AHEAD", 0)  # what is attached cannot be removed
    shelf.vcenter.mode(lock_live_flat=False)
    # Not every transport finds that out by itself.
    monkeypatch.setattr(datastore_frozen.FrozenDevice, "require_unchanged", lambda _device: None)

    def remove_all():
        with machine_of(shelf.vcenter, VM) as machine:
            wait(machine.RemoveAllSnapshots_Task())

    assert back_up(progress=Meddler(remove_all), transports=("datastore",)) is None
    assert shelf.opened.points() == []
    assert left_in(shelf.vcenter) == []


def test_a_template_on_which_somebody_works_makes_no_point(shelf, back_up):
    def work():
        note = vim.vm.ConfigSpec(annotation="mended")
        with machine_of(shelf.vcenter, TEMPLATE) as machine:
            wait(machine.ReconfigVM_Task(note))
        shelf.vcenter.guest_write(TEMPLATE, DISK, 5 << 20, b"mended")

    template = {"vm": TEMPLATE, "transports": ("hotadd",)}
    assert back_up(progress=Meddler(work), **template) is None
    assert shelf.opened.points() == []
    assert left_in(shelf.vcenter) == []
    assert shelf.holds_what_the_guest_has(TEMPLATE, back_up(**template))


def test_a_restore_that_begins_before_the_snapshot_is_seen(shelf, back_up, monkeypatch):
    mark = Mark("20261122T020000-0123abcd", "another", "p", made=False, disks=())

    def begin(*_about):
        set_option(shelf.vcenter, VM, mark.option())

    monkeypatch.setattr(run, "vmx_text", begin)
    assert back_up() is None
    assert shelf.opened.points() == []
    assert left_in(shelf.vcenter) == []


def test_a_machine_is_looked_for_once(shelf, back_up, monkeypatch):
    """A moref may be somebody else's name: those of ESXi are plain numbers."""
    asked = []

    def find(session, text):
        asked.append(text)
        return find_vm(session, text)

    monkeypatch.setattr(subject, "find_vm", find)
    assert back_up()["changed"]
    assert asked == [VM]


@pytest.fixture
def proved(shelf, back_up):
    """Backups, until the tracking is believed; then it misses every change."""

    def run_with(transport):
        for number in (1, 2):
            shelf.vcenter.guest_write(VM, DISK, number << 20, bytes([number]) * 5000)
            assert back_up(transports=(transport,))["changed"]
        shelf.vcenter.mode(drop_areas=1)
        shelf.vcenter.guest_write(VM, DISK, 1 << 20, b"not listed")

    return run_with


def test_what_a_self_check_found_is_not_forgotten(shelf, back_up, proved, monkeypatch):
    """Where the transport fails after that, and the next one reads no samples."""
    proved("hotadd")
    seen, readinto = set(), HotAddedDisk.readinto

    def read_once(device, offset, buffer):
        if offset in seen:
            raise DiskIOError("broken", path=device.name)
        seen.add(offset)
        readinto(device, offset, buffer)

    monkeypatch.setattr(HotAddedDisk, "readinto", read_once)
    result = back_up(self_check=1000)
    (disk,) = result["restore_point"]["disks"]

    assert disk["transport"] == "nfc"
    assert "a change that was not listed" in disk["reason"]
    assert [each for each in result["warnings"] if "a change that was not listed" in each]
    assert shelf.holds_what_the_guest_has(VM, result)
    (mark,) = marks_of(shelf.opened.find(result["restore_point"]["id"]).point)
    assert (mark.proved, mark.blind) == (False, True)


def test_a_tracker_that_says_nothing_is_found_out_over_nfc(shelf, back_up, proved, monkeypatch):
    nfc = {"transports": ("nfc",)}
    proved("nfc")
    assert not back_up(**nfc)["changed"]  # which is wrong, and cannot be known
    monkeypatch.setattr(tracking, "LOOK_AGAIN", datetime.timedelta(0))
    assert not back_up(**nfc, self_check=0)["changed"]
    found = back_up(**nfc)
    (disk,) = found["restore_point"]["disks"]

    assert found["changed"]
    assert "nothing of it was read for days" in disk["reason"]
    assert [each for each in found["warnings"] if "missed a change" in each]
    assert shelf.holds_what_the_guest_has(VM, found)


def test_that_a_disk_was_read_again_is_recorded(shelf, back_up, monkeypatch):
    nfc = {"transports": ("nfc",)}
    for number in (1, 2):
        shelf.vcenter.guest_write(VM, DISK, number << 20, bytes([number]) * 5000)
        assert back_up(**nfc)["changed"]
    monkeypatch.setattr(tracking, "LOOK_AGAIN", datetime.timedelta(0))
    again = back_up(**nfc)
    monkeypatch.undo()

    assert again["changed"]
    assert again["restore_point"]["disks"][0]["transport"] == "nfc"
    assert again["restore_point"]["added"] < 1 << 20


@pytest.mark.slow
def test_each_call_goes_wrong_once(shelf, back_up):
    rolls = random.Random(20)
    write(shelf, rolls)
    assert back_up()["changed"]
    write(shelf, rolls)
    shelf.vcenter.forget_calls()
    assert back_up()["changed"]
    calls = shelf.vcenter.calls()
    assert {"CreateSnapshot_Task", "RemoveSnapshot_Task", "ReconfigVM_Task"} <= calls.keys()
    for method, nth, kind in some_of(calls):
        go_wrong(shelf, back_up, rolls, (method, nth, kind))
    last = back_up()
    assert shelf.holds_what_the_guest_has(VM, last)


def some_of(calls):
    """The first call of each method and one more, each with a fault. How often a task was looked at
    differs from run to run, and must not change what is chosen of other methods."""
    for method, count in sorted(calls.items()):
        rolls = random.Random(method)
        if method in NEVER_ASKED:
            continue
        kinds = [kind for kind in FAULTS if kind != "failing" or method.endswith("_Task")]
        if "/" in method or method.startswith("Pbm"):  # whose faults are not those of vim
            kinds = ["lost"]
        for nth in sorted({1, rolls.randint(1, count)})[-examples(2) :]:
            yield method, nth, rolls.choice(kinds)


def write(shelf, rolls):
    shelf.vcenter.guest_write(VM, DISK, rolls.randrange(15 << 20), rolls.randbytes(5000))


def go_wrong(shelf, back_up, rolls, case):
    method, nth, kind = case
    write(shelf, rolls)
    points = len(shelf.opened.points())
    shelf.vcenter.rule(method, nth=nth, **FAULTS[kind])
    result = back_up()
    shelf.vcenter.clear_rules()
    made = len(shelf.opened.points()) - points
    left = left_in(shelf.vcenter)
    if result is None:
        assert made == 0, f"{case}: it failed, and there is a restore point"
    else:
        assert made == result["changed"], case
        assert not left or result.get("leftovers"), f"{case}: {left} was not told of"
    next_run(shelf.vcenter)
    assert left_in(shelf.vcenter) == [], case
