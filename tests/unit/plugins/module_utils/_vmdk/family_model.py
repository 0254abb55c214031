# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is known about a family of disks, for test_machine.py: contents, parents, refusals."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from pathlib import Path

from hypothesis.stateful import RuleBasedStateMachine

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    ChainMismatch,
    InvalidRequest,
    MissingLink,
    ReadOnlyDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.handmade import (
    SECTOR,
)

SPLIT = 3 * 128 + 8  # sectors; not a multiple of the grain
BASES = ["monolithicSparse", "twoGbMaxExtentSparse", "monolithicFlat", "twoGbMaxExtentFlat", "vmfs"]
GROWABLE = QEMU_TYPES = [*BASES, "vmfsSparse"]
BROKEN = (ChainMismatch, MissingLink)


class Node:
    """A disk, and what is known about it."""

    def __init__(self, path, content, *, parent=None, fixed=(), made_here=True, qemu=True):
        self.path, self.content, self.fixed = path, content, list(fixed)
        self.made_here, self.qemu = made_here, qemu
        self.token = object()  # stands for the content id
        self.hint = parent and parent.path
        self.parent_token = parent and parent.token
        self.written = bytearray(len(content) // SECTOR)  # of a child: sectors that are its own

    @property
    def size(self):
        return len(self.content)

    @property
    def is_child(self):
        return self.hint is not None

    def adopt(self, parent):
        self.hint, self.parent_token = parent.path, parent.token

    def put(self, offset, data):
        self.content[offset : offset + len(data)] = data
        first, last = offset // SECTOR, -(-(offset + len(data)) // SECTOR)
        self.written[first:last] = b"\1" * (last - first)


class Family(RuleBasedStateMachine):
    """Disks in two folders."""

    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="vdisk-machine-"))
        self.folders = [self.root / "a", self.root / "b"]
        for folder in self.folders:
            folder.mkdir()
        self.outside = [str(self.root)]
        self.nodes = []
        self.made = 0

    def teardown(self):
        try:
            for node in self.nodes:
                if self.is_whole(node):
                    self.check_as_others_see(node)
        finally:
            shutil.rmtree(self.root)

    # What the model knows

    def name(self, folder=0):
        self.made += 1
        return self.folders[folder] / f"disk{self.made}.vmdk"

    def pick(self, number):
        return self.nodes[number % len(self.nodes)]

    def pick_child(self, number):
        """A child most of the time, where there is one."""
        children = [node for node in self.nodes if node.is_child]
        return children[number % len(children)] if number and children else self.pick(number)

    def parent_of(self, node):
        """The disk that a child finds where its hint says, or beside itself."""
        places = [node.hint, node.path.parent / node.hint.name]
        found = [other for place in places for other in self.nodes if other.path == place]
        return found[0] if found else None

    def children_of(self, node):
        """Those that it is asked about: beside it, of this very content."""
        return [
            other
            for other in self.nodes
            if other.is_child
            and other is not node
            and other.path.parent == node.path.parent
            and other.parent_token is node.token
            and other.hint.name == node.path.name
        ]

    def chain(self, node):
        """From the leaf down; None at the end where a parent is missing or was changed."""
        links = [node]
        while links[-1] is not None and links[-1].is_child:
            parent = self.parent_of(links[-1])
            right = parent is not None and parent.token is links[-1].parent_token
            links.append(parent if right else None)
        return links

    def is_whole(self, node):
        return None not in self.chain(node)

    def open(self, node, **options):
        return open_disk(node.path, allow_outside=self.outside, **options)

    @contextlib.contextmanager
    def refused(self, *errors):
        """And nothing has changed."""
        before = self.files()
        try:
            yield
        except errors:
            assert self.files() == before
        else:
            raise AssertionError(f"expected one of {errors}")

    def files(self):
        paths = sorted(path for path in self.root.rglob("*") if path.is_file())
        return {path: path.read_bytes() for path in paths}

    def changeable(self, number):
        """The disk, if its content may be changed; else that is refused."""
        node = self.pick(number)
        if self.is_whole(node) and not self.children_of(node):
            return node
        with self.refused(InvalidRequest, *BROKEN):
            self.open(node, writable=True)
        return None

    @staticmethod
    def content_id(node):
        with open_disk(node.path, single_link=True) as disk:
            return f"{disk.descriptor.cid:08x}"

    @contextlib.contextmanager
    def same_content_id(self, node):
        before = self.content_id(node)
        yield
        assert self.content_id(node) == before

    @staticmethod
    @contextlib.contextmanager
    def expect(*errors):
        try:
            yield
        except errors:
            return
        raise AssertionError(f"expected one of {errors}")

    # What is done while a disk is open

    def do_write(self, node, disk, offset, length, value):
        node.token = object()
        data = (bytes((value + n * 7) % 256 for n in range(251)) * (length // 251 + 1))[:length]
        for start, end in node.fixed:
            if start <= offset < end:
                with self.expect(ReadOnlyDisk):
                    disk.write(offset, data[: end - offset])
                return
            if offset < start:
                data = data[: start - offset]
        disk.write(offset, data)
        node.put(offset, data)

    def do_zero(self, node, disk, offset, length, _value):
        for start, end in node.fixed:
            if start <= offset < end:
                return
            if offset < start:
                length = min(length, start - offset)
        node.token = object()
        disk.zero(offset, length)
        node.put(offset, bytes(length))

    def do_read(self, node, disk, offset, length, _value):
        assert read(disk, offset, length) == node.content[offset : offset + length]

    def do_flush(self, _node, disk, *_ignored):
        disk.flush()

    # What a descriptor says

    def last_is_shared(self, node):
        names = [line.split('"')[1] for line in self.text(node).splitlines() if " FLAT " in line]
        return bool(names) and names.count(names[-1]) > 1

    @staticmethod
    def text(node):
        return node.path.read_bytes()[:20_000].decode("utf-8", "replace")

    def type_of(self, node):
        return self.text(node).split('createType="')[1].split('"')[0]

    # What becomes of a disk

    def lengthen(self, node, size):
        more = size - node.size
        node.content.extend(bytes(more))
        node.written.extend(bytes(more // SECTOR))
        node.qemu = node.qemu and self.type_of(node) != "twoGbMaxExtentSparse"

    def made_anew(self, node, kind):
        node.token, node.fixed, node.made_here = object(), [], True
        node.written = bytearray(node.size // SECTOR)
        node.qemu = kind != "twoGbMaxExtentSparse" or node.size <= SPLIT * SECTOR

    # What must be refused

    def must_refuse_commit(self, node, parent):
        return (
            not node.is_child
            or not self.is_whole(node)
            or parent.path.parent != node.path.parent
            or self.children_of(parent) != [node]
            or node.size < parent.size
            or (node.size > parent.size and self.uncovers(parent))
        )

    def cannot_take(self, parent, runs, size):
        """Because an extent takes no data, or cannot grow."""
        if any(run.offset < end and run.end > start for run in runs for start, end in parent.fixed):
            return True
        stiff = self.type_of(parent) not in GROWABLE or self.last_is_shared(parent)
        return size > parent.size and stiff

    def uncovers(self, parent):
        """A longer one would show more of the disk below it."""
        return parent.is_child and self.parent_of(parent).size > parent.size

    # What must be so at any time

    def agrees(self, node):
        with self.open(node) as disk:
            assert disk.size == node.size
            assert read(disk, 0, disk.size) == node.content
            assert disk.flags == []
            self.tells_its_runs(node, disk)

    def tells_its_runs(self, node, disk):
        done = 0
        below = self.parent_of(node).content if node.is_child else b""
        for run in disk.extents():
            assert run.offset == done
            done = run.end
            here = node.content[run.offset : run.end]
            if run.kind is Kind.ZERO:
                assert not any(here)
            elif run.kind is Kind.INHERITED:
                assert node.is_child
                assert not any(node.written[run.offset // SECTOR : run.end // SECTOR])
                assert here == below[run.offset : run.end].ljust(run.length, b"\0")
        assert done == node.size

    def check_as_others_see(self, node):
        """qemu, where it reads such a disk right: see tests/integration/engine/test_peers.py."""
        links = self.chain(node)
        if shutil.which("qemu-img") is None or any(
            link.fixed or not link.qemu or self.type_of(link) not in QEMU_TYPES for link in links
        ):
            return
        raw = self.root / "by-qemu.raw"
        command = ["qemu-img", "convert", "-f", "vmdk", "-O", "raw", node.path, raw]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        assert raw.read_bytes() == node.content
