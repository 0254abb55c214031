# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backups and prunes that take turns at every operation of one store, as a test wants it."""

from __future__ import annotations

import functools
import random
import threading
import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository import repository
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import pack
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.retention import (
    Rules,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.session import (
    SESSIONS,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.memory import (
    MemorySession,
    MemoryStore,
    MemoryUpload,
)

CHUNK = 256 << 10
PACK = CHUNK + 4000  # a pack for each chunk: each can be lost on its own
QUIET = PruneRequest(grace=0)


class Killed(BaseException):
    """The process ended here."""


class Turns:
    """`segments` are (actor, operations; None: to its end). Then the others, one after another."""

    def __init__(self, segments):
        self._segments = list(segments)
        self._ended = set()
        self._changed = threading.Condition()

    def begin(self, names):
        self._segments += [(name, None) for name in names]

    def step(self, name, operation):
        with self._changed:
            self._changed.wait_for(lambda: self._segments[0][0] == name, timeout=60)
            assert self._segments[0][0] == name, "nobody moves"
            try:
                return operation()
            finally:
                count = self._segments[0][1]
                if count is not None:
                    self._segments[0] = (name, count - 1)
                self._skip()

    def end(self, name):
        with self._changed:
            self._ended.add(name)
            self._skip()

    def _skip(self):
        while self._segments and (self._segments[0][0] in self._ended or self._segments[0][1] == 0):
            del self._segments[0]
        self._changed.notify_all()


class World:
    """The objects of one store, and which sessions the store takes for dead."""

    def __init__(self, objects=None):
        self.memory = MemoryStore()
        self.objects = self.memory.objects
        self.objects.update(objects or {})
        self.dead = set()


class Store:
    """What one process sees of a world. `kill`: it dies at that operation, before or after its
    effect; `expire`: from that operation on it is taken for dead, though it lives."""

    url = "memory"

    def __init__(self, world, name="", turns=None, kill=None, after=False, expire=None):
        self.world, self.name, self.turns = world, name, turns
        self.kill, self.after, self.expire = kill, after, expire
        self.operations = 0
        self.mine = set()
        self._lock = threading.RLock()

    def step(self, operation):
        with self._lock:
            if self.turns is None:
                return self._step(operation)
            return self.turns.step(self.name, lambda: self._step(operation))

    def _step(self, operation):
        self.operations += 1
        if self.expire is not None and self.operations >= self.expire:
            self.world.dead |= self.mine
        if self.kill is None or self.operations < self.kill:
            return operation()
        if self.operations == self.kill and self.after:
            operation()
        self.world.dead |= self.mine
        raise Killed

    def get(self, key, offset=0, length=None):
        return self.step(lambda: self.world.memory.get(key, offset, length))

    def read_into(self, key, offset, target):
        self.step(lambda: self.world.memory.read_into(key, offset, target))

    def put(self, key, data, *, if_absent=False):
        if key.startswith(SESSIONS):
            self.mine.add(key)
        return self.step(lambda: self.world.memory.put(key, data, if_absent=if_absent))

    def replace(self, key, old, data):
        return self.step(lambda: self.world.memory.replace(key, old, data))

    def upload(self):
        return MemoryUpload(self)

    def begin_session(self):
        return MemorySession(self)

    def list(self, prefix):
        return self.step(lambda: self.world.memory.list(prefix))

    def size(self, key):
        return self.step(lambda: self.world.memory.size(key))

    def delete(self, key):
        self.step(lambda: self.world.memory.delete(key))

    def sessions(self):
        found = [stored.key for stored in self.list(SESSIONS)]
        return tuple(key for key in found if key not in self.world.dead)

    def sweep(self):
        def bury():
            for key in self.world.dead:
                self.world.memory.delete(key)

        self.step(bury)


@functools.lru_cache
def noise(letter):
    """Does not compress, so that what is needed of a pack is a matter of chunks."""
    return random.Random(letter).randbytes(CHUNK)


def disk_of(text):
    """A disk with one chunk for each letter."""
    return b"".join(noise(letter) for letter in text)


class Backup:
    """Of a source, with a chunk for each letter."""

    def __init__(self, text, source="web", **options):
        self.text, self.source, self.options = text, source, options

    def run(self, opened):
        disk = DiskSource("disk0", "disk0", MemoryDevice(bytearray(disk_of(self.text))), "", "")
        result = opened.back_up([disk], Source("disk", self.source, self.source), **self.options)
        return result.point.key if result.created else None


class Prune:
    """As often as `times`, one after another."""

    def __init__(self, times=1, **request):
        request.setdefault("grace", 0)
        self.times, self.request = times, PruneRequest(**request)

    def run(self, opened):
        for _time in range(self.times):
            opened.prune(self.request).run()


class Play:
    """Runs actors against one world and remembers what they reported."""

    def __init__(self, world):
        self.world = world
        self.errors = {}
        self.stores = {}
        self.committed = {}  # key to text

    def open(self, store):
        return repository.Repository.from_store(store)

    def run(self, segments, options=None, **actors):
        turns = Turns(segments)
        turns.begin(actors)
        threads = [
            threading.Thread(
                target=self._act, args=(name, actor, turns, (options or {}).get(name, {}))
            )
            for name, actor in actors.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return self

    def _act(self, name, actor, turns, options):
        store = self.stores[name] = Store(self.world, name, turns, **options)
        try:
            key = actor.run(self.open(store))
            if key is not None:
                self.committed[key] = actor.text
        except (DiskError, Killed) as error:
            self.errors[name] = error
        except BaseException as error:
            self.errors[name] = error
            raise
        finally:
            turns.end(name)

    def alone(self, actor, **options):
        """To its end, with nobody beside it; how many operations it took."""
        before = len(self.errors)
        self.run([], {"alone": options}, alone=actor)
        if len(self.errors) > before and not options:
            raise self.errors["alone"]
        return self.stores["alone"].operations

    def check(self, *, dropped=()):
        """Every committed point holds what was backed up, now and after two quiet runs, after which
        there is nothing that is not needed."""
        self._restore_all(dropped)
        self.alone(Prune(2))
        self._restore_all(dropped)
        self._nothing_is_left()

    def _restore_all(self, dropped):
        opened = self.open(Store(self.world))
        there = {point.key: point for point in opened.points()}
        for key, text in self.committed.items():
            if key in dropped and key not in there:
                continue
            device = opened.open_disk(there[key])
            assert bytes(read(device, 0, device.size)) == disk_of(text), key
        strangers = there.keys() - self.committed.keys()
        for key in strangers:  # a killed writer may have come so far
            device = opened.open_disk(there[key])
            read(device, 0, device.size)

    def _nothing_is_left(self):
        opened = self.open(Store(self.world))
        found = opened.prune(QUIET).forecast()
        assert not found.changes
        needed = {
            pack.pack_key(entry.pack)
            for point in opened.points()
            for disk in point.disks
            for group, ref in enumerate(disk.maps)
            for entry in (ref.location, *opened._access.load_map(disk, group))
        }
        assert {key for key in self.world.objects if key.startswith("packs/")} == needed
        rest = {key.split("/")[0] for key in self.world.objects} - {"repo.json", "spare"}
        assert rest <= {"packs", "backups"}


@pytest.fixture
def play(tmp_path_factory, monkeypatch):
    """Makes plays: play() with an empty repository, play(objects) with those of another one."""
    monkeypatch.setenv("VDISK_CACHE", "/dev/null/none")  # every process is another host
    monkeypatch.setattr(pack, "LARGEST", PACK)
    monkeypatch.setattr(repository, "open_store", lambda _url: Store(world))
    world = World()
    monkeypatch.setattr(Store, "foreign", lambda *_arguments: None, raising=False)
    repository.create_repository("memory", encryption="none", chunk_size=CHUNK)

    def make(earlier=None):
        objects = earlier.world.objects if earlier else world.objects
        made = Play(World(objects))
        made.world.dead = set(earlier.world.dead) if earlier else set()
        made.committed = dict(earlier.committed) if earlier else {}
        return made

    return make


@pytest.fixture
def actors():
    return types.SimpleNamespace(
        Backup=Backup, Prune=Prune, Killed=Killed, Rules=Rules, PruneRequest=PruneRequest
    )
