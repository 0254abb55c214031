# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full backup and its increments give the disk of a simulated machine after every step."""

# pylint: disable=unused-import
from __future__ import annotations

import dataclasses
import functools
import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes import (
    areas,
    changes,
    doubt,
    history,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.changes import (
    Tracker,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.tracking import (
    enable_tracking,
    reset_tracking,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.libraries import (
    vim,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.connection.tasks import wait
from ansible_collections.vdisk.lifecycle.tests.integration.vsphere.lifecycle import (
    OURS,
    QUICK,
    Copy,
    disk_of,
    find_vm,
    keep,
    log_in,
    machines,  # noqa: F401
    place,  # noqa: F401
    run_of_ours,
    set_tracking,
    snapshots,
)

BLOCK = 64 << 10
SIZE = 16 << 20
FIRST = 5  # machines before these are of other sorts

writes = st.tuples(st.just("write"), st.integers(0, SIZE // BLOCK - 1), st.integers(1, 3 * BLOCK))
others = st.sampled_from([("keep",), ("drop",), ("revert",), ("resize",), ("reset",), ("blind",)])
stories = st.lists(st.one_of(writes, writes, writes, others), min_size=2, max_size=9)
# What others do under our snapshots, before vCenter is asked for the changes or after.
disturbances = st.lists(
    st.sampled_from([None, None, None])
    | st.tuples(
        st.sampled_from(["before_asking", "meanwhile"]), st.sampled_from(["reset", "blind"])
    ),
    min_size=9,
    max_size=9,
)
modes = st.fixed_dictionaries(
    {
        "page": st.sampled_from([1, 3, 2000]),
        "page_span": st.sampled_from([0, 5 * BLOCK]),
        "overhang": st.booleans(),
        "revert_keeps_ids": st.booleans(),
    }
)


class Guest:
    """A machine, and what its disk must hold: a plain bytearray."""

    def __init__(self, vcenter, session, vm):
        self._vcenter, self._session, self._vm = vcenter, session, vm
        self.disk = bytearray(SIZE)
        self._kept, self._count = [], itertools.count(1)

    def write(self, block, length):
        data = bytes([next(self._count) % 255 + 1]) * length
        data = data[: len(self.disk) - block * BLOCK]
        self._vcenter.guest_write(self._vm.name, 2000, block * BLOCK, data)
        self.disk[block * BLOCK : block * BLOCK + len(data)] = data

    def keep(self):
        keep(self._session, self._vm)
        self._kept.append(bytes(self.disk))

    def drop(self):
        if self._kept:
            theirs = [node for node in snapshots(self._vm) if not node.name.startswith(OURS)]
            wait(self._session, theirs[0].snapshot.RemoveSnapshot_Task(False))
            self._kept.pop(0)

    def revert(self):
        if self._kept:
            wait(self._session, snapshots(self._vm)[-1].snapshot.RevertToSnapshot_Task())
            self.disk = bytearray(self._kept[-1])

    def resize(self):
        if not self._kept:
            disk = disk_of(self._vm)
            disk.capacityInKB += 1024
            disk.capacityInBytes = disk.capacityInKB * 1024
            change = vim().vm.device.VirtualDeviceSpec(operation="edit", device=disk)
            wait(
                self._session, self._vm.ReconfigVM_Task(vim().vm.ConfigSpec(deviceChange=[change]))
            )
            self.disk += bytes(1 << 20)

    def reset(self):
        """Another product resets tracking, as it should be done."""
        if not self._kept:
            self.blind()
            self.keep()
            self.drop()

    def blind(self):
        """As it should not be done where there are snapshots: vSphere loses changes then."""
        set_tracking(self._session, self._vm, False)
        set_tracking(self._session, self._vm, True)


def play(vcenter, session, journal, name, story, disturbed=()):
    """Backs up before and after every step, and compares. `disturbed` are (when, how), or None, for
    each backup after a step."""
    vm = find_vm(session, name)
    assert enable_tracking(session, vm, journal, patience=QUICK) is None
    guest, copy = Guest(vcenter, session, vm), Copy(vcenter, session, vm, journal)
    copy.back_up()
    same = copy.image == guest.disk
    assert same
    for number, (step, *arguments) in enumerate(story):
        getattr(guest, step)(*arguments)
        expected = bytes(guest.disk)
        back_up(copy, guest, number, disturbed[number] if disturbed else None)
        same = copy.image == expected
        assert same, f"after {step}"
    return copy


def back_up(copy, guest, number, disturbance):
    when, how = disturbance or ("meanwhile", "write")
    others = {"before_asking": [], "meanwhile": [lambda: guest.write(number, 700)]}
    if disturbance:
        others[when].append(getattr(guest, how))
    copy.back_up(**{when: functools.partial(do_all, each) for when, each in others.items()})


def do_all(actions):
    for action in actions:
        action()


@pytest.fixture
def state(tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "jobs"))


@pytest.mark.slow
@pytest.mark.parametrize("storage", ["vmfs", "nfs", "vsan"])
def test_full_and_increments_give_the_disk(start_vcenter, state, storage):
    examples = 5
    vcenter = start_vcenter("--vms", str(FIRST + 60), "--storage", storage)
    numbers = itertools.count(FIRST)

    @settings(max_examples=examples, suppress_health_check=list(HealthCheck))
    @given(stories, disturbances, modes)
    def the_property(story, disturbed, mode):
        vcenter.mode(**mode)
        play(vcenter, session, journal, f"many{next(numbers):05}", story, disturbed)

    with log_in(vcenter) as session, run_of_ours() as journal:
        the_property()


@pytest.fixture
def quiet_vm(place):  # noqa: F811
    """(vcenter, session, journal, name) of a machine that nobody has touched."""
    vcenter, name = place
    with log_in(vcenter) as session, run_of_ours() as journal:
        yield vcenter, session, journal, name


SCATTERED = [("write", 2, 9), ("write", 100, 9), ("write", 200, 9)]


def test_what_did_not_change_is_not_read_again(quiet_vm):
    copy = play(*quiet_vm, SCATTERED)

    assert copy.reasons == ["no restore point has it yet", doubt.UNPROVED, None, None]


def test_a_revert_that_vcenter_does_not_tell_of_is_noticed(quiet_vm):
    quiet_vm[0].mode(revert_keeps_ids=True)

    copy = play(*quiet_vm, [("keep",), ("write", 3, 9), ("revert",), ("revert",)])

    assert copy.reasons[-1] is not None


def test_tracking_begun_under_a_snapshot_is_not_trusted(quiet_vm):
    copy = play(*quiet_vm, [("keep",), ("blind",), ("write", 3, 9), ("write", 9, 9)])

    assert "while the VM had the snapshot" in copy.reasons[-1]


UNDER_OURS = [("meanwhile", "blind"), ("meanwhile", "reset"), ("before_asking", "blind")]
WRITES = [("write", 2, 9), ("write", 9, 9), ("write", 20, 9), ("write", 30, 9), ("write", 40, 9)]


@pytest.mark.parametrize("disturbance", UNDER_OURS)
def test_tracking_restarted_under_our_own_snapshot_is_not_trusted(quiet_vm, disturbance):
    copy = play(*quiet_vm, WRITES, [None, disturbance, None, None, None])

    assert "missed a change" in copy.mark.untracked


@pytest.mark.parametrize("disturbance", UNDER_OURS)
def test_without_proof_that_would_be_lost(quiet_vm, disturbance, monkeypatch):
    left = [rule for rule in doubt._RULES if rule.__name__ != "_proof"]
    monkeypatch.setattr(doubt, "_RULES", left)

    with pytest.raises(AssertionError):
        play(*quiet_vm, WRITES, [None, disturbance, None, None, None])


def test_without_a_look_at_the_running_disk_changes_would_be_lost(quiet_vm, monkeypatch):
    frozen = {}
    real = Tracker.changes

    def remember(tracker, before, now):
        frozen["tracker"] = now.tracker
        return real(tracker, before, now)

    monkeypatch.setattr(Tracker, "changes", remember)
    monkeypatch.setattr(changes, "running_tracker", lambda *_args: frozen["tracker"])

    with pytest.raises(AssertionError):
        play(*quiet_vm, SCATTERED, [None, ("before_asking", "blind"), None])


@pytest.fixture
def blind_vm(quiet_vm):
    """(guest, copy) of a machine whose tracking began under a snapshot that nobody saw of us."""
    vcenter, session, journal, name = quiet_vm
    vm = find_vm(session, name)
    guest = Guest(vcenter, session, vm)
    guest.keep()
    guest.blind()
    guest.drop()
    return guest, Copy(vcenter, session, vm, journal)


def test_tracking_begun_under_a_snapshot_that_is_gone_is_found_out(blind_vm):
    guest, copy = blind_vm
    for block in range(5):
        guest.write(block, 9)
        copy.back_up()
        same = copy.image == guest.disk
        assert same

    assert "missed a change" in copy.mark.untracked


def test_tracking_that_missed_a_change_is_begun_anew(blind_vm, quiet_vm):
    _vcenter, session, journal, name = quiet_vm
    guest, copy = blind_vm
    for block in range(3):
        guest.write(block, 9)
        copy.back_up()
    assert "missed a change" in copy.mark.untracked

    assert reset_tracking(session, find_vm(session, name), journal, patience=QUICK) is None
    for block in range(3):
        guest.write(block, 99)
        copy.back_up()

    assert copy.mark.proved
    assert copy.reasons[-1] is None
    same = copy.image == guest.disk
    assert same


def attach_again(vcenter, session, vm):
    """Out of the machine, and back into the same place with the same file."""
    vcenter.mode(reattach_keeps_ids=True)
    wait(session, vm.PowerOffVM_Task())
    disk = disk_of(vm)
    for operation in ("remove", "add"):
        change = vim().vm.device.VirtualDeviceSpec(operation=operation, device=disk)
        wait(session, vm.ReconfigVM_Task(vim().vm.ConfigSpec(deviceChange=[change])))


@pytest.fixture
def detached(quiet_vm):
    """(guest, copy) of a machine whose disk was elsewhere for a while; believed until then."""
    vcenter, session, _journal, name = quiet_vm
    copy = play(*quiet_vm, SCATTERED)
    assert copy.mark.proved
    vm = find_vm(session, name)
    guest = Guest(vcenter, session, vm)
    guest.disk = bytearray(vcenter.guest_read(name, 2000, 0, SIZE))
    attach_again(vcenter, session, vm)
    guest.write(7, 9)
    return guest, copy


def test_a_disk_that_was_detached_is_read_whole(detached):
    guest, copy = detached
    key, uuid = copy.mark.key, copy.mark.uuid

    copy.back_up()

    assert copy.reasons[-1].startswith("it was detached at 20")
    assert (copy.mark.key, copy.mark.uuid) == (key, uuid)
    same = copy.image == guest.disk
    assert same


def test_nothing_else_tells_that_it_was_detached(detached, monkeypatch):
    guest, copy = detached
    monkeypatch.setattr(history, "_altered", lambda *_args: None)

    copy.back_up()

    same = copy.image == guest.disk
    assert not same


def first_page_only(query, capacity):
    return areas._arranged([areas._run(area) for area in query(0).changedArea], capacity)


def until_an_empty_page(query, capacity):
    found, start = [], 0
    while start < capacity and (page := query(start)).changedArea:
        found.extend(areas._run(area) for area in page.changedArea)
        start += page.length
    return areas._arranged(found, capacity)


@pytest.mark.parametrize("broken", [first_page_only, until_an_empty_page])
def test_broken_paging_is_noticed(quiet_vm, monkeypatch, broken):
    quiet_vm[0].mode(page=1, page_span=8 * BLOCK)
    monkeypatch.setattr(changes, "all_areas", broken)

    with pytest.raises(AssertionError):
        play(*quiet_vm, SCATTERED)


def test_a_change_id_of_the_running_disk_is_noticed(quiet_vm, monkeypatch):
    """Read when our snapshot is gone again, it knows nothing of what was written meanwhile."""
    in_time = Copy.back_up

    def too_late(copy, **others):
        in_time(copy, **others)
        keep(quiet_vm[1], copy._vm)
        wait(quiet_vm[1], snapshots(copy._vm)[-1].snapshot.RemoveSnapshot_Task(False))
        young = disk_of(copy._vm).backing.changeId
        copy.mark = dataclasses.replace(copy.mark, change_id=young)

    monkeypatch.setattr(Copy, "back_up", too_late)

    with pytest.raises(AssertionError):
        play(*quiet_vm, SCATTERED)
