# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever was written and zeroed before: defragment and shrink change no byte of a disk."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.defragment import (
    defragment,
    fragmentation,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.shrink import (
    shrink,
    surplus,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents import layout
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    SECTOR,
    ZEROED_GRAINS,
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import create_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child
from ansible_collections.vdisk.lifecycle.tests.examples import examples

GRAIN = 64 << 10
SIZE = 10 * GRAIN + 5 * SECTOR  # a short last grain, and extents that end inside the disk

_place = st.one_of(
    st.integers(0, SIZE - 1), st.integers(0, SIZE // GRAIN).map(lambda grain: grain * GRAIN)
)
_length = st.one_of(st.integers(1, 3000), st.integers(1, 4 * GRAIN), st.just(GRAIN))
_step = st.one_of(
    st.tuples(st.just("write"), _place, _length, st.integers(0, 255)),
    st.tuples(st.just("zero"), _place, _length, st.just(0)),
    st.tuples(st.sampled_from(["defragment", "shrink"]), st.just(0), st.just(0), st.just(0)),
)
_quick = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def _apply(path, model, step):
    name, offset, length, value = step
    if name in ("defragment", "shrink"):
        _compact(path, name)
        return
    length = min(length, len(model) - offset)
    # Half of the values give grains of zeros in between, others none.
    data = bytes([value]) * length
    with open_disk(path, writable=True) as disk:
        if name == "write":
            disk.write(offset, data)
        else:
            disk.zero(offset, length)
    model[offset : offset + length] = data


def _compact(path, name):
    """Once, and a second time to no effect; what was foretold is what happened."""
    before = _files_size(path)
    with open_disk(path) as disk:
        cid = disk.descriptor.cid
    if name == "defragment":
        foretold = fragmentation(path).worthwhile
        assert defragment(path) is foretold
        after = fragmentation(path)
        assert not after.worthwhile
        assert after.layout.fragments <= sum(1 for _file in path.parent.glob(f"{path.stem}*"))
        assert not defragment(path)
    else:
        foretold = surplus(path)
        assert shrink(path) == foretold
        if path.stem != "flat":
            assert before - _files_size(path) == foretold
        assert surplus(path) == 0
        assert shrink(path) == 0
    with open_disk(path) as disk:
        assert disk.descriptor.cid == cid


def _files_size(path):
    return sum(file.stat().st_size for file in path.parent.glob(f"{path.stem}*"))


def _check(path, model):
    with open_disk(path) as disk:
        assert disk.flags == []
        assert read(disk, 0, disk.size) == model
    assert not list(path.parent.glob("*.vdisk-*"))


@pytest.fixture
def splits(monkeypatch):
    monkeypatch.setattr(layout, "SPLIT_SECTORS", 3 * 128 + 8)


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "twoGbMaxExtentSparse"])
@given(steps=st.lists(_step, max_size=15))
@_quick
def test_content_stays(splits, disk_type, steps):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "disk.vmdk"
        create_disk(path, DiskSpec(SIZE, disk_type))
        model = bytearray(SIZE)
        for step in steps:
            _apply(path, model, step)
        _check(path, model)


@pytest.mark.parametrize("disk_type", ["monolithicFlat", "twoGbMaxExtentFlat"])
@given(steps=st.lists(_step, max_size=8))
@settings(_quick, max_examples=examples(15))
def test_content_of_flat_disks_stays(splits, disk_type, steps):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flat.vmdk"
        create_disk(path, DiskSpec(SIZE, disk_type))
        model = bytearray(SIZE)
        for step in steps:
            _apply(path, model, step)
        _check(path, model)


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "twoGbMaxExtentSparse"])
@pytest.mark.parametrize("zeroed_grains", [False, True])
@given(before=st.lists(_step, max_size=6), steps=st.lists(_step, max_size=12))
@_quick
def test_content_of_a_child_and_its_parent_stays(splits, disk_type, zeroed_grains, before, steps):
    with tempfile.TemporaryDirectory() as folder:
        base, child = Path(folder) / "base.vmdk", Path(folder) / "child.vmdk"
        create_disk(base, DiskSpec(SIZE, "monolithicSparse"))
        model = bytearray(SIZE)
        for step in before:
            _apply(base, model, step)
        create_child(base, child, disk_type)
        if zeroed_grains:
            for extent in Path(folder).glob("child*.vmdk"):
                _allow_zeroed_grains(extent)
        parent = bytes(model)
        for step in steps:
            _apply(child, model, step)
        _check(child, model)
        for name in ("defragment", "shrink"):  # of a parent, although it has a child
            _compact(base, name)
        _check(base, parent)
        _check(child, model)


def _allow_zeroed_grains(path):
    data = path.read_bytes()
    if data[:4] == b"KDMV":
        header = SparseHeader.parse(data, str(path))
        header = dataclasses.replace(header, version=2, flags=header.flags | ZEROED_GRAINS)
        path.write_bytes(header.pack() + data[SECTOR:])
