# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Jobs that a crash cuts off: the disks are as before or as after, and the next job goes on."""

from __future__ import annotations

import contextlib
import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskNotFound,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.repair import repair_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.defragment import (
    defragment,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.shrink import shrink
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.metadata import (
    set_metadata,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.remove import remove_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.descriptor_edit import (
    plan_edit,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.journal_file import (
    Steps,
    encoded,
    written,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.crash.disks import (
    ALL_TYPES,
    BASE,
    CHILD,
    DISK,
    GRAIN,
    LEAF,
    OTHER,
    SIZE,
    SPARSE,
    TYPES,
    child_of,
    fill,
    long_chain,
    stranger,
    torn_tables,
    tracked,
    untidy,
    untidy_child,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._vmdk.crash.judge import (
    Operation,
)

# Made and replaced


@pytest.mark.parametrize("disk_type", ALL_TYPES)
def test_create(each_crash, disk_type):
    each_crash(Operation(lambda folder: None, lambda folder: fill(folder, DISK, disk_type)))


@pytest.mark.parametrize(
    ("old_type", "new_type"), list(zip(ALL_TYPES, [*ALL_TYPES[1:], ALL_TYPES[0]], strict=True))
)
def test_replace(each_crash, old_type, new_type):
    each_crash(
        Operation(
            lambda folder: fill(folder, DISK, old_type),
            lambda folder: fill(folder, DISK, new_type, 0x22, replace=True),
        )
    )


def convert(folder, disk_type):
    spec = DiskSpec(SIZE, disk_type, metadata={"uuid": "11 " * 15 + "11"})
    with (
        open_disk(folder / DISK) as source,
        new_disk(folder / DISK, spec, replace=True, held=source) as target,
    ):
        copy(source, target, target_is_zero=True)


@pytest.mark.parametrize(
    ("old_type", "new_type"),
    [
        ("monolithicSparse", "twoGbMaxExtentSparse"),
        ("twoGbMaxExtentSparse", "streamOptimized"),
        ("monolithicFlat", "vmfs"),
        ("vmfs", "monolithicSparse"),
        ("streamOptimized", "monolithicFlat"),
    ],
)
def test_convert(each_crash, old_type, new_type):
    each_crash(
        Operation(
            lambda folder: fill(folder, DISK, old_type),
            lambda folder: convert(folder, new_type),
        )
    )


# Size and order


@pytest.mark.parametrize("size", [SIZE + GRAIN // 2, SIZE + 5 * GRAIN, SIZE + (40 << 20)])
@pytest.mark.parametrize("disk_type", TYPES)
def test_grow(each_crash, disk_type, size):
    if size > SIZE + 5 * GRAIN and disk_type != "monolithicSparse":
        pytest.skip("no longer directories there")
    each_crash(
        Operation(
            lambda folder: fill(folder, DISK, disk_type),
            lambda folder: grow_disk(folder / DISK, size),
        )
    )


def odd(folder):
    """The last grain is short, and has data."""
    with new_disk(folder / DISK, DiskSpec(SIZE - GRAIN // 2, "monolithicSparse")) as disk:
        disk.write(3 * GRAIN, b"\x11" * (SIZE - GRAIN // 2 - 3 * GRAIN))
    set_metadata(folder / DISK, {"comment": "c" * 9100})  # no room left for it to grow


def repaired_first(action):
    """As a user does who is told to."""

    def run(folder):
        with contextlib.suppress(CorruptDisk):
            return action(folder)
        repair_disk(folder / DISK)
        return action(folder)

    return run


def test_grow_behind_a_short_grain(each_crash):
    def grow(folder):
        grow_disk(folder / DISK, SIZE + (40 << 20))

    each_crash(Operation(odd, grow, again=repaired_first(grow)))


@pytest.mark.parametrize("prepare", [untidy, lambda f: untidy(f, SPARSE[1]), untidy_child])
@pytest.mark.parametrize("job", [defragment, shrink])
def test_lay_anew(each_crash, prepare, job):
    each_crash(Operation(prepare, lambda folder: job(folder / DISK)))


@pytest.mark.parametrize("disk_type", ["monolithicFlat", "twoGbMaxExtentFlat"])
def test_shrink_flat(each_crash, disk_type):
    def prepare(folder):
        fill(folder, DISK, disk_type)
        with open_disk(folder / DISK, writable=True) as disk:
            disk.write(0, bytes(GRAIN))

    each_crash(Operation(prepare, lambda folder: shrink(folder / DISK)))


# Removed


def remove(*names):
    def run(folder):
        for name in names:
            with contextlib.suppress(DiskNotFound):
                remove_disk(folder / name)

    return run


@pytest.mark.parametrize("disk_type", ALL_TYPES)
def test_remove(each_crash, disk_type):
    each_crash(Operation(lambda folder: fill(folder, DISK, disk_type), remove(DISK)))


def test_remove_chain(each_crash):
    """Leaf first, so what is left is a chain."""

    def shorter(before, after, found):
        return [found[name] is None for name in (LEAF, CHILD, BASE)] == sorted(
            (found[name] is None for name in (LEAF, CHILD, BASE)), reverse=True
        ) and all(facts in (None, before[name]) for name, facts in found.items())

    each_crash(Operation(long_chain, remove(LEAF, CHILD, BASE), (LEAF, CHILD, BASE), shorter))


# Metadata and repairs


@pytest.mark.parametrize(
    "disk_type", ["monolithicSparse", "twoGbMaxExtentSparse", "streamOptimized"]
)
@pytest.mark.parametrize(
    "entries",
    [
        {"comment": "x" * 300},
        {"uuid": "99 " * 15 + "99"},
        {"adapterType": "ide"},
        {"comment": "x" * 10000},
    ],
    ids=["comment", "uuid", "adapter", "moves-descriptor"],
)
def test_metadata(each_crash, disk_type, entries):
    if disk_type == "streamOptimized" and len(str(entries)) > 9000:
        pytest.skip("has no room")
    each_crash(
        Operation(
            lambda folder: fill(folder, DISK, disk_type),
            lambda folder: set_metadata(folder / DISK, entries, remove=["toolsVersion"]),
        )
    )


def test_first_write_that_drops_change_tracking(each_crash):
    def write(folder):
        with open_disk(folder / DISK, writable=True) as disk:
            disk.write(GRAIN, b"\x11" * 512)  # what is there already

    each_crash(Operation(tracked, write))


@pytest.mark.parametrize("kept", ["redundant", "primary"])
def test_repair(each_crash, kept):
    each_crash(
        Operation(
            lambda folder: torn_tables(folder, kept),
            lambda folder: repair_disk(folder / DISK),
            tables_differ=True,
        )
    )


def test_repair_of_the_content_id(each_crash):
    def repair(folder):
        repair_disk(folder / CHILD, cid=True)

    each_crash(Operation(stranger, repair, (CHILD, BASE)))


def test_repair_of_a_child_finishes_the_job_of_its_parent(tmp_path):
    fill(tmp_path, DISK)
    child_of(tmp_path, DISK)
    edit = plan_edit(str(tmp_path / CHILD), {"parentFileNameHint": OTHER})
    steps = Steps([], [], [[DISK, OTHER]], [[CHILD, encoded(edit.old), encoded(edit.new)]], [])
    with written(str(tmp_path / DISK), steps):
        (tmp_path / DISK).rename(tmp_path / OTHER)
    assert [finding.kind for finding in check_disk(tmp_path / CHILD)] == ["missing-link"]
    repair_disk(tmp_path / CHILD)
    assert check_disk(tmp_path / CHILD) == []
    assert sorted(os.listdir(tmp_path)) == sorted([CHILD, OTHER])
