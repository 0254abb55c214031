# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository, those who use it, and what must be restorable from it whatever happens."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import datetime
import os
import random
from unittest import mock

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository import (
    repository as repositories,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import (
    keys,
    pack,
    times,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import Wish
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.changes import (
    Changes,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)

from .disks import CHUNK, Disk, DiskDevice, read_disk
from .jobs import Prune, name_of
from .process import Baton, Killed, Process, Shared

FIRST_KEY = "correct horse"


@dataclasses.dataclass
class Machine:
    """What is backed up: a source and its disks, as they are now and as they were before."""

    source: Source
    disks: dict[str, Disk]
    states: dict[str, dict[str, Disk]] = dataclasses.field(default_factory=dict)

    def copy(self):
        return {name: disk.copy() for name, disk in self.disks.items()}

    def change(self, rng):
        for disk in self.disks.values():
            if rng.random() < 0.1:
                disk.resize(rng.randrange(8 * CHUNK))
            for _time in range(rng.choice((0, 1, 1, 4))):
                disk.change(rng)

    def inputs(self, rng):
        """For a backup. Often with lists of what changed since some earlier backup, of which a few
        are wrong: as disks are small, the self-check reads all that they leave out."""
        since = rng.choice([None, *self.states])
        state = f"{self.source.id} {len(self.states)}"
        known = self.states.get(since, {})
        self.states[state] = self.copy()
        return [
            DiskSource(
                name,
                name,
                DiskDevice(disk),
                f"uuid-{name}",
                f"/srv/{name}",
                changes=(Changes(since, _spans(known[name], disk, rng)),) if known else (),
                change_id=lambda: state,
            )
            for name, disk in self.disks.items()
        ]


def _spans(old, new, rng):
    spans = new.changed_since(old)
    if spans and rng.random() < 0.2:
        spans.remove(rng.choice(spans))
    return lambda: spans


class Model:
    """What must be restorable: the disks of each point, by its key. And the keys of held ones."""

    def __init__(self):
        self.points = {}
        self.held = set()

    def check(self, repository):
        """Every point restores exactly, and there are no others."""
        listed = {point.key: point for point in repository.points()}
        there = set(listed)
        assert there == set(self.points), (there - set(self.points), set(self.points) - there)
        for key, disks in self.points.items():
            self.check_point(repository, listed[key], disks)

    @staticmethod
    def check_point(repository, point, disks):
        assert point.problem is None
        assert [disk.name for disk in point.disks] == list(disks)
        for name, disk in disks.items():
            assert read_disk(repository.open_disk(point, name)) == disk


class Clock:
    """The time on everybody's clock, as days go by in a moment."""

    def __init__(self):
        self.time = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)

    def now(self):
        self.time += datetime.timedelta(milliseconds=1)
        return self.time

    def patch(self):
        return mock.patch.object(times, "now", self.now)


class World:
    """All that happens, with its story. The same seed makes the same world."""

    def __init__(self, store, seed, clock, encryption=None):
        self.rng = random.Random(seed)
        self.shared = Shared(store)
        self.model = Model()
        self.story = []
        self.machines = []
        self.clock = clock
        encryption = encryption or self.rng.choice(("aes-256-gcm", "none"))
        with mock.patch.object(repositories, "open_store", lambda _url: store):
            repositories.create_repository(
                store.url,
                passphrase=FIRST_KEY if encryption != "none" else None,
                encryption=encryption,
                chunk_size=CHUNK,
            )
        self.encrypted = encryption != "none"
        self.secrets = (FIRST_KEY,) if self.encrypted else ()  # one of these opens it
        self.tell(f"a repository with encryption {encryption}")

    def end(self):
        """How the next process ends: one in three is killed, some are taken for dead."""
        rng = self.rng
        if rng.random() < 0.33:
            return {
                "left": rng.choice((rng.randrange(1, 20), rng.randrange(1, 90))),
                "after": rng.random() < 0.5,
            }
        return {"disowned_at": rng.randrange(2, 60)} if rng.random() < 0.2 else {}

    def tell(self, event):
        self.story.append(event)

    def open(self, process=None):
        store = process or Process(self.shared)
        return repositories.Repository.from_store(store, self.secrets)

    def check(self):
        self.model.check(self.open())

    def quiet(self):
        """Nobody works; what is dead is known to be dead. What garbage there is then goes."""
        self.shared.bury()
        for _time in range(3):
            self.run(Prune(self, grace=0))
        self.check()
        kinds = {key.partition("/")[0] for key in self.keys()}
        assert kinds.isdisjoint(("sessions", "tomb", "locks", "tmp")), kinds
        packs, needed = {key[-64:] for key in self.keys("packs/")}, needed_packs(self.open())
        # Points from before some damage live on copies that they do not refer to.
        assert packs == needed or self.keys("quarantine/")

    def check_sound(self):
        """Nothing is damaged, once it is done what a killed one has not come to."""
        repository = self.open()
        repository.apply(repository.verify(Wish(level="data", quarantine=True)).remedy)
        assert repository.verify(Wish(level="data")).ok

    def has(self, key):
        return self.shared.store.size(key) is not None

    def keys(self, prefix=""):
        return [stored.key for stored in self.shared.store.list(prefix)]

    def machine(self):
        """One that is there and has changed, or a new one, perhaps as a clone of another."""
        rng = self.rng
        if self.machines and (len(self.machines) == 4 or rng.random() < 0.6):
            machine = rng.choice(self.machines)
            machine.change(rng)
            return machine
        name = f"machine{len(self.machines)}"
        if self.machines and rng.random() < 0.5:
            other = rng.choice(self.machines)
            disks, states = other.copy(), dict(other.states)
        else:
            states = {}
            disks = {f"disk{number}": Disk.new(rng) for number in range(rng.choice((1, 1, 2)))}
        self.machines.append(Machine(Source("vm", f"id-{name}", name), disks, states))
        return self.machines[-1]

    def run(self, *jobs, **how):
        """Side by side, each in a process of its own; `how` the first one ends, see Process.
        Whether it was killed."""
        baton = Baton(self.rng) if len(jobs) > 1 else None
        runs = [_Run(self, jobs[0], Process(self.shared, baton=baton, **how))]
        runs += [_Run(self, job, Process(self.shared, baton=baton)) for job in jobs[1:]]
        if baton:
            baton.run([(run.process, run) for run in runs])
        else:
            runs[0]()
        for run in runs:
            self.tell(f"{run.job} {run.outcome} ({run.process.operations} operations)")
        # What appeared first, then what went, which may be some of that.
        killed = any(isinstance(run.error, Killed) for run in runs)
        for run in sorted(
            runs, key=lambda run: (isinstance(run.job, Prune), run.error is not None)
        ):
            if run.error is None:
                run.job.done(run.result)
            else:
                run.job.ended(run.error, run.process)
        return killed

    def some_points(self, count):
        return tuple(map(name_of, self.rng.sample(sorted(self.model.points), count)))

    @contextlib.contextmanager
    def told(self):
        """Where something is wrong, what led to it is told."""
        try:
            yield
        except BaseException:
            print(*self.story, sep="\n")
            raise

    @contextlib.contextmanager
    def trial(self):
        """What happens in it has not happened afterwards. Only with a MemoryStore."""
        objects, model, chance = self.shared.store.objects, self.model, self.rng.getstate()
        lost, dead = set(self.shared.lost), set(self.shared.dead)
        state = copy.deepcopy((self.machines, self.secrets, self.clock.time))
        self.shared.store.objects = dict(objects)
        self.model = Model()
        self.model.points, self.model.held = dict(model.points), set(model.held)
        yield
        self.shared.store.objects, self.model = objects, model
        self.shared.lost, self.shared.dead = lost, dead
        self.machines, self.secrets, self.clock.time = state
        self.rng.setstate(chance)


class _Run:
    """A job in a process."""

    def __init__(self, world, job, process):
        self.world, self.job, self.process = world, job, process
        self.result = self.error = None

    def __call__(self):
        try:
            self.result = self.job.run(self.world.open(self.process))
        except (DiskError, Killed) as error:
            self.error = error
        finally:
            self.process.clean()

    @property
    def outcome(self):
        return "done" if self.error is None else f"{self.error!r:.200}"


def needed_packs(repository):
    """The names of all packs that a restore of all points reads."""
    packs = set()
    for point in repository.points():
        for disk in point.disks:
            for group, ref in enumerate(disk.maps):
                if ref is not None:
                    entries = repository._access.load_map(disk, group)
                    packs |= {ref.location.pack, *(entry.pack for entry in entries if entry)}
    return {name.hex() for name in packs}


@contextlib.contextmanager
def simulation(seed, cache):
    """The clock of a world where chance is the same each time, packs hold a few chunks, and keys
    cost nothing. `cache` is a folder for what a host knows of repositories."""
    clock, chance = Clock(), random.Random(f"chance {seed}")
    random.seed(seed)
    with contextlib.ExitStack() as stack:
        stack.enter_context(mock.patch.dict(os.environ, VDISK_CACHE=str(cache)))
        for patch in (
            mock.patch.object(os, "urandom", chance.randbytes),
            mock.patch.object(keys, "COST", (1 << 4, 8, 1)),
            mock.patch.object(pack, "LARGEST", 3 * CHUNK),
            clock.patch(),
        ):
            stack.enter_context(patch)
        yield clock
