# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any sequence of writes, zeros, flushes, reopens and growths reads as a bytearray does."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents import layout
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SECTOR,
    ZEROED_GRAINS,
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life import grow
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import create_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.examples import examples

GRAIN = 64 << 10
SIZE = 10 * GRAIN + 5 * SECTOR  # a short last grain, and extents that end inside the disk

_place = st.integers(0, SIZE - 1)
_length = st.one_of(st.integers(1, 3000), st.integers(1, 4 * GRAIN), st.just(GRAIN))
_aligned = st.integers(0, SIZE // GRAIN).map(lambda grain: grain * GRAIN)
_step = st.one_of(
    st.tuples(st.just("write"), st.one_of(_place, _aligned), _length, st.integers(1, 255)),
    st.tuples(st.just("zero"), st.one_of(_place, _aligned), _length, st.just(0)),
    st.tuples(st.sampled_from(["flush", "reopen"]), st.just(0), st.just(0), st.just(0)),
)
_grow = st.tuples(st.just("grow"), st.just(0), st.integers(1, 9 * 128), st.just(0))
_quick = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


class _Pair:
    """The disk under test and its model."""

    def __init__(self, path, model):
        self.path, self.model = path, model
        self.disk = open_disk(path, writable=True)

    def apply(self, step):
        name, offset, length, value = step
        length = max(0, min(length, len(self.model) - offset))
        getattr(self, f"do_{name}")(offset, length or step[2], value)

    def do_write(self, offset, length, value):
        data = bytes((value + n * 7) % 256 for n in range(251)) * (length // 251 + 1)
        length = min(length, len(self.model) - offset)
        self.disk.write(offset, data[:length])
        self.model[offset : offset + length] = data[:length]

    def do_zero(self, offset, length, _value):
        length = min(length, len(self.model) - offset)
        self.disk.zero(offset, length)
        self.model[offset : offset + length] = bytes(length)

    def do_flush(self, *_ignored):
        self.disk.flush()

    def do_reopen(self, *_ignored):
        self.disk.close()
        self.disk = open_disk(self.path, writable=True)

    def do_grow(self, _offset, sectors, _value):
        self.disk.close()
        self.model.extend(bytes(sectors * SECTOR))
        assert grow.grow_disk(self.path, len(self.model))
        self.disk = open_disk(self.path, writable=True)

    def check(self):
        assert read(self.disk, 0, self.disk.size) == self.model
        self._check_extents()
        self.disk.close()
        with open_disk(self.path) as disk:
            assert disk.flags == []
            assert read(disk, 0, disk.size) == self.model

    def _check_extents(self):
        done = 0
        for extent in self.disk.extents():
            assert extent.offset == done
            if extent.kind is Kind.ZERO:
                assert not any(self.model[extent.offset : extent.end])
            done = extent.end
        assert done == len(self.model)


def _run(path, model, steps):
    pair = _Pair(path, model)
    try:
        for step in steps:
            pair.apply(step)
        pair.check()
    finally:
        pair.disk.close()


@pytest.fixture
def splits(monkeypatch):
    monkeypatch.setattr(layout, "SPLIT_SECTORS", 3 * 128 + 8)
    monkeypatch.setattr(grow, "SPLIT_SECTORS", 3 * 128 + 8)


@pytest.mark.parametrize(
    "disk_type",
    [
        "monolithicSparse",
        "twoGbMaxExtentSparse",
        "monolithicFlat",
        "twoGbMaxExtentFlat",
        "vmfs",
    ],
)
@given(steps=st.lists(st.one_of(_step, _step, _step, _grow), max_size=15))
@_quick
def test_disk_behaves_like_a_bytearray(splits, disk_type, steps):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "disk.vmdk"
        create_disk(path, DiskSpec(SIZE, disk_type))
        _run(path, bytearray(SIZE), steps)


@pytest.mark.parametrize("parent_type", ["monolithicSparse", "twoGbMaxExtentFlat"])
@pytest.mark.parametrize("disk_type", ["monolithicSparse", "twoGbMaxExtentSparse"])
@pytest.mark.parametrize("zeroed_grains", [False, True])
@given(before=st.lists(_step, max_size=6), steps=st.lists(_step, max_size=12))
@_quick
def test_child_behaves_like_a_bytearray_over_its_parent(
    splits, parent_type, disk_type, zeroed_grains, before, steps
):
    with tempfile.TemporaryDirectory() as folder:
        base, child = Path(folder) / "base.vmdk", Path(folder) / "child.vmdk"
        create_disk(base, DiskSpec(SIZE, parent_type))
        model = bytearray(SIZE)
        _run(base, model, before)
        create_child(base, child, disk_type)
        if zeroed_grains:
            for extent in Path(folder).glob("child*.vmdk"):
                _allow_zeroed_grains(extent)
        parent = bytes(model)
        _run(child, model, steps)
        with open_disk(base) as disk:
            assert read(disk, 0, disk.size) == parent


def _allow_zeroed_grains(path):
    data = path.read_bytes()
    if data[:4] == b"KDMV":
        header = SparseHeader.parse(data, str(path))
        header = dataclasses.replace(header, version=2, flags=header.flags | ZEROED_GRAINS)
        path.write_bytes(header.pack() + data[SECTOR:])
