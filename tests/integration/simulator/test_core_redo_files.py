# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Deltas as hosts keep them in files, judged by qemu-img."""

from __future__ import annotations

import os
import random
import shutil
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.tests.simulator.images import Images
from ansible_collections.vdisk.lifecycle.tests.simulator.redo_files import RedoFile

BASE, CHILD = "[ds] vm/vm.vmdk", "[ds] vm/vm-000001.vmdk"

qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img")


def scribble(disk, chance, count):
    for _turn in range(count):
        data = chance.randbytes(chance.randrange(1, 90000))[: disk.size]
        disk.write(chance.randrange(disk.size - len(data) + 1), data)


@qemu
@pytest.mark.parametrize("size", [3584, (5 << 20) + 1024, 40 << 20])
@pytest.mark.parametrize("kind", ["seSparse", "vmfsSparse"])
def test_qemu_reads_the_chain(tmp_path, kind, size):
    chance = random.Random(size)
    disk = Images(str(tmp_path)).create(BASE, size)
    scribble(disk, chance, 4)
    disk.freeze(CHILD, kind)
    scribble(disk, chance, 6)
    redo = RedoFile(disk.top)
    whole = b"".join(redo.pieces(0, redo.size))
    assert len(whole) == redo.size
    for start in (1, 511, redo.size // 2, redo.size - 9):
        part = b"".join(redo.pieces(start, min(200000, redo.size - start)))
        assert part == whole[start : start + 200000]
    expected = disk.read(0, size)
    with open(disk.top.data, "wb") as data:
        data.write(whole)
    raw = os.path.join(tmp_path, "raw")
    subprocess.run(["qemu-img", "convert", "-O", "raw", disk.top.file, raw], check=True)
    with open(raw, "rb") as content:
        assert content.read()[:size] == expected
