# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Content that comes once: whole or with an error, whoever reads it in what order."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import (
    Kind,
    pieces,
    widen_data,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.pipeline import ordered_map
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc import forward
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nfc.forward import (
    ForwardDevice,
)

GRAIN = 64


def stream(content, held, error=None):
    """The grains that are `held`, as they come."""
    for number in sorted(held):
        yield number * GRAIN, bytes(content[number * GRAIN : (number + 1) * GRAIN])
    if error is not None:
        raise error


def model(size, held):
    content = bytearray(random.Random(1).randbytes(size))
    for number in range(-(-size // GRAIN)):
        if number not in held:
            start, stop = number * GRAIN, min(size, (number + 1) * GRAIN)
            content[start:stop] = bytes(stop - start)
    return content


def scanned(device, chunk, workers):
    content = bytearray(device.size)
    view = memoryview(content)
    runs = (
        run for run in widen_data(device.extents(), chunk, device.size) if run.kind is Kind.DATA
    )

    def load(run):
        device.readinto(run.offset, view[run.offset : run.end])

    for result in ordered_map(load, pieces(runs, chunk), workers):
        assert result is None
    return content


@given(
    st.integers(1, 40 * GRAIN), st.sets(st.integers(0, 39)), st.integers(1, 500), st.integers(1, 8)
)
def test_a_scan_gets_what_was_sent(size, held, chunk, workers):
    held = {number for number in held if number * GRAIN < size}
    content = model(size, held)
    device = ForwardDevice("d", size, stream(content, held))
    assert scanned(device, chunk, workers) == content
    if size:
        assert read(device, size - 1, 1) == content[-1:]
        assert device.has_ended


@given(st.integers(1, 40 * GRAIN), st.sets(st.integers(0, 39)), st.integers(1, 500))
def test_extents_are_exact(size, held, step):
    held = {number for number in held if number * GRAIN < size}
    device = ForwardDevice("d", size, stream(model(size, held), held))
    found = list(device.extents())
    assert found[0].offset == 0 and found[-1].end == size
    assert all(one.end == other.offset for one, other in itertools.pairwise(found))
    data = {run.offset // GRAIN for run in found if run.kind is Kind.DATA}
    assert data == held


SIZE = 10 * GRAIN


@pytest.mark.parametrize("begin", [0, SIZE - 1])
def test_an_error_at_the_end_spoils_the_last_byte(begin):
    trouble = errors.TruncatedDisk("cut")
    device = ForwardDevice("d", SIZE, stream(model(SIZE, {0, 9}), {0, 9}, trouble))
    for _turn in range(2):
        with pytest.raises(errors.TruncatedDisk):
            read(device, begin, SIZE - begin)
    assert not device.has_ended


def test_extents_of_a_broken_stream_do_not_end():
    device = ForwardDevice("d", SIZE, stream(model(SIZE, {3}), {3}, errors.TruncatedDisk("cut")))
    with pytest.raises(errors.TruncatedDisk):
        list(device.extents())


@pytest.mark.parametrize("second", [0, 5, GRAIN - 1, SIZE - 10])
def test_grains_that_overlap_or_lie_outside(second):
    grains = iter([(0, bytes(GRAIN)), (second, bytes(GRAIN))])
    device = ForwardDevice("d", SIZE, (each for each in grains))
    with pytest.raises(errors.CorruptDisk, match="do not follow"):
        read(device, 0, SIZE)


@pytest.mark.parametrize("most", [GRAIN, 3 * GRAIN])
def test_what_has_gone_by_is_an_error_and_never_zeros(monkeypatch, most):
    monkeypatch.setattr(forward, "KEPT", most)
    content = model(SIZE, set(range(10)))
    device = ForwardDevice("d", SIZE, stream(content, range(10)))
    for offset in range(0, SIZE, GRAIN):
        assert read(device, offset, GRAIN) == content[offset : offset + GRAIN]
    known = SIZE - most - GRAIN
    for offset in range(0, known, 7):
        with pytest.raises(errors.InvalidRequest, match="has gone by"):
            read(device, offset, 1)
    assert read(device, SIZE - GRAIN, GRAIN) == content[-GRAIN:]


def test_what_nobody_reads_is_kept_within_bounds(monkeypatch):
    monkeypatch.setattr(forward, "KEPT", GRAIN)
    monkeypatch.setattr(forward, "MOST", 3 * GRAIN)
    device = ForwardDevice("d", SIZE, stream(model(SIZE, set(range(10))), range(10)))
    assert read(device, SIZE - 1, 1) == model(SIZE, set(range(10)))[-1:]
    assert device._held <= 4 * GRAIN
    with pytest.raises(errors.InvalidRequest):
        read(device, 0, 1)


def test_a_closed_one_gives_nothing():
    device = ForwardDevice("d", SIZE, stream(model(SIZE, {1}), {1}))
    device.close()
    device.close()
    with pytest.raises(errors.InvalidRequest, match="closed"):
        read(device, 0, 1)


def test_it_cannot_be_written():
    with pytest.raises(errors.ReadOnlyDisk):
        ForwardDevice("d", SIZE, stream(b"", set())).write(0, b"a")
