# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What people do with a repository, and what must be true after it, however it ended."""

from __future__ import annotations

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskInUse,
    InvalidRequest,
    RestorePointNotFound,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.keys import NewKey
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.retention import (
    Rules,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import Wish

from .process import Killed

DAY = 24 * 3600


class Backup:
    """Of a machine as it is now."""

    def __init__(self, world, machine=None, **options):
        self.world = world
        machine = machine or world.machine()
        self.source, self.disks, self.inputs = (
            machine.source,
            machine.copy(),
            machine.inputs(world.rng),
        )
        rng = world.rng
        self.options = {
            "mode": rng.choice(("auto", "auto", "auto", "full")),
            "unchanged_ok": rng.random() < 0.3,
            **options,
        }

    def __str__(self):
        return f"backup of {self.source.name} {self.options} {self.disks}"

    def run(self, repository):
        return repository.back_up(self.inputs, self.source, **self.options)

    def done(self, result):
        points = self.world.model.points
        if result.created:
            points[result.point.key] = self.disks
        else:
            assert self.options["unchanged_ok"]
            assert points.get(result.point.key, self.disks) == self.disks

    def ended(self, error, process):
        """A killed one has committed a whole point, or none; one that failed, none."""
        expect(error, Killed, DiskInUse)
        repository = self.world.open()
        made = [point for point in repository.points() if point.key in process.manifests]
        assert not made or isinstance(error, Killed)
        for point in made:
            self.world.model.check_point(repository, point, self.disks)
            self.world.model.points[point.key] = self.disks


class Prune:
    """Drop, hold, release, compact, collect: whatever `wishes` say."""

    def __init__(self, world, **wishes):
        self.world, self.request = world, PruneRequest(**wishes)
        self.collections = 0  # so many more runs after it
        self.copies = False  # whether what is dropped may come again at once
        self.rivals = False  # whether others drop and hold points at the same time

    @classmethod
    def any(cls, world):
        rng, points = world.rng, sorted(world.model.points)
        free = [key for key in points if key not in world.model.held]
        wishes = {"grace": rng.choice((0, 0, DAY)), "compact": rng.choice((0, 0, 30, 90))}
        if rng.random() < 0.5:
            wishes["rules"] = Rules(last=rng.randrange(3), daily=rng.randrange(3))
        if free and rng.random() < 0.4:
            wishes["drop"] = (name_of(rng.choice(free)),)
        elif points and rng.random() < 0.2:
            wishes["hold"] = (name_of(rng.choice(points)),)
        elif world.model.held and rng.random() < 0.4:
            wishes["release"] = (name_of(rng.choice(sorted(world.model.held))),)
        return cls(world, **wishes)

    def __str__(self):
        wishes = vars(self.request).items()
        return "prune " + ", ".join(f"{name} {wish}" for name, wish in wishes if wish)

    def run(self, repository):
        result = repository.prune(self.request).run()
        for _time in range(self.collections):
            repository.prune(PruneRequest(grace=0)).run()
        return result

    def done(self, result):
        model = self.world.model
        model.held = self._held()
        assert not result.decision.dropped & model.held
        for key in result.decision.dropped:
            if not (self.copies and self.world.has(key)):
                model.points.pop(key, None)

    def ended(self, error, process):
        """Some of what was to go is gone. Nothing else is, and nothing that was held."""
        rivalry = (RestorePointNotFound, InvalidRequest) if self.rivals else ()
        expect(error, Killed, DiskInUse, *rivalry)
        model = self.world.model
        model.held |= self._held()
        there = {point.key for point in self.world.open().points()}
        gone = set(model.points) - there
        assert gone <= process.deleted and not gone & self._held()
        for key in gone:
            model.points.pop(key)
        model.held &= self._held()

    def _held(self):
        """The keys of all points that are held, as the store has it."""
        store, points = self.world.shared.store, self.world.model.points
        held = {stored.key.rpartition("/")[2] for stored in store.list("holds/")}
        return {key for key in points if key.rpartition("/")[2] in held}


class Heal:
    """Verify, and put into quarantine what is damaged."""

    def __init__(self, world):
        self.world = world

    def __str__(self):
        return "verify with quarantine"

    def run(self, repository):
        repository.apply(repository.verify(Wish(level="packs", quarantine=True)).remedy)

    def done(self, result):
        """It changes no point."""

    def ended(self, error, process):
        expect(error, Killed)


class NewKeys:
    """Another passphrase instead of the old one; in between, both."""

    def __init__(self, world):
        self.world = world
        self.new = f"secret {world.rng.random()}"

    def __str__(self):
        return "change of keys"

    def run(self, repository):
        plan = repository.plan_keys([NewKey("operators", self.new)], purge=True)
        repository.change_keys(plan)

    def done(self, _result):
        self.world.secrets = (self.new,)

    def ended(self, error, process):
        expect(error, Killed)
        self.world.secrets += (self.new,)
        self.world.open()


class Copy:
    """All points of another world into this one."""

    def __init__(self, world, origin):
        self.world, self.origin = world, origin

    def __str__(self):
        return "copy of all points"

    def run(self, repository):
        origin = self.origin.open()
        return origin.copy_points(repository, origin.missing_in(repository, (), ()))

    def done(self, result):
        for point in result.points:
            self.world.model.points[point.key] = self.origin.model.points[point.key]

    def ended(self, error, process):
        """Those that it committed are whole."""
        expect(error, Killed, DiskInUse)
        there = {point.key for point in self.world.open().points()}
        for key in there & process.manifests:
            self.world.model.points[key] = self.origin.model.points[key]


def name_of(key):
    """How a user names the point with this key."""
    return key.rpartition("/")[2]


def expect(error, *kinds):
    """A killed process, or one that gave up for a reason that is right here."""
    if not isinstance(error, kinds):
        raise error
