# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weeks in the life of a repository, made up from a seed."""

from __future__ import annotations

import datetime

from .damage import damage_and_heal
from .jobs import Backup, Copy, NewKeys, Prune, name_of


def live(world, steps, other=None):
    """`steps` random things happen; after each, every kept point restores. `other` is a second
    world to copy to."""
    for _step in range(steps):
        _one_step(world, other)
        world.check()
        world.clock.time += datetime.timedelta(hours=world.rng.choice((0, 1, 9, 30)))
        if world.rng.random() < 0.5:
            world.shared.bury()
    world.quiet()
    world.check_sound()


def _one_step(world, other):
    rng = world.rng
    what = rng.random()
    if what < 0.35:
        world.run(Backup(world), **world.end())
    elif what < 0.55:
        world.run(Prune.any(world), **world.end())
    elif what < 0.8:
        together = [Backup(world) for _writer in range(rng.choice((1, 2, 2)))]
        prunes = [Prune.any(world) for _prune in range(rng.choice((1, 1, 1, 2)))]
        for prune in prunes:
            prune.collections, prune.rivals = rng.choice((0, 0, 2)), len(prunes) > 1
        together += prunes
        rng.shuffle(together)
        world.run(*together, **world.end())
    elif what < 0.86:
        world.quiet()
    elif what < 0.92:
        world.quiet()
        damage_and_heal(world)
    elif what < 0.95:
        if world.encrypted:
            world.run(NewKeys(world), **world.end())
    elif other is not None:
        prune = Prune.any(other)
        prune.copies = True
        together = [Copy(other, world), *([prune] if rng.random() < 0.6 else [])]
        other.run(*together, **other.end())
        other.check()


def struggle(world):
    """Writers use what a collector is about to delete: the sharpest case, over and over."""
    rng = world.rng
    machine = world.machine()
    world.run(Backup(world, machine, unchanged_ok=False))
    points = tuple(map(name_of, world.model.points))
    world.run(Prune(world, drop=points, collect=rng.random() < 0.5, grace=0))
    writers = [Backup(world, machine) for _writer in range(rng.choice((1, 1, 2)))]
    collector = Prune(world, grace=0, compact=rng.choice((0, 90)))
    collector.collections = 2
    how = rng.choice((world.end(), {"disowned_at": rng.randrange(5, 30)}))
    together = [*writers, collector]
    if rng.random() < 0.3:
        together.reverse()
    world.run(*together, **how)
    world.check()
    world.quiet()
