# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Something is damaged: it is found and named, what can be healed is, and the rest is dropped."""

from __future__ import annotations

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    RepositoryDamaged,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import Wish

from .disks import read_disk
from .jobs import Backup, Heal, Prune, name_of


def damage_and_heal(world):
    """Begins and ends with a sound repository."""
    key = _damage(world)
    hurt = hurt_points(world)
    found = world.open().verify(Wish(level="data", quarantine=True))
    world.tell(f"verify found {[(f.kind, f.object) for f in found.findings]}; hurt {hurt}")
    named = {finding.object for finding in found.findings}
    # What no point needs is garbage, and nobody misses it.
    assert key in named or not world.has(key)
    said = {hit.point for finding in found.findings for hit in finding.hits} | named
    assert all(point in said or name_of(point) in said for point in hurt)
    world.run(Heal(world), **world.end())
    world.run(Heal(world))
    for machine in world.machines:
        world.run(Backup(world, machine, unchanged_ok=False, mode="auto"))
    drop_what_stays_hurt(world)
    world.quiet()
    assert world.open().verify(Wish(level="data")).ok


def _damage(world):
    """Of any object a bit flips; packs also get lost or cut."""
    store, rng = world.shared.store, world.rng
    key = rng.choice(sorted(stored.key for stored in store.list("") if stored.size))
    data = bytearray(store.get(key))
    place = rng.randrange(len(data))
    how = rng.choice(("flip", "flip", "cut", "lose")) if key.startswith("packs/") else "flip"
    if how == "flip":
        data[place] ^= 1 << rng.randrange(8)
        store.put(key, bytes(data))
    elif how == "cut":
        store.put(key, bytes(data[:place]))
    else:
        store.delete(key)
    world.tell(f"damage: {how} at byte {place} of {key}")
    return key


def hurt_points(world):
    """Those that do not restore. Whatever does, restores exactly."""
    repository = world.open()
    listed = {point.key: point for point in repository.points()}
    assert set(listed) == set(world.model.points)
    return {key for key, point in listed.items() if _is_hurt(world, repository, point)}


def _is_hurt(world, repository, point):
    if point.problem is not None:
        return True
    hurt = False
    for name, disk in world.model.points[point.key].items():
        try:
            assert read_disk(repository.open_disk(point, name)) == disk
        except RepositoryDamaged:
            hurt = True
    return hurt


def drop_what_stays_hurt(world):
    """By a user who reads what verify says; holds of those points he releases."""
    hurt = tuple(name_of(key) for key in sorted(hurt_points(world)))
    damaged = [f.object for f in world.open().verify(Wish(level="list")).findings]
    holds = tuple(name_of(key) for key in damaged if key.startswith("holds/"))
    world.run(Prune(world, drop=hurt, release=(*hurt, *holds), collect=False))
