# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The FUSE file's operations, called as mfusepy calls them, on devices in memory."""

import errno
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import (
    MemoryDevice,
    ZeroDevice,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.sharedlock import SharedLock
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.fuse import DiskFile

SIZE = 4096
PUNCH_KEEP, ZERO_RANGE = 0x03, 0x10


def served(device, read_only=False):
    return DiskFile(device, read_only)


def read(file, offset, length):
    buffer = bytearray(length)
    count = file.read("/disk.raw", offset, memoryview(buffer), 0)
    return bytes(buffer[:count])


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(0, SIZE - 64), st.binary(max_size=64)),
        st.tuples(st.just("zero"), st.integers(0, SIZE - 1), st.integers(1, SIZE)),
    )
)


@given(STEPS)
def test_file_holds_what_a_bytearray_would(steps):
    model, file = bytearray(b"\xaa" * SIZE), served(MemoryDevice(b"\xaa" * SIZE))
    for what, offset, value in steps:
        if what == "write":
            assert file.write("/disk.raw", offset, memoryview(value), 0) == len(value)
            model[offset : offset + len(value)] = value
        else:
            file.fallocate("/disk.raw", PUNCH_KEEP, offset, value, 0)
            model[offset : offset + value] = bytes(min(value, SIZE - offset))
    assert read(file, 0, SIZE) == model


@pytest.mark.parametrize(("offset", "length"), [(SIZE - 10, 10), (SIZE, 0), (SIZE + 5, 0)])
def test_reads_end_with_the_disk(offset, length):
    assert len(read(served(MemoryDevice(SIZE)), offset, 100)) == length


def test_zero_range_is_a_zero_too():
    device = MemoryDevice(b"x" * SIZE)
    served(device).fallocate("/disk.raw", ZERO_RANGE, 0, SIZE, 0)
    assert device.content == bytes(SIZE)


@pytest.mark.parametrize("mode", [0, 1, 0x08, 0x20])
def test_other_kinds_of_fallocate_are_refused(mode):
    device = MemoryDevice(b"x" * SIZE)
    with pytest.raises(OSError) as caught:
        served(device).fallocate("/disk.raw", mode, 0, SIZE, 0)
    assert caught.value.errno == errno.EOPNOTSUPP
    assert device.content == b"x" * SIZE


class Failing(ZeroDevice):
    """Raises what it is told to."""

    def __init__(self, error):
        super().__init__(SIZE)
        self.error = error

    def readinto(self, offset, buffer):
        raise self.error

    def write(self, offset, data):
        raise self.error


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (errors.CorruptDisk("bad grain"), errno.EIO),
        (errors.NoSpace("full"), errno.ENOSPC),
        (ValueError("a bug"), errno.EIO),
    ],
)
def test_errors_become_numbers_and_are_logged(error, number, capfd):
    with pytest.raises(OSError) as caught:
        read(served(Failing(error)), 0, 512)
    assert caught.value.errno == number
    assert "read of 512 bytes at byte 0" in capfd.readouterr().out


def test_write_to_a_read_only_device_is_refused_as_such():
    with pytest.raises(OSError) as caught:
        served(ZeroDevice(SIZE)).write("/disk.raw", 0, memoryview(b"x"), 0)
    assert caught.value.errno == errno.EROFS


def test_failed_writes_are_counted_and_the_first_is_kept():
    file = served(Failing(errors.NoSpace("full")))
    for offset in (512, 1024):
        with pytest.raises(OSError):
            file.write("/disk.raw", offset, memoryview(b"x" * 512), 0)
    assert file.report.failed_writes == 2
    assert file.report.first_failure == "write of 512 bytes at byte 512: full."


def test_failed_reads_are_no_failed_writes():
    file = served(Failing(errors.CorruptDisk("bad")))
    with pytest.raises(OSError):
        read(file, 0, 512)
    assert (file.report.failed_writes, file.report.first_failure) == (0, None)


def test_log_of_a_failing_disk_stays_short(capfd):
    file = served(Failing(errors.CorruptDisk("bad")))
    for _attempt in range(1000):
        with pytest.raises(OSError):
            read(file, 0, 512)
    assert len(capfd.readouterr().out.splitlines()) == 200


class Watching(MemoryDevice):
    """Notices who is inside at the same time."""

    def __init__(self):
        super().__init__(SIZE)
        self.inside = []
        self.together = set()

    def _enter(self, who):
        self.inside.append(who)
        self.together.add(tuple(sorted(self.inside)))
        time.sleep(0.002)
        self.inside.remove(who)

    def readinto(self, offset, buffer):
        self._enter("read")

    def write(self, offset, data):
        self._enter("write")

    def flush(self):
        self._enter("flush")


@pytest.fixture
def crowd():
    """A device that was read, written and flushed by six threads."""
    device = Watching()
    file = served(device)
    actions = [
        lambda: read(file, 0, 16),
        lambda: file.write("/disk.raw", 0, memoryview(b"x"), 0),
        lambda: read(file, 0, 16),
        lambda: file.fsync("/disk.raw", 0, 0),
    ]

    def work(action):
        for _round in range(20):
            action()

    threads = [threading.Thread(target=work, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return device


def test_writes_and_flushes_are_alone(crowd):
    crowds = [who for who in crowd.together if len(who) > 1]
    assert all(set(who) == {"read"} for who in crowds)


def test_reads_are_together(crowd):
    assert ("read", "read") in crowd.together


def test_waiting_writer_is_not_starved_by_readers():
    lock, done = SharedLock(), threading.Event()

    def read_for_ever():
        while not done.is_set():
            with lock.shared():
                time.sleep(0.001)

    readers = [threading.Thread(target=read_for_ever, daemon=True) for _reader in range(4)]
    for reader in readers:
        reader.start()

    def write():
        with lock.alone():
            done.set()

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    writer.join(30)
    finished = done.is_set()
    done.set()
    assert finished
