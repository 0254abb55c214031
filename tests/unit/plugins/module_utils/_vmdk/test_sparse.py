# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sparse extents under load: many threads, many tables, huge and empty disks."""

from __future__ import annotations

import os
import random
import resource
import threading
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents import tables
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import create_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40


def test_huge_empty_disk_lists_its_runs_at_once(tmp_path):
    path = tmp_path / "disk.vmdk"
    create_disk(path, DiskSpec(2 * TIB - GIB, "monolithicSparse"))
    start = time.process_time()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with open_disk(path) as disk:
        assert [run.kind for run in disk.extents()] == [Kind.ZERO]
    assert time.process_time() - start < 1.5  # 0.1 on an idle machine
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 64 << 10


def test_far_grains_of_a_huge_disk(tmp_path):
    path = tmp_path / "disk.vmdk"
    create_disk(path, DiskSpec(1 * TIB, "monolithicSparse"))
    places = [0, 3 * GIB + 5, 700 * GIB, TIB - 4]
    with open_disk(path, writable=True) as disk:
        for place in places:
            disk.write(place, b"here")
    with open_disk(path) as disk:
        assert all(read(disk, place, 4) == b"here" for place in places)
        assert sum(run.length for run in disk.extents() if run.kind is Kind.DATA) == 4 << 16


@pytest.fixture
def tiny_cache(monkeypatch):
    monkeypatch.setattr(tables, "_MAX_PAGES", 2)
    monkeypatch.setattr(tables, "_MAX_DIRTY_PAGES", 1)


def test_tables_that_left_memory_come_back(tmp_path, tiny_cache):
    path = tmp_path / "disk.vmdk"
    create_disk(path, DiskSpec(20 * GIB, "monolithicSparse"))
    numbers = random.Random(3)
    model = {}
    with open_disk(path, writable=True) as disk:
        for _step in range(300):
            place = numbers.randrange(20 * GIB // 65536) * 65536
            model[place] = numbers.randbytes(8)
            disk.write(place, model[place])
        assert all(read(disk, place, 8) == data for place, data in model.items())
    with open_disk(path) as disk:
        assert all(read(disk, place, 8) == data for place, data in model.items())


def test_readers_on_many_threads(make_disk, tiny_cache):
    numbers = random.Random(4)
    places = {
        numbers.randrange(4 * GIB // 65536) * 65536: numbers.randbytes(8) for _number in range(99)
    }
    path = make_disk("disk.vmdk", "monolithicSparse", 4 * GIB, places)
    wrong = []

    def look(disk, order):
        wrong.extend(place for place in order if read(disk, place, 8) != places[place])

    with open_disk(path) as disk:
        threads = [
            threading.Thread(target=look, args=(disk, numbers.sample(list(places), len(places))))
            for _number in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert wrong == []


def test_long_run_is_one_run_in_the_file(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", 64 * MIB)
    with open_disk(path, writable=True) as disk:
        for place in range(0, 64 * MIB, 2 * MIB):
            disk.write(place, b"\x11" * (2 * MIB))
    with open_disk(path) as disk:
        extent = disk.links[0].parts[0]
        runs = list(extent._runs(0, 64 * MIB))
    assert len(runs) <= 2


def test_order_of_writes(make_disk, monkeypatch):
    """Data, then the redundant table, then the primary one, each durable before the next."""
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    disk = open_disk(path, writable=True)
    disk.write(0, b"x")  # the content id and the unclean mark are written
    disk.flush()
    log = []
    write, header = os.pwrite, disk.links[0].store.header
    monkeypatch.setattr(os, "fsync", lambda _fd: log.append("fsync"))
    monkeypatch.setattr(
        os, "pwrite", lambda fd, data, place: log.append(place) or write(fd, data, place)
    )
    disk.write(5 * 65536, b"y" * 65536)
    data = path.stat().st_size - 65536
    disk.close()
    tables = [512 * (offset + 1) for offset in (header.rgd_offset, header.gd_offset)]
    assert log == [data, "fsync", tables[0], "fsync", tables[1], "fsync", "fsync", 72, "fsync"]


def test_zeroing_gives_the_space_back(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", 8 * MIB, {0: b"\x11" * (8 * MIB)})
    before = path.stat().st_blocks
    with open_disk(path, writable=True) as disk:
        disk.zero(0, 8 * MIB)
    assert path.stat().st_blocks < before // 4
