# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of more files than a process may have open: every operation, with few descriptors."""

from __future__ import annotations

import os
import random
import resource
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import files
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskInUse
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.check import check_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.defragment import (
    defragment,
    fragmentation,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.compact.shrink import (
    shrink,
    surplus,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import (
    create_disk,
    new_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.remove import remove_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.rename import rename_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.commit import commit_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child

SPLIT = 192 << 10
EXTENTS = 120
SIZE = SPLIT * EXTENTS
FREE = 56  # descriptors, where a disk has more than twice as many files
TYPES = ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"]

pytestmark = pytest.mark.usefixtures("small_split")


@pytest.fixture(autouse=True)
def few_descriptors():
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = len(os.listdir("/proc/self/fd"))
    # Earlier tests of this process may have left some open until they are collected.
    resource.setrlimit(resource.RLIMIT_NOFILE, (before + FREE, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, old)
    # There may be fewer: what earlier tests left is collected at any time.
    assert len(os.listdir("/proc/self/fd")) <= before


def scattered(seed=1):
    """{offset: bytes} in a third of the extents, some over the border of two, in no order."""
    dice = random.Random(seed)
    content = {}
    for index in dice.sample(range(EXTENTS - 1), EXTENTS // 3):
        content[index * SPLIT + dice.randrange(0, SPLIT, 512)] = dice.randbytes(1000)
    return content


def expected(content, size=SIZE):
    whole = bytearray(size)
    for offset, data in content.items():
        whole[offset : offset + len(data)] = data
    return bytes(whole)


@pytest.fixture
def disk(tmp_path):
    """disk(type) -> path of a disk of scattered() content, written in place."""

    def make(disk_type=TYPES[0]):
        path = tmp_path / "web01.vmdk"
        create_disk(path, DiskSpec(SIZE, disk_type))
        with open_disk(path, writable=True) as device:
            for offset, data in scattered().items():
                device.write(offset, data)
        return path

    return make


def by_qemu(path, qemu_img, tmp_path):
    """qemu opens all of the files at once."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (old[1], old[1]))
    try:
        raw = tmp_path / "judge.raw"
        qemu_img("convert", "-f", "vmdk", "-O", "raw", path, raw)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)
    data = raw.read_bytes()
    raw.unlink()
    return data


@pytest.mark.parametrize("disk_type", TYPES)
def test_create_and_write_in_place(disk, disk_type, qemu_img, tmp_path):
    path = disk(disk_type)
    assert len(list(tmp_path.iterdir())) == EXTENTS + 1
    assert by_qemu(path, qemu_img, tmp_path) == expected(scattered())


@pytest.mark.parametrize("disk_type", TYPES)
def test_clone(disk, disk_type, qemu_img, tmp_path):
    path, clone = disk(), tmp_path / "clone.vmdk"
    with open_disk(path) as source, new_disk(clone, DiskSpec(SIZE, disk_type)) as target:
        copy(source, target, target_is_zero=True)
    assert by_qemu(clone, qemu_img, tmp_path) == expected(scattered())


def test_no_extent_is_left_marked_as_open(disk, tmp_path):
    disk()
    marks = [path.read_bytes()[72] for path in tmp_path.glob("web01-s*.vmdk")]
    assert marks == [0] * EXTENTS


def test_an_error_while_it_is_made_leaves_nothing(tmp_path):
    def fail():
        with new_disk(tmp_path / "web01.vmdk", DiskSpec(SIZE, TYPES[0])) as device:
            for offset, data in scattered().items():
                device.write(offset, data)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert not list(tmp_path.iterdir())


def test_two_jobs_do_not_make_the_same_disk(tmp_path, content_of):
    path = tmp_path / "web01.vmdk"
    with new_disk(path, DiskSpec(SIZE, TYPES[0])) as device:
        device.write(0, b"first")
        with pytest.raises(DiskInUse):
            create_disk(path, DiskSpec(SIZE, TYPES[0]))
    assert content_of(path) == expected({0: b"first"})


def test_zero(disk, content_of):
    path = disk()
    with open_disk(path, writable=True) as device:
        device.zero(SPLIT // 2, SIZE - SPLIT)
    content = bytearray(expected(scattered()))
    content[SPLIT // 2 : SIZE - SPLIT // 2] = bytes(SIZE - SPLIT)
    assert content_of(path) == bytes(content)


@pytest.mark.parametrize("disk_type", TYPES)
def test_grow(disk, disk_type, qemu_img, tmp_path):
    path = disk(disk_type)
    assert grow_disk(path, SIZE + 5 * SPLIT + 512)
    assert by_qemu(path, qemu_img, tmp_path) == expected(scattered(), SIZE + 5 * SPLIT + 512)


@pytest.mark.parametrize("disk_type", TYPES)
def test_check(disk, disk_type):
    assert not check_disk(disk(disk_type))


@pytest.mark.parametrize("disk_type", TYPES)
def test_rename(disk, disk_type, content_of, tmp_path):
    new = tmp_path / "new.vmdk"
    rename_disk(disk(disk_type), new)
    assert content_of(new) == expected(scattered())
    assert len(list(tmp_path.iterdir())) == EXTENTS + 1


@pytest.mark.parametrize("links", [True, False])
def test_move(disk, content_of, tmp_path, monkeypatch, links):
    path = disk()
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    if not links:

        def no_link(*_paths):
            raise OSError

        monkeypatch.setattr(os, "link", no_link)
    rename_disk(path, folder / "new.vmdk")
    assert content_of(folder / "new.vmdk") == expected(scattered())
    assert not list(tmp_path.glob("web01*"))


def test_somebody_who_reads_it_is_seen_before_it_is_renamed(disk, tmp_path):
    path = disk()
    with files.File(tmp_path / f"web01-s{EXTENTS}.vmdk") as other:
        subprocess.run(["flock", "-s", str(other.fileno())], pass_fds=[other.fileno()], check=True)
        with pytest.raises(DiskInUse):
            rename_disk(path, tmp_path / "new.vmdk")
    assert path.exists()


@pytest.mark.parametrize("disk_type", TYPES)
def test_remove(disk, disk_type, tmp_path):
    remove_disk(disk(disk_type))
    assert not list(tmp_path.iterdir())


def test_replace(disk, content_of, tmp_path):
    path = disk()
    create_disk(path, DiskSpec(SIZE, TYPES[1]), replace=True)
    assert not any(content_of(path))
    assert len(list(tmp_path.iterdir())) == EXTENTS + 1


def test_child_is_written_and_committed(disk, qemu_img, content_of, tmp_path):
    path, child = disk(), tmp_path / "child.vmdk"
    create_child(path, child, disk_type=TYPES[0])
    more = scattered(seed=2)
    with open_disk(child, writable=True) as device:
        for offset, data in more.items():
            device.write(offset, data)
    both = bytearray(expected(scattered()))
    for offset, data in more.items():
        both[offset : offset + len(data)] = data
    assert content_of(child) == both
    commit_child(child)
    assert by_qemu(path, qemu_img, tmp_path) == both


def test_defragment(qemu_img, tmp_path):
    path = tmp_path / "web01.vmdk"
    create_disk(path, DiskSpec(SIZE, TYPES[0]))
    whole = bytearray(SIZE)
    with open_disk(path, writable=True) as device:
        for index in range(0, EXTENTS, 3):  # each: its last grain first in the file
            for place in (2, 0):
                offset = index * SPLIT + place * 65536
                whole[offset : offset + 65536] = bytes([1 + index % 250, place]) * 32768
                device.write(offset, whole[offset : offset + 65536])
    assert fragmentation(path).layout.fragments == 2 * EXTENTS // 3
    assert defragment(path)
    assert fragmentation(path).layout.fragments == EXTENTS // 3
    assert not fragmentation(path).worthwhile
    assert by_qemu(path, qemu_img, tmp_path) == whole


@pytest.mark.parametrize("disk_type", TYPES)
def test_shrink(disk, disk_type, qemu_img, tmp_path):
    path = disk(disk_type)
    with open_disk(path, writable=True) as device:
        for offset in range(0, SIZE, SPLIT):
            device.write(offset, bytes(65536))
    content = bytearray(expected(scattered()))
    for offset in range(0, SIZE, SPLIT):
        content[offset : offset + 65536] = bytes(65536)
    assert surplus(path) > 0
    assert shrink(path) > EXTENTS * 60000
    assert by_qemu(path, qemu_img, tmp_path) == content


def test_what_an_evicted_extent_wrote_is_durable(tmp_path, monkeypatch):
    """Nobody can flush it any more once it is closed."""
    path = tmp_path / "web01.vmdk"
    create_disk(path, DiskSpec(SIZE, TYPES[1]))
    flushed = []
    true_flush = files.File.flush
    monkeypatch.setattr(
        files.File, "flush", lambda file: (flushed.append(file.path), true_flush(file))[1]
    )
    with open_disk(path, writable=True) as device:
        for index in range(EXTENTS):
            device.write(index * SPLIT, b"x")
        device.flush()
    assert {name for name in flushed if "-f" in name} == {
        str(file) for file in tmp_path.glob("web01-f*.vmdk")
    }


def test_random_writes_read_back(disk, content_of):
    path = disk()
    whole, dice = bytearray(expected(scattered())), random.Random()
    with open_disk(path, writable=True) as device:
        for _step in range(200):
            offset = dice.randrange(SIZE - 300_000)
            data = dice.randbytes(dice.choice([1, 512, 70_000, 300_000]))
            device.write(offset, data)
            whole[offset : offset + len(data)] = data
            look = dice.randrange(SIZE - 5000)
            assert read(device, look, 5000) == whole[look : look + 5000]
    assert content_of(path) == whole
