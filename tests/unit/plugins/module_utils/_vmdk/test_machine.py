# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whatever is done to a family of disks, in any order, each of them reads as its bytearray does.

The family is a tree of bases, redo logs and clones in two folders, of every type that can be
written. The model says what each must hold, which request must be refused, and which clone has
lost its parent.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    ChainMismatch,
    InvalidRequest,
    ReadOnlyDisk,
    UnsafePath,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.convert_disk import plan_convert
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import ConvertRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.finding import NOTE
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.repair import repair_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.defragment import (
    defragment,
    fragmentation,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.shrink import (
    shrink,
    surplus,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents import layout
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life import grow as grow_module
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.metadata import (
    set_metadata,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.remove import remove_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.rename import rename_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.commit import commit_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.rebase import (
    attach_child,
    rebase_child,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import (
    create_child,
    revert_child,
)
from ansible_collections.vdisk.lifecycle.tests.examples import examples
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.family_model import (
    BASES,
    BROKEN,
    GROWABLE,
    SPLIT,
    Family,
    Node,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.handmade import (
    SECTOR,
    Part,
    lay_down,
    numbered,
)

MOST = 6  # disks at once
CHILDREN = ["monolithicSparse", "twoGbMaxExtentSparse"]

_any = st.integers(0, MOST - 1)
_some = st.one_of(st.integers(1, 40), st.integers(1, 600), st.sampled_from([128, 256, 384]))
_flags = st.tuples(st.booleans(), st.booleans(), st.booleans())
_sparse = st.builds(
    lambda sectors, grain, flags: Part("sparse", sectors, grain, *flags),
    _some,
    st.sampled_from([8, 16, 32, 128]),
    _flags,
)
_cowd = st.builds(
    lambda sectors, grain: Part("cowd", sectors, grain), _some, st.sampled_from([1, 2, 16, 128])
)
_other = st.tuples(st.sampled_from(["flat", "shared", "rdonly", "zero"]), _some).map(
    lambda pair: Part(*pair)
)
_zero = st.builds(lambda sectors: Part("zero", sectors), _some)
_filled = st.builds(
    lambda part: part._replace(grains={(part.sectors - 1) // part.grain: numbered(part.grain)}),
    st.one_of(_sparse, _cowd),
)
_base_parts = st.lists(st.one_of(_sparse, _cowd, _filled, _other), min_size=1, max_size=5)
_child_parts = st.lists(st.one_of(_sparse, _cowd, _zero), min_size=1, max_size=3)
_place = st.one_of(st.integers(0, 1 << 20), st.integers(0, 12).map(lambda n: n << 16))
_length = st.one_of(st.integers(1, 3000), st.integers(1, 4 << 16), st.sampled_from([4096, 1 << 16]))
_access = st.tuples(
    st.sampled_from(["write", "write", "zero", "read", "flush"]),
    _place,
    _length,
    st.integers(1, 255),
)


class Machine(Family):
    # Making

    @initialize(kind=st.sampled_from(BASES), sectors=st.integers(1, 1500))
    def first(self, kind, sectors):
        self.create(kind, sectors)

    @precondition(lambda self: len(self.nodes) < MOST)
    @rule(kind=st.sampled_from(BASES), sectors=st.integers(1, 1500))
    def create(self, kind, sectors):
        path = self.name()
        content = numbered(sectors, self.made * 10_000)
        with new_disk(path, DiskSpec(sectors * SECTOR, kind)) as disk:
            disk.write(0, content)
        whole = not kind.startswith("twoGb") or kind.endswith("Flat") or sectors <= SPLIT
        self.nodes.append(Node(path, bytearray(content), qemu=whole))

    @precondition(lambda self: len(self.nodes) < MOST)
    @rule(parts=_base_parts)
    def lay_down_base(self, parts):
        path = self.name()
        laid = lay_down(path.parent, path.stem, parts, cid=f"{self.made:08x}")
        self.add_handmade(laid, parts)

    @precondition(lambda self: len(self.nodes) < MOST)
    @rule(number=_any, parts=_child_parts, size=st.sampled_from(["same", "shorter", "any"]))
    def lay_down_child(self, number, parts, size):
        parent = self.pick(number)
        if not self.is_whole(parent):
            return
        rest = parent.size // SECTOR - sum(part.sectors for part in parts)
        if rest < 0 and size != "any":
            return
        if rest > 0 and size != "shorter":
            parts = [*parts, Part("sparse", rest, 16, zeroed=True)]
        path = self.name(self.folders.index(parent.path.parent))
        above = (self.content_id(parent), parent.path.name)
        laid = lay_down(
            path.parent,
            path.stem,
            parts,
            cid=f"{self.made:08x}",
            parent=above,
            below=parent.content,
        )
        self.add_handmade(laid, parts, parent)

    def add_handmade(self, laid, parts, parent=None):
        whole = all(part.sectors % part.grain == 0 for part in parts[:-1])
        node = Node(
            laid.path, laid.content, parent=parent, fixed=laid.fixed, made_here=False, qemu=whole
        )
        for start, end in laid.fixed:
            node.written[start // SECTOR : end // SECTOR] = b"\1" * ((end - start) // SECTOR)
        self.nodes.append(node)

    @precondition(lambda self: len(self.nodes) < MOST)
    @rule(number=_any, kind=st.sampled_from(CHILDREN), folder=st.sampled_from([0, 0, 1]))
    def child(self, number, kind, folder):
        parent, path = self.pick(number), self.name(folder)
        if not self.is_whole(parent):
            with self.refused(*BROKEN):
                create_child(parent.path, path, kind, allow_outside=self.outside)
            return
        create_child(parent.path, path, kind, allow_outside=self.outside)
        whole = kind == "monolithicSparse" or parent.size <= SPLIT * SECTOR
        self.nodes.append(Node(path, bytearray(parent.content), parent=parent, qemu=whole))

    # Content

    @rule(number=_any, steps=st.lists(_access, min_size=1, max_size=6))
    def use(self, number, steps):
        node = self.changeable(number)
        if node is None:
            return
        with self.open(node, writable=True) as disk:
            for name, offset, length, value in steps:
                offset %= node.size
                length = min(length, node.size - offset)
                getattr(self, f"do_{name}")(node, disk, offset, length, value)

    # Size and place

    @rule(number=_any, sectors=st.one_of(st.integers(1, 300), st.integers(1, 1200)))
    def grow(self, number, sectors):
        node = self.pick(number)
        size = node.size + sectors * SECTOR
        if node.is_child or self.children_of(node) or self.type_of(node) not in GROWABLE:
            with self.refused(InvalidRequest, UnsupportedDisk, UnsafePath, *BROKEN):
                grow_disk(node.path, size)
            return
        if not node.made_here and self.last_is_shared(node):
            with self.refused(UnsupportedDisk):
                grow_disk(node.path, size)
            return
        assert grow_disk(node.path, size)
        self.lengthen(node, size)

    @rule(number=_any, folder=st.sampled_from([0, 0, 1]))
    def rename(self, number, folder):
        node, new = self.pick(number), self.name(folder)
        if not self.is_whole(node):
            with self.refused(*BROKEN):
                rename_disk(node.path, new, allow_outside=self.outside)
            return
        children = self.children_of(node)
        if node.is_child and new.parent != node.path.parent:
            node.hint = self.parent_of(node).path
        assert rename_disk(node.path, new, allow_outside=self.outside)
        node.path = new
        for child in children:
            child.hint = new

    @precondition(lambda self: len(self.nodes) > 1)
    @rule(number=_any)
    def remove(self, number):
        node = self.pick(number)
        if self.children_of(node):
            with self.refused(InvalidRequest):
                remove_disk(node.path)
            return
        remove_disk(node.path)
        self.nodes.remove(node)
        assert not list(node.path.parent.glob(f"{node.path.stem}[-.]*"))

    # Redo logs

    @rule(number=_any)
    def commit(self, number):
        node = self.pick_child(number)
        parent = node.is_child and self.parent_of(node)
        if self.must_refuse_commit(node, parent):
            with self.refused(InvalidRequest, *BROKEN):
                commit_child(node.path, allow_outside=self.outside)
            return
        with self.open(node, single_link=True) as disk:
            own = [run for run in disk.extents() if run.kind is not Kind.INHERITED]
        if self.cannot_take(parent, own, node.size):
            with self.refused(ReadOnlyDisk, UnsupportedDisk):
                commit_child(node.path, allow_outside=self.outside)
            return
        grandchildren = self.children_of(node)
        commit_child(node.path, allow_outside=self.outside)
        if node.size > parent.size:
            self.lengthen(parent, node.size)
        if own:
            parent.token = node.token
        parent.content[:] = node.content
        parent.written = bytearray(a | b for a, b in zip(parent.written, node.written, strict=True))
        for grandchild in grandchildren:
            grandchild.adopt(parent)
        self.nodes.remove(node)

    @rule(number=_any)
    def revert(self, number):
        node = self.pick_child(number)
        usual = self.type_of(node) in CHILDREN
        if not (node.is_child and usual and self.is_whole(node)) or self.children_of(node):
            with self.refused(InvalidRequest, UnsupportedDisk, *BROKEN):
                revert_child(node.path, allow_outside=self.outside)
            return
        revert_child(node.path, allow_outside=self.outside)
        node.content = bytearray(self.parent_of(node).content)
        self.made_anew(node, self.type_of(node))

    @rule(number=_any, other=_any)
    def rebase(self, number, other):
        node, base = self.pick_child(number), self.pick(other)
        around = node in self.chain(base)
        fit = node.is_child and self.is_whole(node) and self.is_whole(base) and not around
        if not fit or self.children_of(node):
            with self.refused(InvalidRequest, *BROKEN):
                rebase_child(node.path, base.path, allow_outside=self.outside)
            return
        rebase_child(node.path, base.path, allow_outside=self.outside)
        node.adopt(base)  # its own content id stays, as its content does

    @rule(number=_any, other=_any)
    def attach(self, number, other):
        """A clone that has lost its parent finds it by content id; another one is refused."""
        node, base = self.pick(number), self.pick(other)
        if self.is_whole(node) or not self.is_whole(base) or node is base:
            return
        if base.token is node.parent_token:
            attach_child(node.path, base.path, allow_outside=self.outside)
            node.adopt(base)
            return
        with self.refused(ChainMismatch):
            attach_child(node.path, base.path, allow_outside=self.outside)

    # What does not show

    @rule(number=_any)
    def defragment(self, number):
        node = self.pick(number)
        with self.same_content_id(node):
            foretold = fragmentation(node.path).worthwhile
            assert defragment(node.path) is foretold
            assert not fragmentation(node.path).worthwhile
            assert not defragment(node.path)

    @rule(number=_any)
    def shrink(self, number):
        node = self.pick(number)
        with self.same_content_id(node):
            foretold = surplus(node.path)
            assert shrink(node.path) == foretold
            assert surplus(node.path) == 0

    @rule(
        number=_any, key=st.sampled_from(["comment", "uuid"]), value=st.text("aé磁 =", max_size=9)
    )
    def set_metadata(self, number, key, value):
        node = self.pick(number)
        with self.same_content_id(node):
            set_metadata(node.path, {key: value})
        with self.open(node, single_link=True) as disk:
            assert disk.descriptor.get(f"ddb.{key}") == value

    @rule(number=_any)
    def check(self, number):
        node = self.pick(number)
        findings = check_disk(node.path, allow_outside=self.outside)
        found = [finding for finding in findings if finding.severity != NOTE]
        if self.is_whole(node):
            assert found == []
            before = self.files()
            assert repair_disk(node.path, allow_outside=self.outside) == []
            assert self.files() == before
        else:
            assert {finding.kind for finding in found} <= {"missing-link", "cid-mismatch"}
            assert found

    @rule(number=_any, kind=st.sampled_from(BASES), through_stream=st.booleans())
    def convert(self, number, kind, through_stream):
        node = self.pick(number)
        if through_stream:
            self.convert_to(node, "streamOptimized")
        self.convert_to(node, kind)

    def convert_to(self, node, kind):
        request = ConvertRequest(str(node.path), kind, Access(allow_outside=(str(self.root),)))
        same = self.type_of(node) == kind and not node.is_child
        if not self.is_whole(node) or (self.children_of(node) and not same):
            with self.refused(InvalidRequest, *BROKEN):
                plan_convert(request).run(check_mode=False)
            return
        plan_convert(request).run(check_mode=False)
        assert self.type_of(node) == kind
        if not same:
            node.hint = node.parent_token = None
            self.made_anew(node, kind)
        self.agrees(node)

    # What must be so at any time

    @invariant()
    def nothing_is_left_over(self):
        assert not list(self.root.rglob("*.vdisk-*"))

    @invariant()
    def every_disk_reads_as_its_model(self):
        for node in self.nodes:
            if self.is_whole(node):
                self.agrees(node)
            else:
                with self.expect(*BROKEN):
                    self.open(node)


_bounded = settings(
    max_examples=examples(60),
    stateful_step_count=20,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)


def test_families_of_disks_behave_like_bytearrays(monkeypatch):
    for module in (layout, grow_module):
        monkeypatch.setattr(module, "SPLIT_SECTORS", SPLIT)
    run_state_machine_as_test(Machine, settings=_bounded)
