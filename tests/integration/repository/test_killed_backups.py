# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup, a process of its own, is killed at random moments, night after night."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import (
    locked,
    objects,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)

PASSPHRASE = "correct horse"
CHUNK = 256 << 10
PACK = 3 * CHUNK  # room for two chunks
DISK = 8 * CHUNK
# Each backup is a process of its own. It is forked from one that has imported everything, for
# Python's start would be most of the time of these tests.
BACKUPS = """
import os, sys, time
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys, pack
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.libraries import require
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)
for library in ("blake3", "cryptography.hazmat.primitives.ciphers.aead", "obstore", "zstandard"):
    require(library)
keys.COST = (16, 8, 1)
url, passphrase, largest, *paths = sys.argv[1:]
pack.LARGEST = int(largest)

for order in sys.stdin:
    if order == "wait\\n":
        os.wait()
        print("over", flush=True)
    elif os.fork() == 0:
        break
else:
    sys.exit()
disks = [DiskSource(path[-5:], path, RawDevice.open(path), "", path) for path in paths]
print("begun", os.getpid(), flush=True)
started = time.monotonic()
result = Repository.open(url, passphrase).back_up(disks, Source("vm", "web", "web01"))
print("made", result.point.id, time.monotonic() - started, flush=True)
"""


class Nights:
    """A machine of two disks that changes by night, and its backups."""

    def __init__(self, url, folder):
        self.url, self.kept = url, {}
        self.rng = random.Random(3)
        self.paths = [folder / f"disk{number}" for number in range(2)]
        self.content = [self.rng.randbytes(DISK) for _path in self.paths]
        create_repository(url, passphrase=PASSPHRASE, encryption="aes-256-gcm", chunk_size=CHUNK)
        argv = [sys.executable, "-c", BACKUPS, url, PASSPHRASE, str(PACK), *self.paths]
        path = os.pathsep.join(filter(None, sys.path))
        self.backups = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
        self.seconds = 0.0  # that the last backup took
        self.back_up()

    def change(self):
        """One half of each disk."""
        for number, old in enumerate(self.content):
            new, middle = self.rng.randbytes(DISK // 2), DISK // 2
            front = self.rng.random() < 0.5
            self.content[number] = new + old[middle:] if front else old[:middle] + new

    def start(self):
        """The process of a backup, at its first moment."""
        for path, content in zip(self.paths, self.content, strict=True):
            path.write_bytes(content)
        self.order("start")
        word, pid = self.backups.stdout.readline().split()
        assert word == "begun"
        return int(pid)

    def order(self, word):
        self.backups.stdin.write(f"{word}\n")
        self.backups.stdin.flush()

    def rest(self):
        """What the backup says until it is over."""
        self.order("wait")
        return [line.split() for line in iter(self.backups.stdout.readline, "over\n")]

    def back_up(self):
        """To its end."""
        self.start()
        ((_made, point, seconds),) = self.rest()
        self.kept[point] = list(self.content)
        self.seconds = float(seconds)

    def killed(self):
        """Somewhere between its first moment and a little after its last."""
        process = self.start()
        time.sleep(self.rng.random() * self.seconds * 1.05)
        os.kill(process, signal.SIGKILL)
        self.rest()
        self.adopt()

    def adopt(self):
        """What the killed one committed in its last moment is a point like the others."""
        new = [p for p in self.open().points() if p.id not in self.kept]
        assert len(new) <= 1
        self.kept.update({point.id: list(self.content) for point in new})

    def open(self):
        return Repository.open(self.url, PASSPHRASE)

    def check(self):
        """Every kept point restores, and there is no other."""
        repository = self.open()
        points = {point.id: point for point in repository.points()}
        assert set(points) == set(self.kept)
        for point_id, content in self.kept.items():
            for number, expected in enumerate(content):
                device = repository.open_disk(points[point_id], f"disk{number}")
                assert bytes(read(device, 0, device.size)) == expected

    def stored(self):
        return sum(stored.size for stored in open_store(self.url).list("packs/"))

    def leave_garbage(self):
        """Something new, of which a few packs were stored when the backup was killed."""
        before, complete = self.stored(), len(self.kept)
        while self.stored() == before or len(self.kept) > complete:
            before, complete = self.stored(), len(self.kept)
            self.change()
            self.killed()

    def collect(self):
        """One run condemns, the next one deletes; a third finds nothing."""
        before = self.stored()
        for _run in range(2):
            self.open().prune(PruneRequest(grace=0)).run()
        assert self.stored() < before
        assert not self.open().prune(PruneRequest(grace=0)).forecast().changes
        store = open_store(self.url)
        assert not [*store.list("sessions/"), *store.list("tomb/"), *store.list("tmp/")]


@pytest.fixture
def nights(any_store_url, tmp_path, monkeypatch):
    # The test does not wait until files that nobody has locked count as left by the dead.
    monkeypatch.setattr(locked, "UNLOCKED_GRACE", -1)
    made = Nights(any_store_url, tmp_path)
    yield made
    made.backups.communicate()


def test_killed_backups_harm_nothing_and_are_gone_on_with(nights, monkeypatch):
    """Each night's backup is killed five times, and then made. It uses the packs of the killed:
    however often it was killed, a night costs what has changed, and no more."""
    changed = sum(map(len, nights.content)) // 2
    for _night in range(2 if "://" in nights.url else 10):
        before = nights.stored()
        nights.change()
        for _time in range(5):
            nights.killed()
            nights.check()
        nights.back_up()
        nights.check()
        assert changed * 0.9 < nights.stored() - before < changed * 1.1
    nights.leave_garbage()
    monkeypatch.setattr(objects, "GRACE", 0)  # nobody waits a day here
    nights.collect()
    nights.check()
