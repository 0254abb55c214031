# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Many at once, and how fast."""

import concurrent.futures
import multiprocessing
import os
import pathlib
import subprocess
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
    """Or as long as a hundred small programs, where those take long, too."""
    taken, programs = [], []
    for _attempt in range(5):
        begin = time.perf_counter()
        session.mount(ask(ext4, "served"))
        taken.append(time.perf_counter() - begin)
        session.unmount(str(point))
        begin = time.perf_counter()
        subprocess.run(["stat", ext4], check=True, capture_output=True)
        programs.append(time.perf_counter() - begin)
    assert min(taken) < max(0.3, 100 * min(programs))


def test_sequential_reads_through_the_served_disk(image, tool, ask, point):
    """At least 400 MB in a second of the processor, as others use it too, from a device that is
    not itself the limit."""
    path = image(600 * MIB)
    tool("mkfs.ext4", "-q", path)
    content = os.urandom(MIB)
    session.mount(ask(path, "flat"))
    (point / "big").write_bytes(content * 400)
    session.unmount(str(point))
    with RawDevice.open(path) as device:  # so that the disk under us is not measured
        for offset in range(0, path.stat().st_size, MIB):
            device.readinto(offset, memoryview(bytearray(MIB)))
    daemon = session.mount(ask(path, "served", read_only=True)).daemon
    rates = [read_rate(point / "big", daemon) for _attempt in range(5)]
    session.unmount(str(point))
    assert max(rates) > 400e6


def read_rate(path, daemon):
    """Bytes per second of processor time, ours and that of who serves them. They do not come from
    the page cache of the mounted file system."""
    buffer, total = bytearray(MIB), 0
    with open(path, "rb", 0) as stream:
        os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        begin = time.process_time() + seconds_of(daemon)
        while count := stream.readinto(buffer):
            total += count
    return total / (time.process_time() + seconds_of(daemon) - begin)


def seconds_of(process):
    """Of the processor, by proc_pid_stat(5)."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
