# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many at once, and how fast."""

import concurrent.futures
import multiprocessing
import os
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session

pytestmark = pytest.mark.serial
MIB = 1 << 20


def mount_once(request):
    return session.mount(request).device


def test_two_runs_for_the_same_mount_make_one(ext4, way, ask, point):
    context = multiprocessing.get_context("fork")
    with concurrent.futures.ProcessPoolExecutor(4, mp_context=context) as pool:
        devices = set(pool.map(mount_once, [ask(ext4, way)] * 4))
    assert len(devices) == 1
    session.unmount(str(point))


def test_first_mount_takes_less_than_a_third_of_a_second(ext4, ask, point):
    taken = []
    for _attempt in range(5):
        begin = time.perf_counter()
        session.mount(ask(ext4, "served"))
        taken.append(time.perf_counter() - begin)
        session.unmount(str(point))
    assert min(taken) < 0.3


def test_sequential_reads_through_the_served_disk(image, tool, ask, point):
    """At least 400 MB/s, from a device that is not itself the limit."""
    path = image(600 * MIB)
    tool("mkfs.ext4", "-q", path)
    content = os.urandom(MIB)
    session.mount(ask(path, "flat"))
    (point / "big").write_bytes(content * 400)
    session.unmount(str(point))
    with RawDevice.open(path) as device:  # so that the disk under us is not measured
        for offset in range(0, path.stat().st_size, MIB):
            device.readinto(offset, memoryview(bytearray(MIB)))
    session.mount(ask(path, "served", read_only=True))
    rates = [read_rate(point / "big") for _attempt in range(5)]
    session.unmount(str(point))
    assert max(rates) > 400e6


def read_rate(path):
    """Bytes per second, not from the page cache of the mounted file system."""
    buffer, total = bytearray(MIB), 0
    with open(path, "rb", 0) as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        begin = time.perf_counter()
        while count := stream.readinto(buffer):
            total += count
    return total / (time.perf_counter() - begin)
