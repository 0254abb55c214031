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

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.changes import (
    areas,
    changes,
    doubt,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.machine.marks import DiskMark
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vsphere.tracked import (
    BLOCK,
    Paging,
    World,
)

BLOCKS = 12
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
        ("replace",),
        ("move",),
        ("upgrade_host",),
    ]
)
backups = st.just(("backup",))
steps = st.lists(st.one_of(writes, writes, backups, backups, events), max_size=25)
pagings = st.builds(Paging, st.integers(1, 5), st.none() | st.integers(1, 4))


class Backup:
    """The restore points of one disk, as a repository would keep them: the last is enough."""

    def __init__(self, paging: Paging) -> None:
        self._paging = paging
        self._image: list[int] = []
        self._last: t.Any = None
        self.increments = 0

    def run(self, world: World, see: t.Callable[[World, DiskMark], DiskMark]) -> None:
        frozen = world.freeze()
        found = changes.changes_since(
            self._last, frozen.mark, world.past, frozen.query(self._paging)
        )
        if found.extents is None:
            assert found.reason
            self._image = list(frozen.content)
        else:
            self.increments += 1
            for extent in found.extents:
                assert extent.end <= frozen.capacity
                for block in range(extent.offset // BLOCK, -(-extent.end // BLOCK)):
                    self._image[block] = frozen.content[block]
        self._last = see(world, found.mark)
        assert self._image == frozen.content


def play(story: list[tuple[t.Any, ...]], paging: Paging, see: t.Any) -> Backup:
    world, backup = World(BLOCKS), Backup(paging)
    for name, *arguments in story:
        if name == "backup":
            backup.run(world, see)
        else:
            getattr(world, name)(*arguments)
    backup.run(world, see)
    return backup


def as_frozen(_world: World, mark: DiskMark) -> DiskMark:
    return mark


@settings(max_examples=400)
@example([("keep",), ("write", 0, 1), ("backup",), ("revert", 0), ("revert", 0)], Paging(1))
@given(steps, pagings)
def test_full_and_increments_give_the_disk(story, paging):
    play(story, paging, as_frozen)


def test_a_quiet_vm_is_read_in_increments():
    story = [("backup",), ("write", 3, 7), ("backup",), ("write", 11, 8), ("keep",), ("backup",)]

    assert play(story, Paging(1), as_frozen).increments == 3


# What a name that comes back hides, chance seldom finds: the second revert makes its file again.
REVERTED_TWICE = [("keep",), ("write", 0, 1), ("backup",), ("revert", 0), ("revert", 0)]


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
    @given(steps, pagings)
    def the_property(story, paging):
        play(story, paging, see)

    try:
        the_property()
    except (AssertionError, ValueError):
        return True
    return False


# The rule of snapshots stands behind that of history, and no story here has files that somebody
# put back behind vSphere's back: both have tests of their own.
TESTED_ALONE = ("_snapshots", "_counter")
ALONE = [rule.__name__ for rule in doubt._RULES if rule.__name__ not in TESTED_ALONE]


@pytest.mark.parametrize("rule", ALONE)
def test_each_rule_is_missed(rule, monkeypatch):
    left = [each for each in doubt._RULES if each.__name__ != rule]
    monkeypatch.setattr(doubt, "_RULES", left)

    assert notices()


def test_history_is_missed(monkeypatch):
    monkeypatch.setattr(World, "past", lambda *_args: None)

    assert notices()


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


def test_blindness_is_missed(monkeypatch):
    """A mark that was made under a snapshot, and looks well once that is gone."""
    monkeypatch.setattr(DiskMark, "following", lambda mark, _before: mark)
    story = [("keep",), ("restart_tracking",), ("backup",), ("drop",), ("backup",), ("write", 0, 1)]

    with pytest.raises(AssertionError):
        play(story, Paging(1), as_frozen)


def test_a_whole_change_id_is_no_tracker(monkeypatch):
    """Comparing whole ids is safe, but nothing would ever be read in increments."""
    monkeypatch.setattr(DiskMark, "tracker", property(lambda mark: mark.change_id))
    story = [("backup",), ("write", 3, 7), ("backup",)]

    assert play(story, Paging(1), as_frozen).increments == 0
