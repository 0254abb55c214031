# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Frozen disks are attached to this host, read, and taken away again; others' disks stay."""

# pylint: disable=unused-import
from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    AccessDenied,
    CorruptDisk,
    DiskError,
    DiskInUse,
    DiskNotFound,
    ReadOnlyDisk,
    TransportUnavailable,
    VSphereFault,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd import (
    attachment,
    device,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd.transport import (
    HotAdd,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import (
    session as sessions,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection import wire
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks import attach
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.machine import (
    NONPERSISTENT,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.sweep import sweep
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.hotadd_tree import (
    PROXY,
    frozen,
    frozen_disk,
    one_proxy,  # noqa: F401
    proxy,  # noqa: F401
    put,
    take_away,
)
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.leftovers import journals
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    QUICK,
    find_vm,
    log_in,
    run_of_ours,
)
from ansible_collections.vdisk.lifecycle.tests.simulator.clients import disks

MIB = 1 << 20


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    monkeypatch.setattr(attachment, "PATIENCE", 3.0)
    monkeypatch.setattr(attachment, "PAUSE", 0.05)
    monkeypatch.setattr(device, "APPEARING", 1.0)
    monkeypatch.setattr(device, "LOOKED_AT", 0.3)


@pytest.fixture(scope="module")
def session(one_proxy):  # noqa: F811
    with log_in(one_proxy.vcenter) as opened:
        yield opened


@pytest.fixture
def run(session, proxy):  # noqa: F811
    """(session, journal) of a job."""
    with run_of_ours() as journal:
        yield session, journal


@pytest.fixture
def kinds(run):
    """What the journal holds just now."""
    return lambda: [entry.kind for entry in run[1].open_entries()]


def test_the_content_is_that_of_the_snapshots_moment(proxy, run):  # noqa: F811
    name, then = proxy.fresh(), os.urandom(100_000)
    proxy.vcenter.guest_write(name, 2000, 300_001, then)
    expected = proxy.content(name)
    disk = proxy.held(*run, name)
    proxy.vcenter.guest_write(name, 2000, 300_001, b"now" * 1000)
    with proxy.hot_add(*run).open(disk) as opened:
        proxy.vcenter.guest_write(name, 2000, 0, b"and later")
        assert bytes(read(opened, 0, opened.size)) == expected
        assert bytes(read(opened, 300_001, 100_000)) == then
    assert proxy.content(name) != expected


def test_it_is_attached_so_that_nothing_can_be_written_to_it(proxy, run):  # noqa: F811
    disk = proxy.held(*run)
    with proxy.hot_add(*run).open(disk) as opened:
        assert proxy.attached() == {disk.path: NONPERSISTENT}
        with pytest.raises(ReadOnlyDisk):
            opened.write(0, b"x")


def test_all_that_was_made_is_gone_and_nothing_else(proxy, run, kinds):  # noqa: F811
    name = proxy.fresh()
    with frozen(*run, name) as disk:
        before = proxy.files()
        opened = proxy.hot_add(*run).open(disk)
        assert kinds() == ["attach", "snapshot"]
        assert proxy.tree.names() == ["sda", "sdb"]
        opened.close()
        assert proxy.attached() == {}
        assert proxy.tree.names() == ["sda"]
        assert kinds() == ["snapshot"]
        assert proxy.files() == before
    assert kinds() == []
    assert proxy.vcenter.state()["torn"] == []


def test_a_second_close_does_nothing(proxy, run):  # noqa: F811
    opened = proxy.hot_add(*run).open(proxy.held(*run))
    opened.close()
    proxy.vcenter.forget_calls()
    opened.close()
    assert proxy.vcenter.calls().get("ReconfigVM_Task", 0) == 0


def test_several_disks_at_once_by_threads(proxy, run):  # noqa: F811
    names = [proxy.fresh() for _number in range(3)]
    for number, name in enumerate(names):
        proxy.vcenter.guest_write(name, 2000, 0, bytes([number + 1]) * 4096)
    held = [proxy.held(*run, name) for name in names]
    transport = proxy.hot_add(*run)

    def first(disk):
        with transport.open(disk) as opened:
            return bytes(read(opened, 0, 4096))

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        found = list(pool.map(first, held))
    assert found == [bytes([number + 1]) * 4096 for number in range(3)]
    assert proxy.attached() == {}


@pytest.mark.parametrize("pause", [0.3, -0.05], ids=["late", "when asked"])
def test_a_guest_that_is_slow_is_waited_for(proxy, run, monkeypatch, pause):  # noqa: F811
    monkeypatch.setattr(device, "APPEARING", 60.0)
    proxy.vcenter.mode(guest_notices=pause)
    with proxy.hot_add(*run).open(proxy.held(*run)) as opened:
        assert opened.size == 16 * MIB


@pytest.mark.parametrize(
    ("mode", "error", "words"),
    [
        ({"guest_notices": 1000.0}, DiskNotFound, "no disk of this host has that uuid"),
        ({"guest_sees_wrong_size": True}, CorruptDisk, "not as long as the one"),
        ({"guest_holds": ["dm-3"]}, DiskInUse, "global_filter"),
    ],
    ids=["never", "other size", "taken by LVM"],
)
def test_what_cannot_be_read_is_detached_again(
    proxy,  # noqa: F811
    run,
    kinds,
    mode,
    error,
    words,
):
    proxy.vcenter.mode(**mode)
    with pytest.raises(error, match=words):
        proxy.hot_add(*run).open(proxy.held(*run))
    assert proxy.attached() == {}
    assert kinds() == []


def test_the_next_slot_is_taken_where_another_was_faster(proxy, run, monkeypatch):  # noqa: F811
    disk, other = proxy.held(*run), proxy.held(*run)
    real = attach.find_slot

    def slow(devices, wanted):  # between our look at the slots and our request
        slot = real(devices, wanted)
        monkeypatch.setattr(attach, "find_slot", real)
        proxy.somebody_attaches(other.path, slot.unit)
        return slot

    monkeypatch.setattr(attach, "find_slot", slow)
    with proxy.hot_add(*run).open(disk):
        assert proxy.attached() == {disk.path: NONPERSISTENT, other.path: NONPERSISTENT}
    assert proxy.attached() == {other.path: NONPERSISTENT}
    proxy.detach_all()


@pytest.mark.parametrize("fault", ["TaskInProgress", "ConcurrentAccess"])
def test_a_proxy_that_is_busy_is_waited_for(proxy, run, fault):  # noqa: F811
    disk = proxy.held(*run)
    proxy.vcenter.rule("ReconfigVM_Task", fault=fault, task=True)
    opened = proxy.hot_add(*run).open(disk)
    proxy.vcenter.rule("ReconfigVM_Task", fault=fault, task=True)
    opened.close()
    assert proxy.attached() == {}


def test_a_refusal_leaves_nothing(proxy, run, kinds):  # noqa: F811
    proxy.vcenter.rule("ReconfigVM_Task", fault="InvalidState")
    with pytest.raises(VSphereFault):
        proxy.hot_add(*run).open(proxy.held(*run))
    assert kinds() == []


FAULTS = {
    "failing": {"fault": "HostCommunication", "task": True},
    "lost": {"drop": True},
    "unanswered": {"drop": "after"},  # it is attached, or will be, and nobody says so
    "hanging": {"delay": 1.2},
    "expired": {"expire_session": True},
}


@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("nth", [1, 2], ids=["attaching", "detaching"])
def test_whatever_goes_wrong_nothing_is_left(proxy, session, monkeypatch, nth, kind):  # noqa: F811
    """After the next run; and what may be left is in the journal."""
    if kind == "hanging":
        monkeypatch.setattr(wire.Connection, "answer_timeout", 0.5)
    monkeypatch.setattr(sessions, "SECOND_TRY", 0.1)
    with run_of_ours() as journal:
        transport, disk = proxy.hot_add(session, journal), proxy.held(session, journal)
        proxy.vcenter.rule("ReconfigVM_Task", nth=nth, **FAULTS[kind])
        with contextlib.suppress(DiskError):
            transport.open(disk).close()
        proxy.vcenter.wait_until_idle()
        assert not proxy.attached() or [each.kind for each in journal.open_entries()] == ["attach"]
    assert all(each.done for each in sweep(session, (), QUICK))
    assert proxy.attached() == {}
    assert journals() == []


def test_what_cannot_be_detached_stays_in_the_journal(
    proxy,  # noqa: F811
    run,
    kinds,
    monkeypatch,
):
    monkeypatch.setattr(attachment, "PATIENCE", 0.2)
    opened = proxy.hot_add(*run).open(proxy.held(*run))
    proxy.vcenter.rule("ReconfigVM_Task", fault="InvalidState", times=0)
    with pytest.raises(VSphereFault, match="The next run goes on with that"):
        opened.close()
    assert kinds() == ["attach"]
    proxy.vcenter.clear_rules()
    proxy.detach_all()
    run[1].done(run[1].open_entries()[0].number)


def test_a_missing_privilege_is_not_waited_for(proxy, run, monkeypatch):  # noqa: F811
    monkeypatch.setattr(attachment, "PATIENCE", 60.0)
    opened = proxy.hot_add(*run).open(proxy.held(*run))
    proxy.vcenter.mode(denied=["VirtualMachine.Config.RemoveDisk"])
    with pytest.raises(AccessDenied):
        opened.close()
    proxy.vcenter.reset_modes()
    proxy.detach_all()


def test_a_disk_that_somebody_has_detached_is_done(proxy, run, kinds):  # noqa: F811
    opened = proxy.hot_add(*run).open(proxy.held(*run))
    proxy.detach_all()
    opened.close()
    assert kinds() == []


def test_another_disk_under_the_key_of_ours_stays(proxy, run, kinds):  # noqa: F811
    """vSphere gives keys again."""
    disk, foreign = proxy.held(*run), proxy.held(*run)
    opened = proxy.hot_add(*run).open(disk)
    with proxy.client() as client:
        machine = client.machine(PROXY)
        ours = disks(machine)[-1]
        take_away(machine, ours)
        put(machine, foreign.path, ours.unitNumber)
        assert disks(machine)[-1].key == ours.key
    opened.close()
    assert proxy.attached() == {foreign.path: NONPERSISTENT}
    assert kinds() == []
    proxy.detach_all()


def test_the_same_file_at_another_place_is_somebody_elses(proxy, run):  # noqa: F811
    disk = proxy.held(*run)
    opened = proxy.hot_add(*run).open(disk)
    proxy.somebody_attaches(disk.path, 11)
    opened.close()
    assert proxy.attached() == {disk.path: NONPERSISTENT}
    proxy.detach_all()


@pytest.mark.parametrize("name", ["debian-template", "files01"])
def test_a_template_and_a_machine_that_is_off(proxy, run, name):  # noqa: F811
    session, journal = run
    disk = frozen_disk(session, journal, find_vm(session, name), name, None)
    with proxy.hot_add(*run).open(disk) as opened:
        expected = proxy.vcenter.guest_read(name, 2000, 0, 4 * MIB)
        assert bytes(read(opened, 0, 4 * MIB)) == expected
        assert any(expected)


def test_a_machine_with_a_snapshot_of_somebody_else(proxy, run):  # noqa: F811
    """Ours stands on a delta then."""
    name = proxy.fresh()
    proxy.held(*run, name)
    proxy.vcenter.guest_write(name, 2000, 5 * MIB, b"in the delta")
    disk = proxy.held(*run, name)
    assert disk.path.endswith("-000001.vmdk")
    expected = proxy.content(name)
    proxy.vcenter.guest_write(name, 2000, 5 * MIB, b"after that..")
    with proxy.hot_add(*run).open(disk) as opened:
        assert bytes(read(opened, 0, opened.size)) == expected


def test_the_sweep_leaves_what_a_living_run_reads(proxy, run):  # noqa: F811
    """A dead run has noted the same disk, and a living one has it now."""
    session, journal = run
    disk = proxy.held(*run)
    with proxy.hot_add(*run).open(disk):
        (entry,) = journal.open_entries()
        with run_of_ours("the dead one") as dead:
            dead.note("attach", **entry.facts)
            os.close(dead._fd)
            dead._fd = -1
        (told,) = sweep(session, (), QUICK)
        assert not told.done
        assert "a run that is at work has it attached" in told.message
        assert proxy.attached() == {disk.path: NONPERSISTENT}
    assert sweep(session, (), QUICK) == []


def test_the_password_is_not_in_the_journal(proxy, run):  # noqa: F811
    with proxy.hot_add(*run).open(proxy.held(*run)):
        assert proxy.vcenter.password not in Path(run[1].path).read_text()


def test_no_second_disk_of_one_uuid_comes_into_the_guest(proxy, run, tmp_path):  # noqa: F811
    """Such as where this host was copied from the machine that it backs up."""
    disk = proxy.held(*run)
    wwid = tmp_path / "sys/block/sda/device/wwid"
    shutil.copytree(proxy.tree.sys_root, tmp_path / "sys", dirs_exist_ok=True)
    twin = tmp_path / "sys/block/sdq/device"
    shutil.copytree(wwid.parent, twin)
    (twin / "wwid").write_text("naa." + disk.uuid.replace("-", "").lower())
    transport = HotAdd(*run, sys_root=str(tmp_path / "sys"), dev_root=proxy.tree.dev_root)
    assert "a disk of the same uuid already" in transport.refusal(disk)
    with pytest.raises(TransportUnavailable):
        transport.open(disk)
    assert proxy.attached() == {}


def test_a_disk_that_is_read_already_is_refused(proxy, run):  # noqa: F811
    disk = proxy.held(*run)
    with proxy.hot_add(*run).open(disk):
        assert "another job" in proxy.hot_add(*run).refusal(disk)
        with pytest.raises(TransportUnavailable, match="another job"):
            proxy.hot_add(*run).open(disk)
