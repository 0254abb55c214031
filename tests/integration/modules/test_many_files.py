# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk of more files than a process may have open, through every module; judged by qemu-img."""

from __future__ import annotations

import os
import random
import resource
import subprocess

import pytest

GIB = 1 << 30
SIZE = 100 * GIB  # 51 files, each as large as VMware makes them
LIMIT = 40


class Few:
    """The modules, with few descriptors. `qemu-img` has what it needs: it opens all files."""

    def __init__(self, modules):
        self._modules = modules

    def __getattr__(self, name):
        def call(**arguments):
            old = resource.getrlimit(resource.RLIMIT_NOFILE)
            resource.setrlimit(resource.RLIMIT_NOFILE, (LIMIT, old[1]))
            try:
                return self._modules.run(name, **arguments)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, old)

        return call


@pytest.fixture
def few(modules):
    return Few(modules)


@pytest.fixture
def raw(tmp_path):
    """Data here and there, in no order, some over the end of a file of the split disk."""
    dice, path = random.Random(1), tmp_path / "source.raw"
    with open(path, "wb") as stream:
        stream.truncate(SIZE)
        for _turn in range(40):
            stream.seek(dice.randrange(0, SIZE - (1 << 20), 512))
            stream.write(dice.randbytes(100_000))
        stream.seek((2047 << 20) - 50_000)
        stream.write(dice.randbytes(100_000))
    return path


def same(raw, path, size=SIZE):
    os.truncate(raw, size)
    command = ["qemu-img", "compare", "-f", "raw", "-F", "vmdk", str(raw), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_life_of_a_disk(few, raw, tmp_path):
    disk_type = "twoGbMaxExtentSparse"
    path = tmp_path / "web01.vmdk"
    few.vmdk_clone(src=raw, dest=path, disk_type=disk_type)
    same(raw, path)
    assert len(few.vmdk_info(path=path)["disk"]["extents"]) == 51
    assert not few.vmdk_check(path=path)["findings"]
    few.vmdk_shrink(path=path)
    few.vmdk_defragment(path=path)
    same(raw, path)
    few.vmdk_resize(path=path, size=110 * GIB)
    same(raw, path, 110 * GIB)
    child = few.vmdk_snapshot(path=path)["disk"]["path"]
    same(raw, child, 110 * GIB)
    few.vmdk_snapshot(path=path, state="absent")
    few.vmdk_rename(src=path, dest=tmp_path / "web02.vmdk")
    few.vmdk_convert(path=tmp_path / "web02.vmdk", disk_type="monolithicSparse")
    same(raw, tmp_path / "web02.vmdk", 110 * GIB)
    few.vmdk_convert(path=tmp_path / "web02.vmdk", disk_type=disk_type)
    same(raw, tmp_path / "web02.vmdk", 110 * GIB)
    few.vmdk_create(path=tmp_path / "web02.vmdk", state="absent")
    assert [file.name for file in tmp_path.iterdir()] == ["source.raw"]
