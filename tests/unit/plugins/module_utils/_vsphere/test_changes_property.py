# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A full backup and its increments give the disk, whatever happens to the VM meanwhile.

The second half breaks one rule at a time: the property must notice each of them.
"""

from __future__ import annotations

import dataclasses
import typing as t

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes import (
    areas,
    changes,
    doubt,
    proof,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.marks import DiskMark
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vsphere.tracked import (
    BLOCK,
    Paging,
    World,
)

BLOCKS = 12
Story = t.Sequence[tuple[t.Any, ...]]
writes = st.tuples(st.just("write"), st.integers(0, BLOCKS + 6), st.integers(1, 99))
events = st.sampled_from(
    [
        ("keep",),
        ("drop",),
        ("revert", 0),
        ("revert", 1),
        ("resize",),
        ("restart_tracking",),
        ("stop_tracking",),
        ("attach_anew",),
        ("attach_again",),
        ("replace",),
        ("move",),
        ("upgrade_host",),
    ]
)
# What others do under our snapshot, before vCenter is asked for the changes, and after.
meanwhile = st.lists(
    st.one_of(
        writes,
        st.sampled_from([("restart_tracking",), ("stop_tracking",), ("keep",), ("drop",)]),
    ),
    max_size=2,
)
backups = st.just(("backup", [], []))
disturbed = st.tuples(st.just("backup"), meanwhile, meanwhile)
steps = st.lists(st.one_of(writes, writes, backups, backups, disturbed, events), max_size=25)
# A tracker that is believed: else most stories would end before there is one.
PROVED = [("backup", [], []), ("write", 5, 100), ("backup", [], [])]
stories = st.booleans().flatmap(
    lambda proved: steps.map(lambda story: [*(PROVED if proved else []), *story])
)
pagings = st.builds(Paging, st.integers(1, 5), st.none() | st.integers(1, 4))


class Backup:
    """The restore points of one disk, as a repository would keep them: the last is enough."""

    def __init__(self, paging: Paging) -> None:
        self._paging = paging
        self._image: list[int] = []
        self._last: t.Any = None
        self.increments = 0

    def run(self, world: World, see: t.Any, before: Story = (), after: Story = ()) -> None:
        frozen = world.freeze()
        do(world, before)
        found = changes.changes_since(
            self._last, frozen.mark, world.past, frozen.query(self._paging), world.running
        )
        mark = found.mark
        if found.extents is None:
            assert found.reason
            differing = differences(self._image, frozen.content)
            self._image = list(frozen.content)
            mark = proof.judged(found, differing)
        else:
            self.increments += 1
            for extent in found.extents:
                assert extent.end <= frozen.capacity
                for block in range(extent.offset // BLOCK, -(-extent.end // BLOCK)):
                    self._image[block] = frozen.content[block]
        do(world, after)
        self._last = see(world, mark)
        world.thaw()
        assert self._image == frozen.content


def differences(old: list[int], new: list[int]) -> list[Extent]:
    return [
        Extent(block * BLOCK, BLOCK, Kind.DATA)
        for block, value in enumerate(new)
        if block >= len(old) or old[block] != value
    ]


def do(world: World, story: Story) -> None:
    for name, *arguments in story:
        getattr(world, name)(*arguments)


def play(story: Story, paging: Paging, see: t.Any) -> Backup:
    world, backup = World(BLOCKS), Backup(paging)
    for name, *arguments in story:
        if name == "backup":
            backup.run(world, see, *arguments)
        else:
            do(world, [(name, *arguments)])
    backup.run(world, see)
    return backup


def as_frozen(_world: World, mark: DiskMark) -> DiskMark:
    return mark


# What a name that comes back hides, chance seldom finds: the second revert makes its file again.
REVERTED_TWICE = [*PROVED, ("keep",), ("write", 0, 1), ("backup",), ("revert", 0), ("revert", 0)]
# As above: the delta that comes after the move has the name of the one before.
MOVED = [*PROVED, ("keep",), ("write", 0, 2), ("backup",), ("write", 0, 1), ("move",), ("keep",)]
RESTART = ("restart_tracking",)


@settings(max_examples=400)
@example(REVERTED_TWICE, Paging(1))
@example(MOVED, Paging(1))
@given(stories, pagings)
def test_full_and_increments_give_the_disk(story, paging):
    play(story, paging, as_frozen)


def test_a_quiet_vm_is_read_in_increments():
    story = [*PROVED, ("write", 3, 7), ("backup",), ("write", 11, 8), ("keep",), ("backup",)]

    assert play(story, Paging(1), as_frozen).increments == 3


def notices(see: t.Any = as_frozen) -> bool:
    """Whether the property fails."""

    @settings(
        max_examples=2000,
        database=None,
        derandomize=True,
        deadline=None,
        phases=(Phase.explicit, Phase.generate),
    )
    @example(REVERTED_TWICE, Paging(1))
    @example(MOVED, Paging(1))
    @example([*PROVED, ("write", 11, 1)], Paging(1, 1))
    @given(stories, pagings)
    def the_property(story, paging):
        play(story, paging, see)

    try:
        the_property()
    except (AssertionError, ValueError):
        return True
    return False


# These stand behind others: that of snapshots behind history, that of what is seen to be blind
# behind proof. And no story here has files that somebody put back behind vSphere's back. They have
# tests of their own.
TESTED_ALONE = ("_snapshots", "_tracking", "_counter")
ALONE = [rule.__name__ for rule in doubt._RULES if rule.__name__ not in TESTED_ALONE]


@pytest.mark.parametrize("rule", ALONE)
def test_each_rule_is_missed(rule, monkeypatch):
    left = [each for each in doubt._RULES if each.__name__ != rule]
    monkeypatch.setattr(doubt, "_RULES", left)

    assert notices()


def test_history_is_missed(monkeypatch):
    monkeypatch.setattr(World, "past", lambda *_args: None)

    assert notices()


def test_a_disk_that_was_elsewhere_is_read_whole(monkeypatch):
    play([*PROVED, ("attach_again",)], Paging(1), as_frozen)
    monkeypatch.setattr(World, "past", lambda *_args: None)

    with pytest.raises(AssertionError):
        play([*PROVED, ("attach_again",)], Paging(1), as_frozen)


def first_page_only(query, capacity):
    return areas._arranged([areas._run(area) for area in query(0).changedArea], capacity)


def until_an_empty_page(query, capacity):
    found, start = [], 0
    while start < capacity:
        page = query(start)
        if not page.changedArea:
            break
        found.extend(areas._run(area) for area in page.changedArea)
        start += page.length
    return areas._arranged(found, capacity)


def beyond_the_end(query, capacity):
    found, start = [], 0
    while start <= capacity:
        page = query(start)
        found.extend(areas._run(area) for area in page.changedArea)
        start += page.length
    return areas._arranged(found, capacity)


def unclipped(query, _capacity):
    return areas.all_areas(query, _capacity + BLOCK)


@pytest.mark.parametrize(
    "broken", [first_page_only, until_an_empty_page, beyond_the_end, unclipped]
)
def test_paging_is_missed(broken, monkeypatch):
    monkeypatch.setattr(changes, "all_areas", broken)

    assert notices()


def test_order_is_missed():
    """The change id of the running disk, read once the snapshot is there, is too young."""

    def too_late(world: World, mark: DiskMark) -> DiskMark:
        return dataclasses.replace(mark, change_id=f"{world.tracker}/{world.epoch}")

    assert notices(too_late)


BLIND = {
    "under our snapshot": [("backup", [], [RESTART])],
    "under our snapshot, before it is asked": [("backup", [RESTART], [])],
    "under one that is gone before we look": [("keep",), RESTART, ("drop",)],
    "under one that we saw": [("keep",), RESTART, ("backup",), ("drop",)],
}
LATER = [("backup",), ("write", 0, 1), ("backup",), ("write", 1, 1), ("backup",)]


@pytest.mark.parametrize("begun", BLIND)
def test_blind_tracking_is_found_out(begun):
    play([*PROVED, *BLIND[begun], *LATER], Paging(1), as_frozen)


@pytest.mark.parametrize("begun", BLIND)
def test_proof_is_missed(begun, monkeypatch):
    left = [rule for rule in doubt._RULES if rule.__name__ != "_proof"]
    monkeypatch.setattr(doubt, "_RULES", left)
    monkeypatch.setattr(DiskMark, "following", lambda mark, _before: mark)

    with pytest.raises(AssertionError):
        play([*PROVED, *BLIND[begun], *LATER], Paging(1), as_frozen)


def test_a_look_at_the_running_disk_is_missed(monkeypatch):
    """Who believes an answer that came after somebody had begun anew."""
    story = [*PROVED, ("write", 3, 7), ("backup", [RESTART], [])]
    play(story, Paging(1), as_frozen)
    monkeypatch.setattr(World, "running", lambda world: world.frozen_by)
    monkeypatch.setattr(World, "freeze", remembering(World.freeze))

    with pytest.raises(AssertionError):
        play(story, Paging(1), as_frozen)


def remembering(freeze):
    def freeze_and_remember(world):
        world.frozen_by = str(world.tracker)
        return freeze(world)

    return freeze_and_remember


def whatever_differs(found, _differing):
    return dataclasses.replace(found.mark, proved=True)


def what_is_named_at_all(found, differing):
    named = bool(found.claimed) or not differing
    return dataclasses.replace(found.mark, proved=named)


@pytest.mark.parametrize("broken", [whatever_differs, what_is_named_at_all])
def test_judgement_is_missed(broken, monkeypatch):
    monkeypatch.setattr(proof, "judged", broken)

    assert notices()


def test_a_whole_change_id_is_no_tracker(monkeypatch):
    """Comparing whole ids is safe, but nothing would ever be read in increments."""
    monkeypatch.setattr(DiskMark, "tracker", property(lambda mark: mark.change_id))
    story = [*PROVED, ("write", 3, 7), ("backup",)]

    assert play(story, Paging(1), as_frozen).increments == 0
