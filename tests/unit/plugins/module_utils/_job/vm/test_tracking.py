# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which mark a restore point records, by how a disk was read."""

from __future__ import annotations

import datetime
import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.request import (
    quiesce_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.subject import Choice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.backup.tracking import (
    DiskHistory,
    history,
    is_long_unread,
    last_mark,
    state_of,
    still_history,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import times
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    Reading,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.changes import (
    Changes,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.doubt import UNPROVED
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.marks import DiskMark
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.quiesce import (
    Level,
)

MIB = 1 << 20
CLAIMED = (Extent(MIB, MIB, Kind.DATA),)


def mark(**more):
    facts = {
        "vcenter": "vc", "vm": "vm-1", "key": 2000, "label": "scsi0:0", "uuid": "u1",
        "capacity": 16 * MIB, "change_id": "52 a/7", "untracked": None,
        "chain": ("[ds] a.vmdk",), "snapshots": (), "change_version": "1", "host_build": "1",
        "storage": "VMFS", "task": "task-1", "taken_at": "2026-11-22T02:00:00",
    }  # fmt: skip
    return DiskMark(**{**facts, **more})


def unproved():
    claimed = Changes(mark(), None, UNPROVED, CLAIMED)
    return DiskHistory("now", since="then", doubt=UNPROVED, claimed=claimed)


def test_all_changes_named_proves():
    found = unproved().mark_after(Reading("then", [(MIB, MIB)], distrusted=False))
    assert found.proved
    assert found.untracked is None


def test_a_change_that_was_not_named_is_remembered():
    found = unproved().mark_after(Reading("then", [(5 * MIB, MIB)], distrusted=False))
    assert not found.proved
    assert found.blind
    assert "missed a change at byte 5242880" in found.untracked


@pytest.mark.parametrize(
    "reading",
    [
        Reading("then", None, distrusted=False),
        Reading("another", [(5 * MIB, MIB)], distrusted=False),
        Reading(None, [(MIB, MIB)], distrusted=False),
    ],
)
def test_nothing_is_proved_by_another_comparison(reading):
    found = unproved().mark_after(reading)
    assert not found.proved
    assert found.untracked is None


def test_what_a_self_check_finds_ends_the_proof():
    claimed = Changes(mark(proved=True), CLAIMED, None, CLAIMED)
    known = DiskHistory("now", since="then", runs=((MIB, MIB),), claimed=claimed)
    found = known.mark_after(Reading("then", None, distrusted=True))
    assert not found.proved
    assert found.blind


def test_what_was_found_wrong_stays_so_in_the_next_attempt():
    """Also if all that differs was named, as where another restore point is compared with."""
    claimed = Changes(mark(proved=True), CLAIMED, None, CLAIMED)
    known = DiskHistory("now", since="then", runs=(), claimed=claimed).found_wrong("byte 5")
    found = known.mark_after(Reading("then", [(MIB, MIB)], distrusted=False))
    assert known.changes == ()
    assert known.doubt == "byte 5"
    assert (found.proved, found.blind) == (False, True)


def point(transport, days):
    """A restore point with a disk, made so many days ago."""
    made = times.to_exact(times.now() - datetime.timedelta(days=days))
    disk = types.SimpleNamespace(uuid="u1", facts={"transport": transport})
    return types.SimpleNamespace(problem=None, clock=made, disks=[disk])


@pytest.mark.parametrize(
    ("points", "unread"),
    [
        ([point("nfc", 1)], False),
        ([point("nfc", 6), point("none", 1)], False),
        ([point("nfc", 8), point("none", 1)], True),
        ([point("none", 1)], True),
        ([point("nfc", -1)], True),  # a clock that ran ahead proves nothing
        ([], True),
    ],
)
def test_a_disk_of_which_nothing_was_read_for_days(points, unread):
    assert is_long_unread(points, "u1") is unread
    assert is_long_unread(points, "another")


def test_a_template_has_no_mark():
    assert still_history("s", rely=True).mark_after(Reading(None, None, distrusted=False)) is None


def test_an_unchanged_template_need_not_be_read():
    (changes,) = still_history("s", rely=True).changes
    assert (changes.since, list(changes.extents())) == ("s", [])
    assert still_history("s", rely=False).changes == ()


def test_states_differ_by_change_id_and_need_one():
    assert state_of(mark()) == state_of(mark(host_build="2"))
    assert (
        len({state_of(mark()), state_of(mark(change_id="52 a/8")), state_of(mark(uuid="x"))}) == 3
    )
    assert state_of(mark(change_id=None)) is None
    assert state_of(mark(uuid="")) is None


def point(*marks, problem=None):
    disks = [
        types.SimpleNamespace(facts={"mark": each.facts()}, change_id=each.change_id)
        for each in marks
    ]
    return types.SimpleNamespace(disks=disks, problem=problem)


def test_a_disk_is_known_by_its_uuid_and_else_by_its_place():
    points = [
        point(mark(uuid="u1", change_id="old/1")),
        point(mark(uuid="u1", change_id="new/2"), mark(uuid="u2", label="scsi0:1")),
        point(mark(uuid="u1", change_id="bad/3"), problem="damaged"),
        point(mark(uuid="u3", label="scsi0:2")),
    ]
    assert last_mark(points, "u1", "scsi0:9").mark.change_id == "new/2"
    assert last_mark(points, "another", "scsi0:1").mark.uuid == "u2"
    assert last_mark(points, "another", "scsi0:7") is None
    assert last_mark([types.SimpleNamespace(disks=[], problem=None)], "u1", "scsi0:0") is None


def test_nobody_is_asked_who_is_not_relied_on():
    found = history(None, mark(), [], rely=False)
    assert found.changes == ()
    assert found.claimed.mark == mark()


def test_disks_are_meant_by_name_and_label():
    assert Choice().means("scsi0:0", "Hard disk 1")
    assert Choice(disks=("Hard disk 1",)).means("scsi0:0", "Hard disk 1")
    assert not Choice(disks=("scsi0:1",)).means("scsi0:0", "Hard disk 1")
    assert not Choice(("scsi0:0",), ("Hard disk 1",)).means("scsi0:0", "Hard disk 1")


@pytest.mark.parametrize(
    ("best", "least", "expected"),
    [
        ("application", None, Level.FILESYSTEM),
        ("filesystem", None, Level.FILESYSTEM),
        ("crash_consistent", None, Level.CRASH),
        ("application", "application", Level.APPLICATION),
        ("application", "crash_consistent", Level.CRASH),
    ],
)
def test_what_is_good_enough(best, least, expected):
    assert quiesce_of(best, least).least is expected


def test_what_is_good_enough_is_not_better_than_the_best():
    with pytest.raises(InvalidRequest):
        quiesce_of("crash_consistent", "application")
