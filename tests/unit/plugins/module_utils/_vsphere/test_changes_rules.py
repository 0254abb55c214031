# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each doubt about changed block tracking, and each oddity of its answers, by itself."""

from __future__ import annotations

import dataclasses
import json

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    ServerUnreachable,
    VSphereFault,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.areas import (
    ChangesUnknown,
    all_areas,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.changes import (
    changes_since,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.doubt import (
    UNPROVED,
    doubt,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes.proof import judged
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.marks import DiskMark
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vsphere.tracked import (
    Area,
    Page,
)

MIB = 1 << 20
BEFORE = DiskMark(
    vcenter="aaaa",
    vm="vm-7",
    key=2000,
    label="scsi0:0",
    uuid="6000C29-1",
    capacity=64 * MIB,
    change_id="52 de/4",
    untracked=None,
    chain=("[ds] vm/vm.vmdk",),
    snapshots=(3,),
    change_version="1",
    host_build="100",
    storage="VMFS",
    task="task-9",
    taken_at="2026-01-01T00:00:00+00:00",
    proved=True,
)
NOW = dataclasses.replace(BEFORE, change_id="52 de/9", proved=False)

UNPROVED_BEFORE = dataclasses.replace(BEFORE, proved=False)


def no_past(_before):
    return None


def running():
    return "52 de"


def answers(*pages):
    """A query that gives these pages in turn."""
    waiting = [
        Page(start, length, [Area(*area) for area in areas]) for start, length, areas in pages
    ]
    return lambda _start: waiting.pop(0)


def test_nothing_speaks_against_a_quiet_disk():
    assert doubt(BEFORE, NOW) is None


def test_a_disk_without_a_restore_point_is_read_whole():
    assert doubt(None, NOW) == "no restore point has it yet"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"untracked": "tracking is off"}, "tracking is off"),
        ({"vcenter": "bbbb"}, "another vCenter"),
        ({"vm": "vm-8"}, "registered anew"),
        ({"uuid": "6000C29-2"}, "another disk"),
        ({"uuid": ""}, "no uuid"),
        ({"key": 2001}, "attached anew"),
        ({"capacity": 65 * MIB}, "its size was"),
        ({"capacity": 63 * MIB}, "its size was"),
        ({"chain": ("[other] vm/vm.vmdk",)}, "moved or reverted"),
        ({"chain": ("[ds] vm/vm.vmdk", "[other] vm/vm.vmdk")}, "moved or reverted"),
        ({"snapshots": ()}, "a snapshot that it stood on is gone"),
        ({"snapshots": (4,)}, "a snapshot that it stood on is gone"),
        ({"host_build": "101"}, "build was 100 and is 101"),
        ({"host_build": ""}, "build of its host cannot be read"),
        ({"change_id": "52 df/9"}, "restarted"),
        ({"change_id": "52 de/3"}, "went back"),
        ({"change_id": "52 de/"}, "went back"),
    ],
)
def test_a_doubt_is_told(change, reason):
    assert reason in doubt(BEFORE, dataclasses.replace(NOW, **change))


@pytest.mark.parametrize(
    "change",
    [
        {"snapshots": (3, 4)},
        {"chain": ("[ds] vm/vm-000001.vmdk", "[ds] vm/vm.vmdk")},
        {"change_version": "2"},
        {"label": "scsi0:1"},
    ],
)
def test_what_happens_all_the_time_is_no_doubt(change):
    assert doubt(BEFORE, dataclasses.replace(NOW, **change)) is None


def test_what_was_never_compared_is_a_doubt():
    assert doubt(UNPROVED_BEFORE, NOW) == UNPROVED


def test_the_past_is_asked_for_only_without_other_doubts():
    def past(_before):
        raise AssertionError

    changes = changes_since(BEFORE, dataclasses.replace(NOW, key=1), past, None, running)

    assert changes.extents is None


def test_a_revert_is_a_reason():
    changes = changes_since(BEFORE, NOW, lambda _before: "it was reverted", None, running)

    assert changes.extents is None
    assert changes.reason == "it was reverted"


class FileFault(Exception):
    faultCause = None  # noqa: N815


def test_a_fault_of_the_query_is_a_reason():
    def query(_start, _change_id):
        raise VSphereFault("no such change id") from FileFault()

    changes = changes_since(BEFORE, NOW, no_past, query, running)

    assert changes.extents is None
    assert "no such change id" in changes.reason


def test_a_broken_connection_is_an_error():
    def query(_start, _change_id):
        raise ServerUnreachable("gone") from ConnectionResetError()

    with pytest.raises(ServerUnreachable):
        changes_since(BEFORE, NOW, no_past, query, running)


def test_a_senseless_answer_is_a_reason():
    def query(start, _change_id):
        return Page(start, 0, [])

    changes = changes_since(BEFORE, NOW, no_past, query, running)

    assert changes.extents is None
    assert "no part of the disk" in changes.reason


def test_pages_are_asked_for_to_the_end_and_not_beyond():
    starts = []

    def query(start):
        starts.append(start)
        return Page(start, 4 * MIB, [])

    assert all_areas(query, 10 * MIB) == []
    assert starts == [0, 4 * MIB, 8 * MIB]


def test_no_page_of_an_empty_disk_is_asked_for():
    assert all_areas(None, 0) == []


def test_areas_are_sorted_merged_and_clipped():
    query = answers((0, 10 * MIB, [(8 * MIB, 4 * MIB), (2 * MIB, MIB), (MIB, MIB)]))

    assert all_areas(query, 10 * MIB) == [
        Extent(MIB, 2 * MIB, Kind.DATA),
        Extent(8 * MIB, 2 * MIB, Kind.DATA),
    ]


@pytest.mark.parametrize(
    "page",
    [
        (MIB, 9 * MIB, []),
        (0, 0, []),
        (0, -1, []),
        (0, 10 * MIB, [(0, 2 * MIB), (MIB, MIB)]),
        (0, 10 * MIB, [(MIB, MIB), (MIB, MIB)]),
        (0, 10 * MIB, [(-MIB, MIB)]),
        (0, 10 * MIB, [(MIB, 0)]),
        (0, 10 * MIB, [(MIB, -MIB)]),
    ],
)
def test_nonsense_is_not_believed(page):
    with pytest.raises(ChangesUnknown):
        all_areas(answers(page), 10 * MIB)


def test_an_area_that_two_pages_report_is_not_believed():
    with pytest.raises(ChangesUnknown):
        all_areas(answers((0, MIB, [(0, 2 * MIB)]), (MIB, 9 * MIB, [(MIB, MIB)])), 10 * MIB)


def test_a_mark_survives_the_manifest():
    assert DiskMark.parse(json.loads(json.dumps(BEFORE.facts()))) == BEFORE


def test_a_mark_of_another_version_is_none():
    facts = BEFORE.facts()
    del facts["task"]

    assert DiskMark.parse(facts) is None
    assert DiskMark.parse({}) is None


def test_what_is_unknown_in_a_mark_is_passed_over():
    assert DiskMark.parse({**BEFORE.facts(), "more": 1}) == BEFORE


def test_blind_tracking_stays_blind_until_it_begins_anew():
    blind = dataclasses.replace(BEFORE, untracked="begun under a snapshot", blind=True)
    anew = dataclasses.replace(NOW, change_id="53 00/1")

    assert NOW.following(blind).untracked == "begun under a snapshot"
    assert NOW.following(blind).blind
    assert anew.following(blind).untracked is None


def test_what_was_unreadable_for_a_moment_is_not_handed_down():
    unread = dataclasses.replace(BEFORE, untracked="a snapshot cannot be read", proved=False)

    found = changes_since(unread, NOW, no_past, None, running)

    assert found.reason == "at the last restore point, a snapshot cannot be read"
    assert found.mark.untracked is None
    assert doubt(found.mark, NOW) == UNPROVED


def test_a_moment_does_not_end_blindness():
    blind = dataclasses.replace(BEFORE, untracked="begun under a snapshot", blind=True)
    unread = dataclasses.replace(NOW, untracked="a snapshot cannot be read")

    assert unread.following(blind).untracked == "begun under a snapshot"
    assert unread.following(blind).blind


# Proof


def asked(before, *areas, running=running):
    return changes_since(
        before,
        NOW,
        no_past,
        lambda start, _id: answers((start, NOW.capacity, areas))(start),
        running,
    )


def chunk(number):
    return Extent(number * MIB, MIB, Kind.DATA)


def test_what_is_not_proved_is_asked_all_the_same():
    found = asked(UNPROVED_BEFORE, (MIB, MIB))

    assert found.extents is None
    assert found.reason == UNPROVED
    assert found.claimed == (chunk(1),)
    assert not found.mark.proved


def test_a_revert_is_a_reason_before_it_is_proved():
    found = changes_since(UNPROVED_BEFORE, NOW, lambda _before: "reverted", None, running)

    assert (found.reason, found.claimed) == ("reverted", None)


def test_what_is_believed_stays_proved():
    found = asked(BEFORE, (MIB, MIB))

    assert found.extents == (chunk(1),)
    assert found.mark.proved


def test_any_doubt_ends_a_proof():
    moved = dataclasses.replace(NOW, host_build="101")

    assert not changes_since(BEFORE, moved, no_past, None, running).mark.proved


@pytest.mark.parametrize("anew", [None, "53 00"])
def test_who_began_anew_while_asked_is_not_believed(anew):
    found = asked(BEFORE, (MIB, MIB), running=lambda: anew)

    assert found.extents is None
    assert found.claimed is None
    assert "restarted while it was asked" in found.reason


def test_all_that_differs_was_named():
    mark = judged(asked(UNPROVED_BEFORE, (MIB, 1), (4 * MIB, 9)), [chunk(1), chunk(4)])

    assert mark.proved
    assert mark.untracked is None


def test_naming_more_than_differs_is_no_fault():
    assert judged(asked(UNPROVED_BEFORE, (32 * MIB, 32 * MIB)), [chunk(63)]).proved


def test_naming_most_of_the_disk_proves_nothing():
    mark = judged(asked(UNPROVED_BEFORE, (0, 33 * MIB)), [chunk(5)])
    assert not mark.proved and mark.untracked is None


@pytest.mark.parametrize("missed", [0, 2, 63])
def test_a_change_that_was_not_named(missed):
    found = asked(UNPROVED_BEFORE, (MIB, MIB), (3 * MIB, MIB))

    mark = judged(found, [chunk(1), chunk(missed)])

    assert not mark.proved
    assert mark.untracked == f"changed block tracking missed a change at byte {missed * MIB}"
    assert mark.blind


def test_a_change_missed_by_what_was_believed():
    mark = judged(asked(BEFORE, (MIB, MIB)), [chunk(1), chunk(2)])

    assert not mark.proved
    assert mark.untracked is not None


def test_where_nothing_differs_nothing_is_proved():
    mark = judged(asked(UNPROVED_BEFORE), [])

    assert not mark.proved
    assert mark.untracked is None


def test_who_was_not_asked_is_not_judged():
    whole = changes_since(None, NOW, no_past, None, running)

    assert judged(whole, [chunk(1)]) == whole.mark
