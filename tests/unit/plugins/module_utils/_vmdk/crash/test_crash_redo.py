# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redo logs and names that a crash cuts off: chains read as before or as after."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
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
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.crash.disks import (
    ALL_TYPES,
    BASE,
    CHILD,
    DISK,
    LEAF,
    OTHER,
    SPARSE,
    TYPES,
    chain,
    child_of,
    fill,
    long_chain,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.crash.judge import (
    REFUSED,
    Operation,
)

# Redo logs


@pytest.mark.parametrize("child_type", SPARSE)
def test_child(each_crash, child_type):
    def create(folder):
        create_child(folder / BASE, folder / CHILD, child_type)

    def again(folder):
        if not (folder / CHILD).exists():
            create(folder)

    each_crash(
        Operation(lambda f: fill(f, BASE), create, (CHILD, BASE), again=again, ignored=("uuid",))
    )


def commit(folder):
    commit_child(folder / CHILD)


def guarded_commit(folder):
    """Until it is done, nothing else may happen to a child of which a part is in its parent."""
    try:
        open_disk(folder / BASE).close()
    except InvalidRequest:
        with pytest.raises(InvalidRequest, match="commit"):
            revert_child(folder / CHILD)
        with pytest.raises(InvalidRequest, match="commit"):
            open_disk(folder / CHILD, writable=True)
        with pytest.raises(InvalidRequest, match="commit"):
            rename_disk(folder / CHILD, folder / OTHER)
    commit(folder)


def half_committed(before, after, found):
    """Together they read the same all the time; alone the parent is refused until it is done."""
    grown = [facts for facts in (before[BASE],) if facts is not None]
    rest = {name: facts for name, facts in found.items() if name != BASE}
    return rest == {name: before[name] for name in rest} and (
        found[BASE] == REFUSED or found[BASE] in grown
    )


@pytest.mark.parametrize(
    ("base_type", "child_type"),
    list(zip(TYPES, [*SPARSE, *SPARSE, SPARSE[1]], strict=True)),
)
@pytest.mark.parametrize("first", [CHILD, BASE])
def test_commit(each_crash, base_type, child_type, first):
    def prepare(folder):
        chain(folder, base_type, child_type)

    order = tuple(sorted((CHILD, BASE), key=lambda name: name != first))
    each_crash(Operation(prepare, commit, order, half_committed, again=guarded_commit))


@pytest.mark.parametrize("base_type", ["monolithicSparse", "twoGbMaxExtentFlat"])
@pytest.mark.parametrize("first", [BASE, CHILD, LEAF])
def test_commit_in_the_middle_of_a_chain(each_crash, base_type, first):
    order = tuple(sorted((BASE, CHILD, LEAF), key=lambda name: name != first))
    each_crash(Operation(lambda f: long_chain(f, base_type), commit, order, half_committed))


@pytest.mark.parametrize("child_type", SPARSE)
def test_revert(each_crash, child_type):
    def prepare(folder):
        chain(folder, child_type=child_type)

    each_crash(Operation(prepare, lambda folder: revert_child(folder / CHILD), (CHILD, BASE)))


@pytest.mark.parametrize("child_type", SPARSE)
def test_rebase(each_crash, child_type):
    def prepare(folder):
        chain(folder, child_type=child_type)
        fill(folder, OTHER, "vmfs", 0x55)

    def rebase(folder):
        rebase_child(folder / CHILD, folder / OTHER)

    each_crash(Operation(prepare, rebase, (CHILD, BASE, OTHER)))


def test_attach(each_crash):
    def prepare(folder):
        chain(folder)
        (folder / BASE).rename(folder / OTHER)

    def attach(folder):
        attach_child(folder / CHILD, folder / OTHER)

    each_crash(Operation(prepare, attach, (CHILD, OTHER)))


# Names


@pytest.mark.parametrize("disk_type", ALL_TYPES)
@pytest.mark.parametrize("first", [DISK, OTHER, CHILD])
def test_rename(each_crash, disk_type, first):
    def prepare(folder):
        fill(folder, DISK, disk_type)
        child_of(folder, DISK)

    def rename(folder):
        rename_disk(folder / DISK, folder / OTHER)

    order = tuple(sorted((DISK, OTHER, CHILD), key=lambda name: name != first))
    each_crash(Operation(prepare, rename, order))


def both_names(before, after, found):
    return set(found.values()) <= {*before.values(), *after.values()} and any(found.values())


@pytest.mark.parametrize("linked", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("disk_type", TYPES)
def test_move(each_crash, monkeypatch, disk_type, linked):
    if not linked:
        monkeypatch.setattr(os, "link", _no_links)

    def prepare(folder):
        (folder / "there").mkdir()
        fill(folder, DISK, disk_type)

    def move(folder):
        rename_disk(folder / DISK, folder / "there" / OTHER)

    each_crash(Operation(prepare, move, (DISK, f"there/{OTHER}"), both_names))


def _no_links(*_paths):
    raise PermissionError("this file system has no links")
