# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Any sequence of writes, children, commits, reverts, rebases and renames reads as a list does."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents import layout
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life import grow
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.remove import remove_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.rename import rename_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.commit import commit_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.rebase import rebase_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import (
    create_child,
    revert_child,
)
from ansible_collections.vdisk.lifecycle.tests.examples import examples

GRAIN = 64 << 10
SECTOR = 512
SIZE = 10 * GRAIN + 5 * SECTOR  # a short last grain
CHILDREN = ["monolithicSparse", "twoGbMaxExtentSparse"]

_place = st.one_of(st.integers(0, SIZE - 1), st.integers(0, 10).map(lambda n: n * GRAIN))
_length = st.one_of(st.integers(1, 3000), st.integers(1, 4 * GRAIN), st.just(GRAIN))
_step = st.one_of(
    st.tuples(st.just("write"), _place, _length, st.integers(1, 255)),
    st.tuples(st.just("zero"), _place, _length, st.just(0)),
    st.tuples(st.just("child"), st.sampled_from(CHILDREN), st.just(0), st.just(0)),
    st.tuples(
        st.sampled_from(["commit", "commit_below", "revert", "rebase", "rename"]),
        st.integers(0, 5),
        st.just(0),
        st.just(0),
    ),
)


class _Family:
    """A chain under test, base first, and what each disk of it holds."""

    def __init__(self, folder, disk_type):
        self.folder, self.disk_type = folder, disk_type
        self.made = 0
        self.paths, self.models = [], []
        self.add_base()

    def add_base(self):
        content = bytes((n // 1000) % 7 and 0x40 + n % 3 for n in range(0, SIZE, 50))
        content = b"".join(bytes([value]) * 50 for value in content)[:SIZE]
        self.paths.append(self.name("base"))
        with new_disk(self.paths[-1], DiskSpec(SIZE, self.disk_type)) as disk:
            disk.write(0, content)
        self.models.append(bytearray(content))

    def name(self, stem):
        self.made += 1
        return self.folder / f"{stem}{'x' * self.made}.vmdk"

    def apply(self, step):
        name, *arguments = step
        getattr(self, f"do_{name}")(*arguments)

    def do_write(self, offset, length, value):
        length = min(length, SIZE - offset)
        data = bytes((value + n * 7) % 256 for n in range(251)) * (length // 251 + 1)
        with open_disk(self.paths[-1], writable=True) as disk:
            disk.write(offset, data[:length])
        self.models[-1][offset : offset + length] = data[:length]

    def do_zero(self, offset, length, _value):
        length = min(length, SIZE - offset)
        with open_disk(self.paths[-1], writable=True) as disk:
            disk.zero(offset, length)
        self.models[-1][offset : offset + length] = bytes(length)

    def do_child(self, disk_type, *_ignored):
        if len(self.paths) < 4:
            child = self.name("child")
            create_child(self.paths[-1], child, disk_type)
            self.paths.append(child)
            self.models.append(bytearray(self.models[-1]))

    def do_commit(self, *_ignored):
        self._commit(len(self.paths) - 1)

    def do_commit_below(self, number, *_ignored):
        """A child somewhere in the chain; its own children go on living."""
        self._commit(number % len(self.paths))

    def _commit(self, number):
        if number:
            commit_child(self.paths[number])
            del self.paths[number], self.models[number - 1]

    def do_revert(self, *_ignored):
        if len(self.paths) > 1:
            revert_child(self.paths[-1])
            self.models[-1] = bytearray(self.models[-2])

    def do_rebase(self, number, *_ignored):
        """The leaf onto another disk of its chain, or onto a new one."""
        if len(self.paths) < 2:
            return
        leaf, model = self.paths.pop(), self.models.pop()
        left = self.paths
        if number % 2:
            self.paths, self.models = [], []
            self.add_base()
            self.do_write(GRAIN, 3 * GRAIN, number)
        else:
            keep = 1 + number % len(self.paths)
            self.paths, self.models = self.paths[:keep], self.models[:keep]
        rebase_child(leaf, self.paths[-1])
        for path in reversed(left):
            if path not in self.paths:
                remove_disk(path)  # the leaf needs nothing of it any more
        self.paths.append(leaf)
        self.models.append(model)

    def do_rename(self, number, *_ignored):
        number %= len(self.paths)
        new = self.name("renamed")
        assert rename_disk(self.paths[number], new)
        self.paths[number] = new

    def check(self):
        for path, model in zip(self.paths, self.models, strict=True):
            with open_disk(path) as disk:
                assert disk.flags == []
                assert read(disk, 0, disk.size) == model
        assert not list(self.folder.glob("*.vdisk-*"))

    def check_with_qemu(self):
        for path, model in zip(self.paths, self.models, strict=True):
            raw = self.folder / "by-qemu.raw"
            command = ["qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, raw]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            assert raw.read_bytes() == model
            raw.unlink()


@pytest.fixture
def splits(monkeypatch):
    """Extents that end inside a grain."""
    monkeypatch.setattr(layout, "SPLIT_SECTORS", 3 * 128 + 8)
    monkeypatch.setattr(grow, "SPLIT_SECTORS", 3 * 128 + 8)


@pytest.mark.parametrize(
    "disk_type",
    ["monolithicSparse", "twoGbMaxExtentSparse", "monolithicFlat", "twoGbMaxExtentFlat", "vmfs"],
)
@given(steps=st.lists(_step, max_size=14))
@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_chain_behaves_like_a_list_of_bytearrays(splits, disk_type, steps):
    with tempfile.TemporaryDirectory() as folder:
        family = _Family(Path(folder), disk_type)
        for step in steps:
            family.apply(step)
            family.check()


# Whole grains: qemu reads the last grain of an extent to its end, across the end of the extent.
@pytest.mark.parametrize("disk_type", ["monolithicSparse", "twoGbMaxExtentSparse", "vmfs"])
@given(steps=st.lists(_step, min_size=3, max_size=10))
@settings(
    max_examples=examples(8),
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_qemu_reads_every_disk_of_the_chain_alike(qemu_img, small_split, disk_type, steps):
    with tempfile.TemporaryDirectory() as folder:
        family = _Family(Path(folder), disk_type)
        for step in steps:
            family.apply(step)
            family.check_with_qemu()
