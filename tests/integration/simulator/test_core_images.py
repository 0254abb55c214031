# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The model that everything is held against, itself held against plain bytearrays."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from ansible_collections.vdisk.lifecycle.tests.simulator.images import BLOCK, Bitmap, Images
from ansible_collections.vdisk.lifecycle.tests.simulator.running import quick_place

SIZE = 5 * BLOCK + 4096  # the last block is short
BLOCKS = 6
PATH = "[ds] vm/vm.vmdk"
OFFSETS = st.integers(0, SIZE - 1)


def same(one, other):
    """A word instead of a page of bytes where they differ."""
    return bytes(one) == bytes(other)


class Model(RuleBasedStateMachine):
    """One disk: its guest writes, snapshots come and go; so does a plain model of it."""

    epochs = Bundle("epochs")

    @initialize()
    def create(self):
        self.folder = tempfile.TemporaryDirectory(dir=quick_place())
        self.images = Images(self.folder.name)
        self.disk = self.images.create(PATH, SIZE)
        self.live = bytearray(SIZE)
        self.frozen = []  # (layer's path, what it must go on to read)
        self.marks = {}  # epoch → what the disk was then
        self.names = 0

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()

    def child(self):
        self.names += 1
        return f"[ds] vm/vm-{self.names:06}.vmdk"

    @rule(offset=OFFSETS, data=st.binary(min_size=1, max_size=300), times=st.integers(1, 600))
    def write(self, offset, data, times):
        data = (data * times)[: SIZE - offset]
        self.disk.write(offset, data)
        self.live[offset : offset + len(data)] = data

    @rule(target=epochs)
    def mark(self):
        epoch = self.disk.mark()
        self.marks[epoch] = bytes(self.live)
        return epoch

    @rule(kind=st.sampled_from(["seSparse", "vmfsSparse"]))
    def freeze(self, kind):
        frozen = self.disk.freeze(self.child(), kind)
        self.frozen.append((frozen.path, bytes(self.live)))

    @precondition(lambda self: self.frozen)
    @rule()
    def drop(self):
        path, content = self.frozen.pop()
        self.disk.drop_top()
        assert self.disk.path == path
        self.live = bytearray(content)

    @precondition(lambda self: self.frozen)
    @rule(which=st.integers(0, 20))
    def merge(self, which):
        """What RemoveSnapshot does: the layer above the frozen one goes into it."""
        which %= len(self.frozen)
        above = self.disk.layers[which + 1]
        assert above.parent.path == self.frozen[which][0]
        self.disk.merge(above)
        assert not os.path.exists(above.file)
        assert not os.path.exists(above.data)
        path = self.frozen.pop(which)[0]
        if which < len(self.frozen):  # the one above now is in this one's files
            self.frozen[which] = (path, self.frozen[which][1])

    @precondition(lambda self: self.frozen)
    @rule(which=st.integers(0, 20))
    def switch(self, which):
        """What RevertToSnapshot does; here nobody keeps the layers above."""
        which %= len(self.frozen)
        while len(self.frozen) > which + 1:
            self.drop()
        path, content = self.frozen[which]
        self.disk.switch(self.images.open(path).top, self.child())
        self.live = bytearray(content)

    @rule(offset=OFFSETS, length=st.integers(0, SIZE))
    def read(self, offset, length):
        length = min(length, SIZE - offset)
        assert same(self.disk.read(offset, length), self.live[offset : offset + length])

    @rule(epoch=epochs)
    def changed(self, epoch):
        told = self.disk.changed_since(epoch)
        before = self.marks[epoch]
        for block in range(BLOCKS):
            part = slice(block * BLOCK, (block + 1) * BLOCK)
            assert block in told or same(before[part], self.live[part])

    @rule()
    def open_anew(self):
        """Everything is in the files: another process sees the same disk."""
        other = Images(self.folder.name).open(self.disk.path)
        assert same(other.read(0, SIZE), self.live)
        assert [layer.held for layer in other.layers] == [layer.held for layer in self.disk.layers]

    @invariant()
    def frozen_layers_stay(self):
        for path, content in getattr(self, "frozen", ()):
            assert same(self.images.open(path).read(0, SIZE), content)

    @invariant()
    def what_is_not_allocated_is_zero(self):
        if hasattr(self, "disk"):
            held = self.disk.allocated()
            for block in range(BLOCKS):
                if block not in held:
                    assert not any(self.live[block * BLOCK : (block + 1) * BLOCK])


TestDisk = Model.TestCase
TestDisk.settings = settings(max_examples=40, stateful_step_count=20, deadline=None)


@pytest.fixture
def images(tmp_path):
    return Images(str(tmp_path))


class TestChanges:
    def test_only_blocks_written_after_the_mark_are_told(self, images):
        disk = images.create(PATH, SIZE)
        disk.write(0, b"before")
        epoch = disk.mark()
        disk.write(3 * BLOCK - 1, b"ab")
        assert list(disk.changed_since(epoch).runs()) == [(2, 2)]

    def test_until_leaves_out_what_came_later(self, images):
        disk = images.create(PATH, SIZE)
        first = disk.mark()
        disk.write(0, b"a")
        second = disk.mark()
        disk.write(BLOCK, b"b")
        assert list(disk.changed_since(first, second).runs()) == [(0, 1)]

    def test_freezing_begins_an_epoch(self, images):
        disk = images.create(PATH, SIZE)
        disk.write(0, b"a")
        disk.freeze("[ds] vm/vm-000001.vmdk")
        assert not disk.changed_since(disk.epoch)

    def test_what_is_lost_when_the_top_is_dropped_is_told(self, images):
        disk = images.create(PATH, SIZE)
        disk.freeze("[ds] vm/vm-000001.vmdk")
        disk.write(2 * BLOCK, b"lost")
        epoch = disk.mark()
        disk.drop_top()
        assert list(disk.changed_since(epoch).runs()) == [(2, 1)]

    def test_what_differs_after_going_back_is_told(self, images):
        disk = images.create(PATH, SIZE)
        base = disk.freeze("[ds] vm/vm-000001.vmdk")
        disk.write(BLOCK, b"first")
        disk.freeze("[ds] vm/vm-000002.vmdk")
        disk.write(3 * BLOCK, b"second")
        epoch = disk.mark()
        disk.switch(base, "[ds] vm/vm-000003.vmdk")
        assert list(disk.changed_since(epoch).runs()) == [(1, 1), (3, 1)]


class TestMerging:
    @pytest.fixture
    def disk(self, images):
        """A base, and two deltas over it, each with blocks of its own."""
        disk = images.create(PATH, SIZE)
        for number in (1, 2):
            disk.freeze(f"[ds] vm/vm-00000{number}.vmdk")
            disk.write(number * BLOCK, bytes([number]) * 2 * BLOCK)
        return disk

    @pytest.mark.parametrize("which", [1, 2])
    def test_every_block_arrives_in_the_files(self, images, disk, which):
        content = disk.read(0, SIZE)
        disk.merge(disk.layers[which])
        assert same(disk.read(0, SIZE), content)
        assert same(Images(images.directory).open(disk.path).read(0, SIZE), content)

    def test_the_child_of_a_merged_layer_names_its_new_parent(self, images, disk):
        disk.merge(disk.layers[1])
        text = Path(images.file("[ds] vm/vm-000002.vmdk")).read_text(encoding="utf-8")
        assert 'parentFileNameHint="vm.vmdk"' in text


class TestFiles:
    def test_all_fresh_disks_have_one_content_id_until_they_are_written_to(self, images):
        disk = images.create(PATH, SIZE)
        file = Path(images.file(PATH))
        assert "\nCID=fffffffe\n" in file.read_text(encoding="utf-8")
        disk.write(5, b"data")
        assert "\nCID=fffffffe\n" not in file.read_text(encoding="utf-8")

    def test_the_first_write_after_a_start_changes_the_content_id(self, images):
        disk = images.create(PATH, SIZE)
        disk.write(5, b"data")
        first = disk.top.descriptor.cid
        disk.write(5, b"more")
        assert disk.top.descriptor.cid == first
        disk.is_reopened = True
        disk.write(5, b"more")
        assert disk.top.descriptor.cid != first

    def test_descriptors_name_their_parents(self, images):
        disk = images.create(PATH, SIZE)
        disk.freeze("[ds] vm/vm-000001.vmdk")
        text = Path(images.file("[ds] vm/vm-000001.vmdk")).read_text(encoding="utf-8")
        assert 'parentFileNameHint="vm.vmdk"' in text
        assert 'SESPARSE "vm-000001-sesparse.vmdk"' in text
        assert f"parentCID={disk.layers[0].descriptor.cid}" in text

    def test_a_delta_in_another_directory_finds_its_parent(self, images):
        disk = images.create(PATH, SIZE)
        disk.write(5, b"base")
        os.makedirs(os.path.dirname(images.file("[ds] proxy/x")))
        disk.freeze("[ds] proxy/redo.vmdk")
        assert Images(images.directory).open("[ds] proxy/redo.vmdk").read(5, 4) == b"base"

    def test_the_flat_file_is_the_disk(self, images):
        disk = images.create(PATH, SIZE)
        disk.write(SIZE - 3, b"end")
        flat = Path(images.file("[ds] vm/vm-flat.vmdk")).read_bytes()
        assert same(flat, disk.read(0, SIZE))

    def test_zeros_over_frozen_data_are_zeros(self, images):
        disk = images.create(PATH, SIZE)
        disk.write(0, b"x" * BLOCK)
        disk.freeze("[ds] vm/vm-000001.vmdk")
        disk.write(0, bytes(BLOCK))
        assert not any(disk.read(0, BLOCK))
        assert not any(Images(images.directory).open(disk.path).read(0, BLOCK))

    def test_growing_keeps_the_content_and_adds_zeros(self, images):
        disk = images.create(PATH, SIZE)
        disk.write(SIZE - 3, b"end")
        disk.grow(SIZE + BLOCK)
        assert disk.read(SIZE - 3, 6) == b"end\0\0\0"
        assert Images(images.directory).open(PATH).size == SIZE + BLOCK

    def test_a_layer_with_two_children_is_not_merged_into(self, images):
        disk = images.create(PATH, SIZE)
        base = disk.freeze("[ds] vm/vm-000001.vmdk")
        kept = disk.top
        disk.freeze("[ds] vm/vm-000002.vmdk")
        disk.switch(base, "[ds] vm/vm-000003.vmdk")
        with pytest.raises(ValueError, match="no parent of its own"):
            disk.merge(kept)

    @pytest.mark.parametrize("path", ["vm/vm.vmdk", "[ds] ../other/vm.vmdk", "[ds]", ""])
    def test_other_strings_are_no_paths(self, images, path):
        with pytest.raises(ValueError, match="not a path on a datastore"):
            images.file(path)


class TestBitmap:
    def test_areas_end_where_the_disk_ends(self):
        assert list(Bitmap.over(4 * BLOCK, 2 * BLOCK).areas(SIZE)) == [(4 * BLOCK, BLOCK + 4096)]

    def test_runs_are_in_order_and_apart(self):
        assert list(Bitmap(0b1101).runs()) == [(0, 1), (2, 2)]
