# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever a disk holds, every point of it gives the same bytes back."""

from __future__ import annotations

import shutil
import tempfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import Device, read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.tests.examples import examples

CHUNK = 256 << 10
# A disk is a few pieces: zeros, noise (by seed, so that equal seeds make equal chunks), or text.
PIECES = st.lists(
    st.tuples(
        st.sampled_from(["zeros", "noise", "text"]),
        st.one_of(st.just(CHUNK), st.integers(1, 3 * CHUNK)),
        st.integers(0, 2),
    ),
    min_size=0,
    max_size=5,
)


def build(pieces, helpers):
    made = bytearray()
    for kind, length, seed in pieces:
        if kind == "zeros":
            made += bytes(length)
        elif kind == "noise":
            made += helpers.content(length, seed)
        else:
            made += (b"line %d of a log file\n" % seed * (length // 8 + 1))[:length]
    return bytes(made)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    history=st.lists(PIECES, min_size=1, max_size=3),
    encryption=st.sampled_from(["aes-256-gcm", "none"]),
)
def test_every_point_of_a_history_is_restored(helpers, history, encryption):
    folder = tempfile.mkdtemp()
    try:
        helper = helpers.Helper(f"{folder}/repository", encryption)
        helper.create()
        disks = [build(pieces, helpers) for pieces in history]
        points = [helper.back_up(data).point for data in disks]
        for data, point in zip(disks, points, strict=True):
            assert helper.restore(point.id) == data
    finally:
        shutil.rmtree(folder)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(pieces=PIECES, ranges=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), max_size=6))
def test_any_range_can_be_read(helpers, pieces, ranges):
    folder = tempfile.mkdtemp()
    try:
        helper = helpers.Helper(f"{folder}/repository", "aes-256-gcm")
        helper.create()
        data = build(pieces, helpers)
        device = helper.open().open_disk(helper.back_up(data).point)
        for one, other in ranges:
            start, end = sorted((int(one * len(data)), int(other * len(data))))
            assert read(device, start, end - start) == data[start:end]
    finally:
        shutil.rmtree(folder)


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(pieces=PIECES, cut=st.tuples(st.floats(0, 1), st.floats(0, 1)))
def test_extents_cover_the_range_and_zero_is_zero(helpers, pieces, cut):
    folder = tempfile.mkdtemp()
    try:
        helper = helpers.Helper(f"{folder}/repository", "none")
        helper.create()
        data = build(pieces, helpers)
        device = helper.open().open_disk(helper.back_up(data).point)
        start, end = sorted(int(part * len(data)) for part in cut)
        position = start
        for extent in device.extents(start, end - start):
            assert extent.offset == position and extent.length > 0
            position = extent.end
            if extent.kind is Kind.ZERO:
                assert not any(data[extent.offset : extent.end])
        assert position == end
    finally:
        shutil.rmtree(folder)


class SparseDevice(Device):
    """A huge disk with a little data; reading where no data is fails the test."""

    name = "sparse"

    def __init__(self, size, runs):
        self.size, self.runs = size, dict(sorted(runs.items()))

    def readinto(self, offset, buffer):
        for start, data in self.runs.items():
            if start <= offset and offset + buffer.nbytes <= start + len(data):
                buffer[:] = data[offset - start : offset - start + buffer.nbytes]
                return
        pytest.fail(f"read {buffer.nbytes} bytes at {offset}, where no data is")

    def extents(self, offset=0, length=None):
        assert (offset, length) == (0, None)
        for start, data in self.runs.items():
            yield Extent(offset, start - offset, Kind.ZERO)
            yield Extent(start, len(data), Kind.DATA)
            offset = start + len(data)
        yield Extent(offset, self.size - offset, Kind.ZERO)


def test_unallocated_extents_are_not_read(either, helpers):
    terabyte = 1 << 40
    runs = {CHUNK * 5000: helpers.content(CHUNK), CHUNK * 900_000: helpers.content(CHUNK, 1)}
    result = either.back_up(SparseDevice(terabyte, runs))
    assert result.transfer.bytes_read == 2 * CHUNK
    assert result.transfer.bytes_zero == terabyte - 2 * CHUNK


def test_a_disk_of_many_maps_is_restored(either, helpers):
    group = 1024 * CHUNK
    runs = {
        group - CHUNK: helpers.content(2 * CHUNK),
        5 * group: helpers.content(CHUNK, 1),
        7 * group + CHUNK: helpers.content(CHUNK, 2),
    }
    point = either.back_up(SparseDevice(8 * group - 12345, runs)).point
    device = either.open().open_disk(point)
    data = [extent for extent in device.extents() if extent.kind is Kind.DATA]
    assert [(extent.offset, extent.length) for extent in data] == [
        (offset, len(run)) for offset, run in runs.items()
    ]
    for offset, run in runs.items():
        assert read(device, offset, len(run)) == run
    assert point.disks[0].maps[2] is None
