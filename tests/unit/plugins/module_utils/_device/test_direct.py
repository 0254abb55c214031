# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading past the page cache gives the same bytes, wherever a read begins and ends."""

from __future__ import annotations

import concurrent.futures
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.direct import (
    PIECE,
    DirectDevice,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskNotFound,
    OutOfRange,
    ReadOnlyDisk,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind

SIZE = 2 * PIECE + 3 * 512  # no multiple of a page
CONTENT = os.urandom(SIZE)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("direct") / "disk"
    path.write_bytes(CONTENT)
    return path


@pytest.fixture
def device(path):
    with DirectDevice(path) as device:
        yield device


@settings(deadline=None)
@given(st.data())
def test_any_run_of_bytes(path, data):
    offset = data.draw(st.integers(0, SIZE))
    length = data.draw(st.integers(0, SIZE - offset))
    with DirectDevice(path) as device:
        assert bytes(read(device, offset, length)) == CONTENT[offset : offset + length]


@pytest.mark.parametrize(
    ("offset", "length"),
    [(0, SIZE), (SIZE - 1, 1), (SIZE - 512, 512), (4095, 2), (1, PIECE), (0, 0), (SIZE, 0)],
)
def test_edges(device, offset, length):
    assert bytes(read(device, offset, length)) == CONTENT[offset : offset + length]


def test_from_many_threads(device):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        runs = [(n * 65_537, 100_000) for n in range(40)]
        found = list(pool.map(lambda run: bytes(read(device, *run)), runs))
    assert found == [CONTENT[offset : offset + length] for offset, length in runs]


def test_it_is_a_device(device):
    assert device.size == SIZE
    assert list(device.extents()) == [Extent(0, SIZE, Kind.DATA)]
    with pytest.raises(OutOfRange):
        read(device, SIZE - 1, 2)
    with pytest.raises(ReadOnlyDisk):
        device.write(0, b"x")
    device.close()
    device.close()


@pytest.mark.parametrize("left", [0, 100, 4096, 10_000])
def test_a_device_that_ends_too_early_is_told(tmp_path, left):
    path = tmp_path / "disk"
    path.write_bytes(CONTENT[:100_000])
    with DirectDevice(path) as device:
        os.truncate(path, left)
        with pytest.raises(TruncatedDisk, match=f"at byte {left}"):
            read(device, 0, 100_000)


def test_no_such_device(tmp_path):
    with pytest.raises(DiskNotFound):
        DirectDevice(tmp_path / "nothing")


class Emptied(list):
    """Another thread takes the last one between a look and a grasp."""

    def __bool__(self):
        return True


def test_a_thread_that_finds_no_pages_left_makes_its_own(device):
    device._free = Emptied()
    assert bytes(read(device, 0, 512)) == CONTENT[:512]
