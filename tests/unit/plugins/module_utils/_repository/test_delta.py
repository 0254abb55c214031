# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A restore that fetches and writes only what differs."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskIOError,
    InvalidRequest,
    RepositoryDamaged,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.read import reader
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.read.delta import (
    first_difference,
    restore_differences,
)

CHUNK = 256 << 10


class Target(MemoryDevice):
    """Knows what was done to it."""

    def __init__(self, data):
        super().__init__(data)
        self.writes, self.zeros, self.reads = [], [], 0
        self.fail_after = None

    def readinto(self, offset, buffer):
        self.reads += buffer.nbytes
        super().readinto(offset, buffer)

    def write(self, offset, data):
        if self.fail_after is not None and len(self.writes) >= self.fail_after:
            raise DiskIOError("cut off")
        self.writes.append((offset, memoryview(data).nbytes))
        super().write(offset, data)

    def zero(self, offset, length):
        self.zeros.append((offset, length))
        super().zero(offset, length)


@pytest.fixture
def data(helpers):
    """Noise, with zeros in the third chunk and in the middle of the fifth."""
    data = bytearray(helpers.content(9 * CHUNK + 777))
    data[2 * CHUNK : 3 * CHUNK] = bytes(CHUNK)
    data[4 * CHUNK + 65536 : 4 * CHUNK + 131072] = bytes(65536)
    return data


@pytest.fixture
def point(either, data):
    made = either.back_up(data).point
    return either.open().open_disk(made)


@pytest.fixture
def fetched(monkeypatch):
    """Chunks that come out of packs."""
    seen = []
    load = reader.PointDevice._load_into

    def counted(self, number, *rest):
        seen.append(number)
        return load(self, number, *rest)

    monkeypatch.setattr(reader.PointDevice, "_load_into", counted)
    return seen


def test_an_equal_disk_is_read_and_nothing_else(point, data, fetched):
    target = Target(data)
    transfer = restore_differences(point, target)
    assert (target.writes, target.zeros, fetched) == ([], [], [])
    assert transfer.bytes_read == len(data)
    assert transfer.bytes_reused == len(data)
    assert transfer.bytes_written == 0
    assert first_difference(point, target) is None


def test_only_the_chunk_that_differs_is_fetched_and_written(point, data, fetched):
    other = bytearray(data)
    other[6 * CHUNK + 9] ^= 1
    target = Target(other)
    assert first_difference(point, target) == 6 * CHUNK
    transfer = restore_differences(point, target)
    assert set(fetched) <= {6, 7, 8, 9}  # read-ahead may go on
    assert target.writes == [(6 * CHUNK, CHUNK)]
    assert target.content == data
    assert (transfer.bytes_written, transfer.bytes_reused) == (CHUNK, len(data) - CHUNK)


def test_zeros_inside_a_chunk_become_a_hole(point, data):
    other = bytearray(data)
    other[4 * CHUNK + 70000] = 1
    target = Target(other)
    transfer = restore_differences(point, target)
    assert (4 * CHUNK + 65536, 65536) in target.zeros
    assert target.content == data
    assert transfer.bytes_zero == 65536


def test_data_where_the_point_has_none_becomes_a_hole(point, data, fetched):
    other = bytearray(data)
    other[2 * CHUNK : 3 * CHUNK] = b"x" * CHUNK
    target = Target(other)
    restore_differences(point, target)
    assert target.zeros == [(2 * CHUNK, CHUNK)]
    assert (target.writes, fetched) == ([], [])
    assert target.content == data


def test_a_hole_where_the_point_has_data(point, data, tmp_path):
    path = tmp_path / "sparse.img"
    with RawDevice.create(path, len(data)) as target:
        restore_differences(point, target)
    assert path.read_bytes() == data


def test_the_short_last_chunk(point, data):
    other = bytearray(data)
    other[-1] ^= 1
    target = Target(other)
    restore_differences(point, target)
    assert target.writes == [(9 * CHUNK, 777)]
    assert target.content == data


def test_a_longer_target_keeps_its_rest(point, data):
    target = Target(bytes(len(data)) + b"kept" * 1000)
    restore_differences(point, target)
    assert target.content == data + b"kept" * 1000
    assert first_difference(point, target) is None


def test_a_shorter_target_is_refused(point, data):
    with pytest.raises(InvalidRequest):
        restore_differences(point, Target(data[:-1]))


def test_an_interruption_leaves_what_the_next_run_completes(point, data, helpers):
    target = Target(helpers.content(len(data), "other"))
    target.fail_after = 3
    with pytest.raises(DiskIOError):
        restore_differences(point, target)
    assert target.content != data
    target.fail_after = None
    done = len(target.writes)
    restore_differences(point, target)
    assert target.content == data
    assert all(offset not in dict(target.writes[done:]) for offset, _n in target.writes[:2])


@pytest.fixture
def damaged(either, data):
    """The point of `data`, with damage in its seventh chunk."""
    made = either.back_up(data).point
    point = either.open().open_disk(made)
    where = either.open()._access.load_map(made.disks[0], 0).entry(6)
    pack = Path(either.url, "packs", where.pack.hex()[:2], where.pack.hex())
    raw = bytearray(pack.read_bytes())
    raw[where.offset + 100] ^= 1
    pack.write_bytes(raw)
    return point


def test_a_damaged_chunk_is_told_and_not_written(damaged, data):
    other = bytearray(data)
    other[6 * CHUNK] ^= 1
    target = Target(other)
    with pytest.raises(RepositoryDamaged) as caught:
        restore_differences(damaged, target)
    assert target.content == other
    assert "mixture" not in str(caught.value)
    target = Target(data)
    restore_differences(damaged, target)  # where it is equal, the damage does not matter
    assert target.writes == []


def test_what_became_a_mixture_is_told(damaged, data):
    other = bytearray(data)
    other[3 * CHUNK] ^= 1
    other[6 * CHUNK] ^= 1
    target = Target(other)
    with pytest.raises(RepositoryDamaged, match=r"a mixture of what it was.*This hits bytes"):
        restore_differences(damaged, target)
    assert target.content not in (data, other)


@pytest.mark.parametrize("seed", range(12))
def test_any_two_disks(point, data, seed):
    rng = random.Random(seed)
    other = bytearray(data)
    for _change in range(rng.randrange(8)):
        start = rng.randrange(len(data))
        end = min(len(data), start + rng.randrange(1, 2 * CHUNK))
        other[start:end] = rng.choice([bytes, rng.randbytes])(end - start)
    target = Target(other)
    assert (first_difference(point, target) is None) == (other == data)
    transfer = restore_differences(point, target)
    assert target.content == data
    moved = transfer.bytes_written + transfer.bytes_zero
    assert moved + transfer.bytes_reused == transfer.bytes_total == len(data)
