# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A list of changes that is wrong is found by reading some chunks again."""

from __future__ import annotations

import dataclasses

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskIOError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write import selfcheck
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.changes import (
    Changes,
    ChunkSet,
)

CHUNK = 256 << 10


class Watched(MemoryDevice):
    """Knows what was read of it, and calls one range a hole."""

    def __init__(self, data, hole=(0, 0)):
        super().__init__(data)
        self.reads, self.hole = [], hole

    def readinto(self, offset, buffer):
        self.reads.append((offset, buffer.nbytes))
        super().readinto(offset, buffer)

    def extents(self, offset=0, length=None):
        stop = self.size if length is None else offset + length
        start, end = self.hole
        parts = ((0, start, Kind.DATA), (start, end, Kind.ZERO), (end, self.size, Kind.DATA))
        for first, last, kind in parts:
            if max(first, offset) < min(last, stop):
                yield Extent(max(first, offset), min(last, stop) - max(first, offset), kind)


class Failing(MemoryDevice):
    """Each chunk can be read once: then nobody gets any further."""

    def __init__(self, data):
        super().__init__(data)
        self.seen = set()

    def readinto(self, offset, buffer):
        if offset in self.seen:
            raise DiskIOError("broken", path="disk0")
        self.seen.add(offset)
        super().readinto(offset, buffer)


@pytest.fixture
def data(helpers):
    """Ten chunks: noise, but the fourth and the last half."""
    return bytearray(
        helpers.content(3 * CHUNK) + bytes(CHUNK) + helpers.content(5 * CHUNK + CHUNK // 2, 1)
    )


@pytest.fixture
def again(encrypted, helpers, data):
    """again(device, *extents, self_check): the backup after one of `data` as it was."""
    first = dataclasses.replace(helpers.disk(bytes(data)), change_id=lambda: "before")
    encrypted.open().back_up([first], helpers.WEB)

    def run(device, *extents, self_check):
        disk = dataclasses.replace(
            helpers.disk(device),
            changes=(Changes("before", lambda: extents),),
            self_check=self_check,
        )
        made = encrypted.open().back_up([disk], helpers.WEB)
        assert encrypted.restore(made.point.id) == device.content
        return made

    return run


@pytest.mark.parametrize("wrong", range(10))
def test_a_wrong_list_is_found_and_everything_is_read(again, data, wrong):
    data[wrong * CHUNK + 9] ^= 0xFF
    made = again(MemoryDevice(data), self_check=10)
    disk = made.point.disks[0]
    assert disk.method == "incremental"
    assert disk.reason.startswith(f"everything was read: byte {wrong * CHUNK} ")
    assert made.warnings == (f"disk0.vmdk: {disk.reason}",)


def test_who_told_of_changes_hears_of_it_at_once(encrypted, helpers, data):
    """Before all is read, which may fail."""
    first = dataclasses.replace(helpers.disk(bytes(data)), change_id=lambda: "before")
    encrypted.open().back_up([first], helpers.WEB)
    data[9] ^= 0xFF
    heard = []
    disk = dataclasses.replace(
        helpers.disk(Failing(data)),
        changes=(Changes("before", lambda: ()),),
        self_check=10,
        distrust=heard.append,
    )
    with pytest.raises(DiskIOError):
        encrypted.open().back_up([disk], helpers.WEB)
    assert heard == ["byte 0 lies in a change that was not listed"]


def test_a_right_list_passes(again, data):
    data[CHUNK] ^= 1
    made = again(MemoryDevice(data), (CHUNK, 1), self_check=10)
    assert made.point.disks[0].method == "changed"
    assert made.warnings == ()
    assert made.point.disks[0].bytes_read == len(data)  # the change, and all others again


def test_no_more_is_read_than_asked_for(again, data):
    device = Watched(data)
    again(device, self_check=3)
    assert len(device.reads) == len(set(device.reads)) == 3


@pytest.mark.parametrize(
    "changed", [pytest.param([(0, 1)], id="beside a change"), pytest.param([], id="beside nothing")]
)
def test_a_chunk_that_became_a_hole_is_found_without_reading_it(again, data, changed):
    data[CHUNK : 2 * CHUNK] = bytes(CHUNK)
    made = again(Watched(data, (CHUNK, 2 * CHUNK)), *changed, self_check=1)
    assert made.point.disks[0].method == "incremental"


def test_a_disk_that_became_one_hole_is_found(again, data):
    hole = (0, len(data))
    made = again(Watched(bytes(len(data)), hole), self_check=1)
    assert made.point.disks[0].method == "incremental"


def test_how_often_a_wrong_list_is_missed():
    """The documentation says: of n chunks k wrong, N read: at most (1 - k/n) ** N."""
    chunks = ChunkSet([range(50), range(100, 250), range(300, 500)])  # 400 of them
    wrong = set(range(120, 140))  # 5 %
    rounds = 3000
    missed = sum(wrong.isdisjoint(selfcheck._draw(chunks, 64)) for _round in range(rounds))
    expected = 1.0
    for number in range(64):
        expected *= (380 - number) / (400 - number)
    assert expected < 0.95**64
    assert abs(missed / rounds - expected) < 0.02
    assert round(100 * 0.95**64) == 4  # "in 4 of 100 backups"
    assert 1 / 850 < 0.9**64 < 1 / 800  # "in 1 of 800"


def test_the_sample_is_even():
    chunks = ChunkSet([range(3), range(10, 12), range(99, 100)])
    assert selfcheck._draw(chunks, 100) == [0, 1, 2, 10, 11, 99]
    seen = [selfcheck._draw(chunks, 1)[0] for _round in range(3000)]
    assert all(380 < seen.count(number) < 620 for number in (0, 1, 2, 10, 11, 99))
