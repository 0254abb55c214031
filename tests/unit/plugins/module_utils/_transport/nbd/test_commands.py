# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What flags of requests promise, beyond what our own client asks for."""

from __future__ import annotations

import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import NoSpace
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Extent, Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd import protocol as p
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.connection import (
    Request,
)

SIZE = 64 << 10


@pytest.mark.parametrize(
    "request_of",
    [
        lambda: Request(p.CMD_WRITE, 512, 4, p.FLAG_FUA, payload=b"here"),
        lambda: Request(p.CMD_WRITE_ZEROES, 0, 100, p.FLAG_FUA),
        lambda: Request(p.CMD_TRIM, 0, 100, p.FLAG_FUA),
    ],
)
def test_fua_is_durable_when_it_is_answered(serving, volatile, request_of):
    with serving(volatile(b"x" * SIZE)) as served, served.open() as disk:
        disk._do([request_of()])
        assert served.device.durable == served.device.content != b"x" * SIZE


def test_without_fua_nothing_is_durable_yet(serving, volatile):
    with serving(volatile(b"x" * SIZE)) as served, served.open() as disk:
        disk._do([Request(p.CMD_WRITE, 512, 4, payload=b"here")])
        assert served.device.durable == b"x" * SIZE


class Counting(MemoryDevice):
    """Tells zeros that are written from holes that are made."""

    def __init__(self):
        super().__init__(b"x" * SIZE)
        self.seen = []

    def write(self, offset, data):
        self.seen.append(("write", offset, len(data)))
        super().write(offset, data)

    def zero(self, offset, length):
        self.seen.append(("zero", offset, length))
        super().zero(offset, length)


def test_no_hole_means_none(serving):
    with serving(Counting()) as served, served.open() as disk:
        disk._do([Request(p.CMD_WRITE_ZEROES, 100, 1000, p.FLAG_NO_HOLE)])
        disk._do([Request(p.CMD_WRITE_ZEROES, 2000, 1000)])
        assert served.device.seen == [("write", 100, 1000), ("zero", 2000, 1000)]


class Striped(MemoryDevice):
    """Every second 4 KiB is a hole."""

    def extents(self, offset=0, length=None):
        for start in range(0, SIZE, 4096):
            first, last = max(start, offset), min(start + 4096, offset + length)
            if first < last:
                yield Extent(first, last - first, (Kind.DATA, Kind.ZERO)[start // 4096 % 2])


def test_one_run_where_one_is_asked_for(serving):
    with serving(Striped(SIZE)) as served, served.open() as disk:
        one, all_of_them = (
            Request(p.CMD_BLOCK_STATUS, 1000, SIZE - 1000, flags) for flags in (p.FLAG_REQ_ONE, 0)
        )
        disk._do([one])
        disk._do([all_of_them])
        assert one.extents == [Extent(1000, 3096, Kind.DATA)]
        assert all_of_them.extents == list(Striped(SIZE).extents(1000, SIZE - 1000))


class Full(MemoryDevice):
    def write(self, offset, data):
        raise NoSpace("no space left", path="the disk")


def test_a_full_disk_is_full_for_the_client(serving):
    with serving(Full(SIZE)) as served, served.open() as disk:
        with pytest.raises(NoSpace, match=r"no space left.*the disk"):
            disk.write(0, b"x")
        assert served.notes[0][2] is True


class Alone(MemoryDevice):
    """Notices a second one at work, where only one may be."""

    def __init__(self):
        super().__init__(SIZE)
        self.busy = self.met = False

    def write(self, offset, data):
        self.met |= self.busy
        self.busy = True
        time.sleep(0.001)
        super().write(offset, data)
        self.busy = False


def test_devices_that_write_alone_do(serving):
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.pipeline import (
        ordered_map,
    )

    with serving(Alone()) as served, served.open() as disk:
        places = range(0, SIZE, 1024)
        for _done in ordered_map(lambda at: disk.write(at, b"x" * 1024), places, 4):
            pass
        assert served.device.content == b"x" * SIZE
        assert not served.device.met
