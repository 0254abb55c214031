# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs that become durable while the next one fills: in bounds, and never unnoticed."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskIOError,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import pack
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.local import (
    LocalStore,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write import budget

MIB = 1 << 20


class SlowStore(LocalStore):
    """Keeps uploads in memory and takes its time, as an object store does."""

    def __init__(self, path, seconds=0.0, bad=None):
        super().__init__(path)
        self.seconds, self.bad = seconds, bad  # bad: the pack of this number cannot be stored
        self.lock = threading.Lock()
        self.sizes, self.most_held, self.most_at_once = {}, 0, 0
        self.sending = self.sent = 0
        self.failed = None

    def upload(self):
        return SlowUpload(self, super().upload())


class SlowUpload:
    def __init__(self, store, file):
        self.store, self.file = store, file

    def write(self, data):
        self.file.write(data)
        with self.store.lock:
            sizes = self.store.sizes
            sizes[self] = sizes.get(self, 0) + memoryview(data).nbytes
            self.store.most_held = max(self.store.most_held, sum(sizes.values()))

    def commit(self, key):
        store = self.store
        with store.lock:
            number, store.sent = store.sent, store.sent + 1
            store.sending += 1
            store.most_at_once = max(store.most_at_once, store.sending)
        try:
            time.sleep(store.seconds)
            if number == store.bad:
                store.failed = key
                raise DiskIOError("cannot write it: the line is cut", path=f"{store.url}/{key}")
            return self.file.commit(key)
        finally:
            with store.lock:
                store.sending -= 1
                store.sizes.pop(self)

    def abort(self):
        with self.store.lock:
            self.store.sizes.pop(self, None)
        self.file.abort()


@pytest.fixture(autouse=True)
def small_packs(monkeypatch, helpers):
    monkeypatch.setattr(pack, "LARGEST", 3 * helpers.CHUNK)


@pytest.fixture
def back_up(encrypted, helpers):
    """Twenty chunks of noise, two in a pack, into a store."""

    def run(store, **options):
        repository = Repository.from_store(store, encrypted.passphrase)
        data = helpers.content(20 * helpers.CHUNK)
        return data, repository.back_up([helpers.disk(data)], helpers.WEB, **options)

    return run


def test_packs_are_stored_several_at_once_and_no_more_than_allowed(back_up, encrypted, helpers):
    store = SlowStore(encrypted.url, seconds=0.2)
    data, _result = back_up(store)
    allowed = budget.plan_budget(helpers.CHUNK).packs
    assert 2 <= store.most_at_once <= allowed
    assert store.most_held <= (allowed + 1) * pack.LARGEST
    assert encrypted.restore("web01@latest") == data


def test_with_little_memory_one_pack_at_a_time_is_held(back_up, encrypted, monkeypatch):
    monkeypatch.setattr(budget, "_PACK", 128 * MIB)
    store = SlowStore(encrypted.url, seconds=0.01)
    data, _result = back_up(store, memory_limit=256 * MIB)
    assert store.most_at_once == 1 and store.most_held <= pack.LARGEST
    assert encrypted.restore("web01@latest") == data


@pytest.mark.parametrize("bad", [0, 3, 9, 10], ids=["first", "middle", "last", "maps"])
def test_a_pack_that_cannot_be_stored_fails_the_backup(back_up, encrypted, bad):
    store = SlowStore(encrypted.url, seconds=0.01, bad=bad)
    with pytest.raises(DiskIOError, match="the line is cut") as caught:
        back_up(store)
    assert caught.value.path == f"{store.url}/{store.failed}"
    assert encrypted.open().points() == []
    assert list((Path(encrypted.url) / "tmp").iterdir()) == []
    names = [thread.name for thread in threading.enumerate()]
    assert store.sending == 0 and not [name for name in names if name.startswith("pack")], names


def test_after_a_failure_the_next_run_goes_through(back_up, encrypted):
    with pytest.raises(DiskIOError):
        back_up(SlowStore(encrypted.url, bad=3))
    data, result = back_up(SlowStore(encrypted.url))
    assert result.created and encrypted.restore("web01@latest") == data


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"memory_limit": 255 * MIB}, "at least 256.0 MiB"),
        ({"workers": 0}, "1 to 64"),
        ({"workers": 65}, "1 to 64"),
    ],
)
def test_impossible_bounds_are_told(back_up, encrypted, options, match):
    with pytest.raises(InvalidRequest, match=match):
        back_up(SlowStore(encrypted.url), **options)
    assert not (Path(encrypted.url) / "packs").exists()


def test_one_worker_is_enough(back_up, encrypted):
    data, _result = back_up(SlowStore(encrypted.url), workers=1)
    assert encrypted.restore("web01@latest") == data


@given(
    st.sampled_from([256 << 10, MIB, 4 * MIB]),
    st.integers(1, 64),
    st.integers(budget.LEAST_MEMORY, 16 << 30),
)
def test_a_budget_fits_into_the_limit(chunk_size, workers, limit):
    plan = budget.plan_budget(chunk_size, workers, limit)
    held = plan.window * 2 * chunk_size + (plan.packs + 1) * budget._PACK
    assert 128 * MIB + held <= limit
    assert 1 <= plan.workers <= plan.window and plan.workers <= workers and plan.packs >= 0


CHILD = """
import sys, time
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import Device
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository import repository
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import objects
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import local
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import *
url, limit = sys.argv[1], int(sys.argv[2])
NOISE = open("/dev/urandom", "rb").read(1 << 20)

class Noise(Device):
    size = 512 << 20
    def readinto(self, offset, buffer):
        buffer[:] = NOISE[:buffer.nbytes]
        buffer[:8] = offset.to_bytes(8, "little")

class Store(local.LocalStore):
    def upload(self):
        return objects.ObjectUpload(self)
    def put(self, key, data, *, if_absent=False):
        if key.startswith("packs/"):
            time.sleep(0.2)  # slower than the reader
            return True
        return super().put(key, data, if_absent=if_absent)

made = repository.create_repository(url, passphrase=None, encryption="none")
made = repository.Repository.from_store(Store(url))
disk = DiskSource("disk0", "disk0", Noise(), "", "noise")
made.back_up([disk], Source("disk", "noise", "noise"), memory_limit=limit)
# Not ru_maxrss: that counts what the parent had before exec.
for line in open("/proc/self/status"):
    if line.startswith("VmHWM:"):
        print(int(line.split()[1]) * 1024)
"""


@pytest.mark.parametrize("limit", [256 * MIB])
def test_a_slow_store_does_not_fill_the_memory(tmp_path, limit):
    command = [sys.executable, "-c", CHILD, str(tmp_path / "r"), str(limit)]
    path = os.pathsep.join(filter(None, sys.path))
    # Memory as a user's: see tests/tools/pytest.sh.
    environment = {**os.environ, "PYTHONPATH": path, "GLIBC_TUNABLES": ""}
    peak = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment)
    assert 64 * MIB < int(peak.stdout) < limit
