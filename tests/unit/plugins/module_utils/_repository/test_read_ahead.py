# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading ahead of a reader: the same bytes, the same errors, only sooner."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskIOError,
    RepositoryDamaged,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.pack import (
    pack_key,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.read import ahead

SIZE = 16  # bytes of a chunk of the disks that are made here
COUNT = 40


class Disk:
    """Chunks of SIZE bytes; some are holes. Notes which were loaded, and on which thread."""

    def __init__(self, data, holes=()):
        self.data, self.holes, self.bad = data, frozenset(holes), set()
        self.loaded, self.threads = [], set()
        self.cache = ahead.ChunkCache(SIZE, self.load_into, self.length_ahead)

    def load_into(self, number, target):
        self.loaded.append(number)
        self.threads.add(threading.get_ident())
        if number in self.bad:
            raise DiskIOError(f"chunk {number} cannot be read", path="pack")
        target[:] = self.data[number * SIZE : (number + 1) * SIZE]

    def length(self, number):
        return max(0, min(SIZE, len(self.data) - number * SIZE))

    def length_ahead(self, number):
        return 0 if number in self.holes else self.length(number)

    def read(self, offset, length):
        result = bytearray(length)
        done = 0
        while done < length:
            number, start = divmod(offset + done, SIZE)
            count = min(length - done, self.length(number) - start)
            target = memoryview(result)[done : done + count]
            if number not in self.holes:
                self.cache.read(number, self.length(number), start, target)
            done += count
        return bytes(result)


def noise(holes=(), length=COUNT * SIZE - 5):
    data = bytearray(random.Random(1).randbytes(length))
    for number in holes:
        data[number * SIZE : (number + 1) * SIZE] = bytes(SIZE)[: length - number * SIZE]
    return bytes(data)


@pytest.fixture(autouse=True)
def small_cache(monkeypatch):
    monkeypatch.setattr(ahead, "CACHED_BYTES", 12 * SIZE)


READS = st.lists(
    st.one_of(
        st.tuples(st.integers(0, COUNT * SIZE - 6), st.integers(0, 5 * SIZE)),
        st.tuples(st.just(None), st.integers(1, SIZE)),  # go on where the last one ended
    ),
    max_size=25,
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(READS, st.sets(st.integers(0, COUNT - 1), max_size=10))
def test_any_pattern_reads_what_is_there(reads, holes):
    data = noise(holes)
    disk = Disk(data, holes)
    offset = 0
    for begin, length in reads:
        offset = offset if begin is None else begin
        length = min(length, len(data) - offset)
        assert disk.read(offset, length) == data[offset : offset + length]
        offset += length
    assert len(disk.cache) <= 12
    disk.cache.close()


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40
)
@given(READS, st.sets(st.integers(0, COUNT - 1), min_size=1, max_size=5))
def test_damage_hits_those_who_ask_for_it_and_nobody_else(reads, bad):
    disk = Disk(noise())
    disk.bad = bad
    offset = 0
    for begin, length in reads:
        offset = offset if begin is None else begin
        length = min(length, len(disk.data) - offset)
        touched = set(range(offset // SIZE, -(-(offset + length) // SIZE))) if length else set()
        if touched & bad:
            with pytest.raises(DiskIOError, match=f"chunk {min(touched & bad)} "):
                disk.read(offset, length)
        else:
            assert disk.read(offset, length) == disk.data[offset : offset + length]
        offset += length
    disk.cache.close()


def test_who_goes_on_step_by_step_is_read_ahead_of_on_other_threads():
    disk = Disk(noise())
    for offset in range(0, 6 * SIZE, 4):
        disk.read(offset, 4)
    deadline = time.monotonic() + 30
    while max(disk.loaded) <= 5 and time.monotonic() < deadline:
        time.sleep(0.001)  # the other threads are still on their way
    disk.cache.close()
    assert max(disk.loaded) > 5 and len(disk.loaded) == len(set(disk.loaded))
    assert disk.threads - {threading.get_ident()}


def test_nothing_is_loaded_ahead_for_who_jumps_about():
    disk = Disk(noise())
    for number in (30, 3, 20, 11, 39, 0, 17):
        disk.read(number * SIZE, 4)
    assert sorted(disk.loaded) == [0, 3, 11, 17, 20, 30, 39]
    assert disk.cache._pool is None


def test_whole_chunks_go_straight_to_the_reader():
    disk = Disk(noise())
    assert disk.read(0, 20 * SIZE) == disk.data[: 20 * SIZE]
    assert len(disk.cache) == 0 and disk.loaded == list(range(20))


def test_a_fault_that_passes_is_forgotten():
    disk = Disk(noise())
    disk.bad = {5}
    disk.read(0, 4)
    with pytest.raises(DiskIOError):
        for number in range(1, 6):
            disk.read(number * SIZE, 4)
    disk.bad = set()
    assert disk.read(5 * SIZE, 4) == disk.data[5 * SIZE : 5 * SIZE + 4]


def test_what_waits_for_a_thread_is_loaded_by_who_needs_it():
    disk = Disk(noise())
    stuck = threading.Event()
    with ThreadPoolExecutor(ahead.DEFAULT_WORKERS) as pool:
        for _number in range(ahead.DEFAULT_WORKERS):
            pool.submit(stuck.wait)
        disk.cache._pool = pool
        for number in range(10):  # would wait for ever
            assert disk.read(number * SIZE, 4) == disk.data[number * SIZE : number * SIZE + 4]
        stuck.set()


def test_where_no_thread_is_to_be_had_it_reads_without():
    disk = Disk(noise())
    disk.cache._pool = ThreadPoolExecutor(1)
    disk.cache._pool.shutdown()
    for number in range(10):
        assert disk.read(number * SIZE, 4) == disk.data[number * SIZE : number * SIZE + 4]
    assert disk.threads == {threading.get_ident()}


def test_threads_that_read_the_same_get_the_same():
    disk = Disk(noise())

    def go_through(_reader):
        return b"".join(disk.read(offset, 5) for offset in range(0, COUNT * SIZE - 10, 5))

    with ThreadPoolExecutor(8) as pool:
        results = set(pool.map(go_through, range(8)))
    assert results == {disk.data[: len(next(iter(results)))]}
    disk.cache.close()


def test_a_closed_cache_holds_no_thread_and_no_memory():
    disk = Disk(noise())
    for offset in range(0, 6 * SIZE, 4):
        disk.read(offset, 4)
    disk.cache.close()
    assert len(disk.cache) == 0 and disk.cache._pool is None
    assert disk.read(0, 4) == disk.data[:4]


def test_damage_in_a_pack_is_told_when_its_range_is_asked_for(either, helpers, tmp_path):
    data = helpers.content(8 * helpers.CHUNK)
    device = either.open().open_disk(either.back_up(data).point)
    where = device._where(5)
    with (tmp_path / "repository" / pack_key(where.pack)).open("r+b") as pack:
        pack.seek(where.offset + 1000)
        pack.write(b"damage")
    step = 64 << 10
    good = 5 * helpers.CHUNK
    for offset in range(0, good, step):  # by then chunk 5 was tried ahead
        assert read(device, offset, step) == data[offset : offset + step]
    with pytest.raises(RepositoryDamaged, match=f"bytes {good} to {good + helpers.CHUNK - 1} "):
        read(device, good, step)
    after = good + helpers.CHUNK
    assert read(device, after, 10) == data[after : after + 10]
    device.close()
