# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A job killed between two writes, or within one, leaves a disk as before or as after."""

from __future__ import annotations

import os
import shutil

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskNotFound
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import (
    create_disk,
    new_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.remove import remove_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

GRAIN = 64 << 10
SIZE = 7 * GRAIN
TYPES = [
    "monolithicSparse",
    "twoGbMaxExtentSparse",
    "monolithicFlat",
    "twoGbMaxExtentFlat",
    "vmfs",
]
_KILLED = 77
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")  # xdist has threads
_CHANGES = ("pwrite", "ftruncate", "replace", "unlink")


def _killed_at(number, torn, operation):
    """Run operation() in a process that dies before change `number`; whether it died."""
    child = os.fork()
    if child == 0:
        try:
            _arm(number, torn)
            operation()
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
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
    """Kill the operation at every point, each time on a fresh folder."""
    for torn in (False, True):
        for number in range(1000):
            folder = tmp_path / "crash"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            prepare(folder)
            died = _killed_at(number, torn, lambda folder=folder: operation(folder))
            check(folder)
            if not died:
                assert number > 2
                break
        else:
            pytest.fail("the operation never ends")


def _content(path):
    with open_disk(path) as disk:
        return bytes(read(disk, 0, disk.size))


def _fill(path, disk_type, value):
    """A new disk of grains of `value` between grains of zeros; its content."""
    data = bytes([value]) * (3 * GRAIN)
    with new_disk(path, DiskSpec(SIZE, disk_type), replace=True) as disk:
        disk.write(GRAIN, data)
    return bytes(GRAIN) + data + bytes(SIZE - GRAIN - len(data))


@pytest.mark.parametrize("disk_type", [*TYPES, "streamOptimized"])
def test_killed_create_leaves_nothing_or_a_disk(tmp_path, small_split, disk_type):
    whole = []

    def check(folder):
        path = folder / "disk.vmdk"
        try:
            assert _content(path) == whole[0]
        except DiskNotFound:
            create_disk(path, DiskSpec(SIZE, disk_type))
            assert _content(path) == bytes(SIZE)
        assert not list(folder.glob("*.vdisk-*"))

    whole.append(_fill(tmp_path / "model.vmdk", disk_type, 0x11))
    _each_crash(
        tmp_path,
        lambda folder: None,
        lambda folder: _fill(folder / "disk.vmdk", disk_type, 0x11),
        check,
    )


@pytest.mark.parametrize("old_type", ["monolithicSparse", "twoGbMaxExtentSparse"])
@pytest.mark.parametrize("new_type", TYPES)
def test_killed_replace_leaves_the_old_disk_or_the_new(tmp_path, small_split, old_type, new_type):
    old = _fill(tmp_path / "old.vmdk", old_type, 0x11)
    new = _fill(tmp_path / "new.vmdk", new_type, 0x22)
    _each_crash(
        tmp_path,
        lambda folder: _fill(folder / "disk.vmdk", old_type, 0x11),
        lambda folder: _fill(folder / "disk.vmdk", new_type, 0x22),
        lambda folder: _require(_content(folder / "disk.vmdk") in (old, new)),
    )


@pytest.mark.parametrize("disk_type", TYPES)
def test_killed_grow_leaves_the_old_size_or_the_new(tmp_path, small_split, disk_type):
    old = _fill(tmp_path / "old.vmdk", disk_type, 0x11)
    size = SIZE + (40 << 20 if disk_type == "monolithicSparse" else 5 * GRAIN)
    new = old + bytes(size - SIZE)

    def check(folder):
        path = folder / "disk.vmdk"
        assert _content(path) in (old, new)
        grow_disk(path, size)
        assert _content(path) == new

    _each_crash(
        tmp_path,
        lambda folder: _fill(folder / "disk.vmdk", disk_type, 0x11),
        lambda folder: grow_disk(folder / "disk.vmdk", size),
        check,
    )


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "twoGbMaxExtentFlat"])
def test_killed_remove_leaves_the_disk_or_nothing(tmp_path, small_split, disk_type):
    old = _fill(tmp_path / "old.vmdk", disk_type, 0x11)

    def check(folder):
        try:
            assert _content(folder / "disk.vmdk") == old
        except DiskNotFound:
            assert [name for name in os.listdir(folder) if not name.endswith("-tmp")] == []

    _each_crash(
        tmp_path,
        lambda folder: _fill(folder / "disk.vmdk", disk_type, 0x11),
        lambda folder: remove_disk(folder / "disk.vmdk"),
        check,
    )


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "twoGbMaxExtentSparse"])
def test_killed_write_keeps_what_was_not_written(tmp_path, small_split, disk_type):
    old = _fill(tmp_path / "old.vmdk", disk_type, 0x11)
    start, end = 2 * GRAIN, 6 * GRAIN - 1000  # over old grains, and into new ones

    def write(folder):
        with open_disk(folder / "disk.vmdk", writable=True) as disk:
            disk.write(start, b"\x22" * (end - start))

    def check(folder):
        found = _content(folder / "disk.vmdk")
        assert found[:start] + found[end:] == old[:start] + old[end:]
        for place in range(start, end):
            if found[place] not in (old[place], 0x22):
                pytest.fail(f"byte {place} is neither old nor new")

    _each_crash(tmp_path, lambda folder: _fill(folder / "disk.vmdk", disk_type, 0x11), write, check)


def test_killed_write_is_told_by_a_flag(tmp_path):
    path = tmp_path / "disk.vmdk"
    _fill(path, "monolithicSparse", 0x11)

    def write():
        disk = open_disk(path, writable=True)
        disk.write(0, b"x")
        os._exit(_KILLED)

    assert _killed_at(1000, False, write)
    with open_disk(path) as disk:
        assert disk.flags == [f"{path}: was not closed after the last write"]


def _require(truth):
    assert truth
