# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""One stands still before an operation, another does all of his work, and the first goes on.

Before each operation in turn, from the same state, with the first taken for dead or not.
"""

from __future__ import annotations

import itertools
import os

import pytest

from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.life import (
    jobs,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.life.world import (  # noqa: E501
    World,
    simulation,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.memory import (
    MemoryStore,
)

# Every fourth is looked at; with VDISK_HISTORIES, as in test_histories.py, all are.
STEP = 1 if "VDISK_HISTORIES" in os.environ else 4


def back_up(world, _other):
    """The same again as what is garbage by now."""
    return jobs.Backup(world, world.machines[0], mode="auto", unchanged_ok=False)


def copy(world, other):
    return jobs.Copy(world, other)


def collect(world, _other):
    """Condemn and delete what nobody needs."""
    job = jobs.Prune(world, grace=0)
    job.collections = 2
    return job


def drop(world, _other):
    """All points but one, and then what they needed."""
    job = jobs.Prune(world, drop=world.some_points(len(world.model.points) - 1), grace=0)
    job.collections, job.copies = 2, True
    return job


def compact(world, _other):
    """And delete the packs that are empty then."""
    job = jobs.Prune(world, grace=0, compact=100)
    job.collections = 2
    return job


def heal(world, _other):
    return jobs.Heal(world)


PAIRS = [
    (back_up, collect),
    (back_up, drop),
    (back_up, compact),
    (collect, back_up),
    (compact, back_up),
    (compact, drop),
    (compact, compact),
    (drop, copy),
    (copy, collect),
    (copy, drop),
    (heal, compact),
]


CASES = [(*pair, for_dead) for pair in PAIRS for for_dead in (False, True)]


def name_of(value):
    if isinstance(value, bool):
        return "taken for dead" if value else "alive"
    return value.__name__.replace("_", " ")


@pytest.mark.parametrize(("first", "second", "for_dead"), CASES, ids=name_of)
def test_whoever_comes_in_between(first, second, for_dead, tmp_path):
    with simulation(3, tmp_path) as clock:
        world, other = prepared(clock)
        with world.told():
            for operation in itertools.count(2, STEP):
                with world.trial():
                    came = run_both(world, other, first, second, operation, for_dead)
                    world.check()
                    if operation % 4 == 2:
                        world.quiet()
                        world.check_sound()
                if not came:
                    break
    assert operation > 5


def prepared(clock):
    """Points, some of clones; garbage that the next backup can use; and half of a backup."""
    world = World(MemoryStore(), 3, clock)
    other = World(MemoryStore("other"), 4, clock)
    for _time in range(3):
        other.run(jobs.Backup(other, unchanged_ok=False))
        world.run(jobs.Backup(world, unchanged_ok=False))
    (first, *_others) = points = [*world.model.points]
    world.run(jobs.Prune(world, drop=(jobs.name_of(first),), collect=False))
    world.run(jobs.Backup(world, world.machines[0]), left=13)
    world.run(jobs.Copy(world, other), left=18)
    world.shared.bury()  # or collections would wait for those two
    assert len(world.model.points) >= len(points) - 1
    return world, other


def run_both(world, other, first, second, operation, for_dead):
    """Whether the first one came so far that the second one had its turn."""
    came = []

    def meanwhile():
        came.append(True)
        world.run(second(world, other))

    world.run(
        first(world, other),
        halts_at=operation,
        meanwhile=meanwhile,
        disowned_at=operation if for_dead else None,
    )
    return came
