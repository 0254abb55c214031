# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A commit, revert, rebase or rename killed at any change leaves a chain that reads right."""

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskNotFound,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.metadata import (
    set_metadata,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.rename import rename_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.commit import commit_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.rebase import (
    attach_child,
    rebase_child,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import (
    create_child,
    revert_child,
)

GRAIN = 64 << 10
SIZE = 7 * GRAIN
PARENTS = [
    "monolithicSparse",
    "twoGbMaxExtentSparse",
    "monolithicFlat",
    "twoGbMaxExtentFlat",
    "vmfs",
]
CHILDREN = ["monolithicSparse", "twoGbMaxExtentSparse"]
_KILLED = 77
_CHANGES = ("pwrite", "ftruncate", "replace", "unlink", "link")
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # xdist has threads


def _killed_at(number, torn, operation):
    """Run operation() in a process that dies before change `number`; whether it died."""
    process = os.fork()
    if process == 0:
        try:
            _arm(number, torn)
            operation()
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    assert status in (0, _KILLED)
    return status == _KILLED


def _arm(number, torn):
    left = [number]

    def dying(name, original):
        def call(*arguments):
            if left[0] == 0:
                if torn and name == "pwrite":
                    fd, data, offset = arguments
                    original(fd, memoryview(data)[: len(data) // 2], offset)
                os._exit(_KILLED)
            left[0] -= 1
            return original(*arguments)

        return call

    for name in _CHANGES:
        setattr(os, name, dying(name, getattr(os, name)))


def _each_crash(tmp_path, prepare, operation, check):
    """Kill the operation at every point, each time on a fresh copy of what prepare() makes."""
    pristine, folder = tmp_path / "pristine", tmp_path / "crash"
    pristine.mkdir()
    prepare(pristine)
    for torn in (False, True):
        for number in range(1000):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(pristine, folder)
            died = _killed_at(number, torn, lambda: operation(folder))
            check(folder)
            if not died:
                assert number > 2
                break
        else:
            pytest.fail("the operation never ends")


def _content(path, **options):
    with open_disk(path, **options) as disk:
        return bytes(read(disk, 0, disk.size))


def _parent(path, disk_type, value=0x11):
    """Grains of `value` between grains of zeros."""
    with new_disk(path, DiskSpec(SIZE, disk_type)) as disk:
        disk.write(GRAIN, bytes([value]) * (3 * GRAIN))


def _child(parent, path, disk_type):
    """Writes over data and over nothing, parts of grains, and zeros over data."""
    create_child(parent, path, disk_type)
    with open_disk(path, writable=True) as disk:
        disk.write(GRAIN + 700, b"\x22" * (GRAIN + 100))
        disk.zero(3 * GRAIN, GRAIN)
        disk.write(5 * GRAIN, b"\x33" * 900)


def _grandchild(parent, path):
    create_child(parent, path)
    with open_disk(path, writable=True) as disk:
        disk.write(2 * GRAIN + 5, b"\x44" * 600)


def _nothing_left(folder):
    assert [name for name in os.listdir(folder) if ".vdisk-" in name] == []


@pytest.mark.parametrize("parent_type", PARENTS)
@pytest.mark.parametrize("child_type", CHILDREN)
def test_killed_commit_reads_as_the_child_and_is_finished(
    tmp_path, small_split, parent_type, child_type
):
    wanted = []

    def prepare(folder):
        _parent(folder / "base.vmdk", parent_type)
        _child(folder / "base.vmdk", folder / "child.vmdk", child_type)
        wanted.append(_content(folder / "child.vmdk"))

    def check(folder):
        base, child = folder / "base.vmdk", folder / "child.vmdk"
        try:
            assert _content(child) == wanted[0]
            commit_child(child)
        except DiskNotFound:
            pass
        assert _content(base) == wanted[0]
        assert not child.exists()
        _nothing_left(folder)

    _each_crash(tmp_path, prepare, lambda folder: commit_child(folder / "child.vmdk"), check)


def test_killed_commit_never_shows_a_half_parent(tmp_path):
    """The parent alone reads as before or as after, or is refused; it cannot be changed."""
    before, after = [], []

    def prepare(folder):
        _parent(folder / "base.vmdk", "monolithicSparse")
        before.append(_content(folder / "base.vmdk"))
        _child(folder / "base.vmdk", folder / "child.vmdk", "monolithicSparse")
        after.append(_content(folder / "child.vmdk"))

    def check(folder):
        base, child = folder / "base.vmdk", folder / "child.vmdk"
        try:
            assert _content(base) in (before[0], after[0])
        except InvalidRequest as refused:
            assert "vmdk_snapshot" in str(refused)
            for change in (revert_child, lambda path: open_disk(path, writable=True)):
                with pytest.raises(InvalidRequest, match="commit"):
                    change(child)
            with pytest.raises(InvalidRequest, match="commit"):
                rename_disk(child, folder / "other.vmdk")

    _each_crash(tmp_path, prepare, lambda folder: commit_child(folder / "child.vmdk"), check)


@pytest.mark.parametrize("first", ["grandchild", "child", "base"])
@pytest.mark.parametrize("parent_type", ["monolithicSparse", "twoGbMaxExtentFlat"])
def test_killed_commit_in_the_middle_of_a_chain_keeps_the_grandchild(
    tmp_path, small_split, parent_type, first
):
    """Whichever disk is opened first after the crash."""
    wanted = []

    def prepare(folder):
        _parent(folder / "base.vmdk", parent_type)
        _child(folder / "base.vmdk", folder / "a-longer-name.vmdk", "monolithicSparse")
        _grandchild(folder / "a-longer-name.vmdk", folder / "grandchild.vmdk")
        wanted.append(_content(folder / "grandchild.vmdk"))

    def check(folder):
        middle = folder / "a-longer-name.vmdk"
        opened = {"child": middle}.get(first, folder / f"{first}.vmdk")
        try:
            _content(opened)
        except (DiskNotFound, InvalidRequest):
            assert first != "grandchild"
        assert _content(folder / "grandchild.vmdk") == wanted[0]
        if middle.exists():
            commit_child(middle)
        assert _content(folder / "grandchild.vmdk") == wanted[0]
        with open_disk(folder / "grandchild.vmdk") as disk:
            assert [os.path.basename(link.path) for link in disk.links] == [
                "grandchild.vmdk",
                "base.vmdk",
            ]
            assert disk.flags == []
        _nothing_left(folder)

    _each_crash(
        tmp_path, prepare, lambda folder: commit_child(folder / "a-longer-name.vmdk"), check
    )


@pytest.mark.parametrize("child_type", CHILDREN)
def test_killed_revert_leaves_the_child_or_an_empty_one(tmp_path, small_split, child_type):
    states = []

    def prepare(folder):
        _parent(folder / "base.vmdk", "monolithicSparse")
        states.append(_content(folder / "base.vmdk"))
        _child(folder / "base.vmdk", folder / "child.vmdk", child_type)
        states.append(_content(folder / "child.vmdk"))

    def check(folder):
        assert _content(folder / "child.vmdk") in states
        revert_child(folder / "child.vmdk")
        assert _content(folder / "child.vmdk") == states[0]
        _nothing_left(folder)

    _each_crash(tmp_path, prepare, lambda folder: revert_child(folder / "child.vmdk"), check)


@pytest.mark.parametrize("child_type", CHILDREN)
def test_killed_rebase_reads_the_same(tmp_path, small_split, child_type):
    wanted = []

    def prepare(folder):
        _parent(folder / "base.vmdk", "monolithicSparse")
        _parent(folder / "a-very-different-name.vmdk", "vmfs", 0x55)
        _child(folder / "base.vmdk", folder / "child.vmdk", child_type)
        wanted.append(_content(folder / "child.vmdk"))

    def rebase(folder):
        rebase_child(folder / "child.vmdk", folder / "a-very-different-name.vmdk")

    def check(folder):
        assert _content(folder / "child.vmdk") == wanted[0]
        rebase(folder)
        assert _content(folder / "child.vmdk") == wanted[0]
        (folder / "base.vmdk").unlink()
        assert _content(folder / "child.vmdk") == wanted[0]
        _nothing_left(folder)

    _each_crash(tmp_path, prepare, rebase, check)


def test_killed_attach_can_be_done_again(tmp_path):
    wanted = []

    def prepare(folder):
        _parent(folder / "base.vmdk", "monolithicSparse")
        _child(folder / "base.vmdk", folder / "child.vmdk", "monolithicSparse")
        wanted.append(_content(folder / "child.vmdk"))
        (folder / "base.vmdk").rename(folder / "moved-by-hand-to-a-longer-name.vmdk")

    def attach(folder):
        attach_child(folder / "child.vmdk", folder / "moved-by-hand-to-a-longer-name.vmdk")

    def check(folder):
        attach(folder)
        assert _content(folder / "child.vmdk") == wanted[0]
        _nothing_left(folder)

    _each_crash(tmp_path, prepare, attach, check)


@pytest.mark.parametrize("disk_type", [*PARENTS, "streamOptimized"])
@pytest.mark.parametrize("first", ["old", "a-much-longer-new-name"])
def test_killed_rename_leaves_one_name_that_works(tmp_path, small_split, disk_type, first):
    """Whichever name is opened first after the crash; a child follows."""
    wanted = []

    def prepare(folder):
        _parent(folder / "old.vmdk", disk_type)
        _grandchild(folder / "old.vmdk", folder / "child.vmdk")
        wanted.extend([_content(folder / "old.vmdk"), _content(folder / "child.vmdk")])

    def rename(folder):
        return rename_disk(folder / "old.vmdk", folder / "a-much-longer-new-name.vmdk")

    def check(folder):
        old, new = folder / "old.vmdk", folder / "a-much-longer-new-name.vmdk"
        found = []
        for path in sorted((old, new), key=lambda path: path.stem != first):
            try:
                found.append(_content(path))
            except DiskNotFound:
                continue
        assert found == [wanted[0]]
        assert _content(folder / "child.vmdk") == wanted[1]
        rename(folder)
        assert _content(new) == wanted[0]
        assert _content(folder / "child.vmdk") == wanted[1]
        assert not old.exists()
        _nothing_left(folder)

    _each_crash(tmp_path, prepare, rename, check)


@pytest.mark.parametrize("linked", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("disk_type", PARENTS)
def test_killed_move_leaves_a_name_that_works(
    tmp_path, small_split, monkeypatch, disk_type, linked
):
    if not linked:
        monkeypatch.setattr(os, "link", _no_links)
    wanted = []

    def prepare(folder):
        (folder / "there").mkdir()
        _parent(folder / "disk.vmdk", disk_type)
        wanted.append(_content(folder / "disk.vmdk"))

    def move(folder):
        return rename_disk(folder / "disk.vmdk", folder / "there" / "moved.vmdk")

    def check(folder):
        new = folder / "there" / "moved.vmdk"
        found = []
        for path in (folder / "disk.vmdk", new):
            try:
                found.append(_content(path))
            except DiskNotFound:
                continue
        assert found in ([wanted[0]], [wanted[0], wanted[0]])
        move(folder)
        assert _content(new) == wanted[0]
        assert os.listdir(folder) == ["there"]
        _nothing_left(folder / "there")

    _each_crash(tmp_path, prepare, move, check)


def _no_links(*_paths):
    raise PermissionError("this file system has no links")


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "monolithicFlat", "streamOptimized"])
def test_killed_change_of_metadata_leaves_the_old_entries_or_the_new(tmp_path, disk_type):
    def set_comment(folder):
        set_metadata(folder / "disk.vmdk", {"comment": "x" * 300}, remove=["uuid"])

    def check(folder):
        with open_disk(folder / "disk.vmdk") as disk:
            found = disk.descriptor.metadata()
        assert ("comment" in found) is ("uuid" not in found)
        assert found["adapterType"] == "lsilogic"
        assert found["virtualHWVersion"] == "10"
        set_comment(folder)
        _nothing_left(folder)

    _each_crash(
        tmp_path, lambda folder: _parent(folder / "disk.vmdk", disk_type), set_comment, check
    )
