# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""How much room a copy takes is told beforehand, and is enough."""

from __future__ import annotations

import random

import pytest

MIB = 1 << 20
BOOKKEEPING = 64 << 10  # blocks that the file system adds to a file in many pieces
TYPES = [
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "vmfs",
    "streamOptimized",
]


@pytest.fixture
def source(tmp_path):
    """40 MiB in which some hundred places, some of a few bytes, hold what nothing compresses."""
    dice, path = random.Random(7), tmp_path / "source.img"
    with open(path, "wb") as stream:
        stream.truncate(40 * MIB)
        for length in (3, 5000, 70_000) * 30:
            stream.seek(dice.randrange(39 * MIB))
            stream.write(dice.randbytes(length))
    return path


@pytest.mark.parametrize("disk_type", TYPES)
def test_what_is_told_is_enough_and_not_far_too_much(modules, source, space, tmp_path, disk_type):
    dest = tmp_path / "copy.vmdk"
    arguments = {"src": source, "dest": dest, "disk_type": disk_type}
    told = modules.vmdk_clone(check_mode=True, **arguments)["space_needed"]
    assert modules.vmdk_clone(**arguments)["space_needed"] == told
    _size, taken = space(dest)
    assert taken <= told + BOOKKEEPING
    if disk_type != "streamOptimized":  # where the zeros around the bytes take nothing
        assert told < 1.25 * taken + MIB


def test_a_raw_copy_of_a_child_counts_its_whole_chain(modules, source, tmp_path):
    base, child = tmp_path / "base.vmdk", tmp_path / "child.vmdk"
    modules.vmdk_clone(src=source, dest=base)
    modules.vmdk_clone(src=base, dest=child, linked=True)
    modules.vmdk_data(path=child, offset="39MiB", content="new")
    dest = tmp_path / "copy.img"
    told = modules.vmdk_clone(src=child, dest=dest)["space_needed"]
    assert dest.stat().st_blocks * 512 <= told + BOOKKEEPING
    assert told <= 40 * MIB
