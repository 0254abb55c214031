# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever happens to a repository, every kept point restores, byte for byte.

VDISK_HISTORIES=1000:200 takes two hundred other histories, beginning with seed 1000.
"""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import locked
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.local import (
    LocalStore,
)
from ansible_collections.vdisk.lifecycle.tests.examples import each
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.life import (
    damage,
    history,
    jobs,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.life.disks import (  # noqa: E501
    CHUNK,
    Disk,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.life.world import (  # noqa: E501
    World,
    simulation,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.memory import (
    MemoryStore,
)

FIRST, _, COUNT = os.environ.get("VDISK_HISTORIES", "0:24").partition(":")
SEEDS = range(int(FIRST), int(FIRST) + int(COUNT))
SCRIPT = Path(__file__).parents[6] / "docs" / "restore.py"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_history(seed, tmp_path):
    with simulation(seed, tmp_path) as clock:
        world = World(MemoryStore(), seed, clock)
        other = World(MemoryStore("other"), f"{seed} other", clock)
        with world.told(), other.told():
            history.live(world, 16, other)


@pytest.mark.parametrize("seed", SEEDS)
def test_writers_and_collectors_at_every_operation_of_each_other(seed, tmp_path):
    with simulation(seed, tmp_path) as clock:
        world = World(MemoryStore(), seed, clock)
        with world.told():
            for _time in range(3):
                history.struggle(world)


@pytest.mark.parametrize("seed", SEEDS[::8])
def test_a_history_in_a_directory(seed, tmp_path, monkeypatch):
    """Also the script of one page restores every point of it, those that were healed too."""
    monkeypatch.setattr(locked, "UNLOCKED_GRACE", -1)
    with simulation(seed, tmp_path / "cache") as clock:
        world = World(LocalStore(str(tmp_path / "repository")), seed, clock)
        with world.told():
            history.live(world, 12)
            for _time in range(2):
                damage.damage_and_heal(world)
            restore_by_script(world, tmp_path / "repository", tmp_path / "disk", monkeypatch)


def restore_by_script(world, folder, output, monkeypatch):
    spec = importlib.util.spec_from_file_location("restore", SCRIPT)
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    for name in ("VDISK_PASSPHRASE", "VDISK_KEY_FILE"):
        monkeypatch.delenv(name, raising=False)
    for secret in world.secrets:
        monkeypatch.setenv("VDISK_PASSPHRASE", secret)
    for key, disks in world.model.points.items():
        for name, disk in disks.items():
            script.main(str(folder), jobs.name_of(key), name, str(output))
            with output.open("rb") as file:
                assert disk.holds(file)
            output.unlink()


JOBS = {
    "backup": lambda world, _other: jobs.Backup(world, world.machines[0]),
    "prune": lambda world, _other: jobs.Prune(world, rules=jobs.Rules(last=1), grace=0, compact=90),
    "collection": lambda world, _other: jobs.Prune(world, grace=0),
    "keys": lambda world, _other: jobs.NewKeys(world),
    "heal": lambda world, _other: jobs.Heal(world),
    "copy": jobs.Copy,
}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("job", JOBS)
def test_killed_at_every_operation(job, after, tmp_path):
    """From the same state each time: some points, some garbage, a tomb, a writer that is lost."""
    with simulation(5, tmp_path) as clock:
        world = World(MemoryStore(), 5, clock, "aes-256-gcm")
        other = World(MemoryStore("other"), 6, clock)
        with world.told():
            for place in (world, other, world, world):
                for _time in range(3):
                    place.run(jobs.Backup(place, unchanged_ok=False))
            world.run(jobs.Prune(world, drop=world.some_points(3), grace=0))
            world.run(jobs.Backup(world), left=14)
            for operation in each(1):
                with world.trial():
                    killed = world.run(JOBS[job](world, other), left=operation, after=after)
                    world.check()
                    if operation % 2 == 0:
                        world.quiet()
                        world.check_sound()
                if not killed:
                    break
    assert operation > 5


def test_a_disk_that_is_changed_is_another():
    """The judge itself: it tells two disks apart."""
    world_disk = Disk(3 * CHUNK, {1: b"x" * CHUNK})
    other = world_disk.copy()
    other.write(1, 5, b"y")
    assert world_disk != other and world_disk.copy() == world_disk
