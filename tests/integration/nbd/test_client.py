# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Our client against the servers of others."""

from __future__ import annotations

import itertools
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskIOError,
    DiskNotFound,
    NoSpace,
    ReadOnlyDisk,
    ServerUnreachable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.client import (
    open_nbd,
)

MIB = 1 << 20
SERVERS = {
    "memory": ("nbdkit", "memory", "6M"),
    "blocks of 4 KiB": (
        "nbdkit", "--filter=blocksize-policy", "memory", "6M",
        "blocksize-minimum=4096", "blocksize-preferred=4096", "blocksize-error-policy=error",
    ),
    "small requests": (
        "nbdkit", "--filter=blocksize-policy", "memory", "6M",
        "blocksize-maximum=65536", "blocksize-error-policy=error",
    ),
    "one connection": ("nbdkit", "--filter=noparallel", "memory", "6M", "serialize=connections"),
    "no zeroing": ("nbdkit", "--filter=nozero", "memory", "6M", "zeromode=none"),
    "no holes": ("nbdkit", "--filter=noextents", "memory", "6M"),
    "no options": ("nbdkit", "--mask-handshake=0x1", "--no-sr", "memory", "6M"),
}  # fmt: skip


@pytest.mark.parametrize("name", SERVERS)
def test_read_write_zero(start, name):
    model = bytearray(6 * MIB)
    with start(*SERVERS[name]).open(writable=True) as disk:
        for number, offset in enumerate((0, 777, 4096, 2 * MIB - 3)):
            data = bytes([number + 1]) * 1_000_001
            disk.write(offset, data)
            model[offset : offset + len(data)] = data
        disk.zero(5000, 600_000)
        model[5000:605_000] = bytes(600_000)
        disk.flush()
        assert read(disk, 0, disk.size) == model
        assert read(disk, 4999, 70_003) == model[4999:75_002]
        for extent in disk.extents():
            assert extent.kind is Kind.DATA or not any(model[extent.offset : extent.end])


def test_holes_are_not_read(start, sample):
    path, content = sample
    with start("nbdkit", "-r", "file", path).open() as disk:
        target = MemoryDevice(disk.size)
        transfer = copy(disk, target)
        assert target.content == content
        assert transfer.bytes_read < len(content) // 4


@pytest.mark.parametrize("shared", [1, 2, 8])
def test_qemu(start, sample, shared):
    """Also where it allows fewer connections than we would like."""
    path, content = sample
    server = start("qemu-nbd", "-f", "raw", "-e", shared, path)
    with server.open(writable=True) as disk:
        target = MemoryDevice(disk.size)
        copy(disk, target)
        assert target.content == content
        disk.write(100, b"hello")
        disk.zero(900_000, 70_000)
        disk.flush()
        assert read(disk, 0, 200)[100:105] == b"hello"
        assert not any(read(disk, 900_000, 70_000))
    assert path.read_bytes()[100:105] == b"hello"


def test_a_server_that_takes_its_time(start):
    with start("nbdkit", "--filter=delay", "memory", "1M", "delay-read=2").open() as disk:
        begun = time.monotonic()
        assert read(disk, 0, 512) == bytes(512)
        assert time.monotonic() - begun >= 2


def test_an_error_is_told_once_and_nothing_is_lost(start):
    server = start("nbdkit", "--filter=error", "memory", "1M", "error-pread-rate=100%")
    with server.open(writable=True) as disk:
        disk.write(0, b"x" * 100_000)
        told = "failed to read it: Input/output error at byte 512"
        with pytest.raises(DiskIOError, match=told):
            read(disk, 512, 512)
        disk.flush()


def test_a_full_server(start):
    server = start("nbdkit", "full", "1M")
    with server.open(writable=True) as disk, pytest.raises(NoSpace, match="no space left"):
        disk.write(0, b"x")


def test_a_read_only_server(start):
    with pytest.raises(ReadOnlyDisk, match="lets nobody write"):
        start("nbdkit", "-r", "memory", "1M").open(writable=True)


def test_an_unknown_export_tells_the_known_ones(start, sample):
    server = start("qemu-nbd", "-r", "-f", "raw", "-x", "web01", sample[0])
    with pytest.raises(DiskNotFound, match=r"has no export 'web02'.*It offers: 'web01'"):
        open_nbd(f"nbd+unix:///web02?socket={server.socket}")
    with open_nbd(f"nbd+unix:///web01?socket={server.socket}") as disk:
        assert disk.size == len(sample[1])


def test_nobody_there(tmp_path, free_port):
    with pytest.raises(ServerUnreachable, match=r"no NBD server answers.*No such file"):
        open_nbd(f"nbd+unix:///?socket={tmp_path}/none")
    with pytest.raises(ServerUnreachable, match=rf"127.0.0.1:{free_port}.*refused"):
        open_nbd(f"nbd://127.0.0.1:{free_port}/")


def test_a_server_that_is_killed_while_it_is_read(start, sample):
    """Killed at every third of the requests, and started again."""
    path, content = sample
    server = start("nbdkit", "-r", "file", path)
    with server.open() as disk:
        found = bytearray()
        for number, offset in zip(itertools.count(), range(0, disk.size, MIB)):
            if number % 3 == 1:
                server.kill()
                server.start()
            found += read(disk, offset, min(MIB, disk.size - offset))
    assert found == content


def test_a_server_that_lost_what_was_not_flushed(start):
    """A memory disk is empty after each start."""
    server = start("nbdkit", "memory", "2M")
    with server.open(writable=True) as disk:
        disk.write(1000, b"x" * MIB)
        disk.zero(5000, 5000)
        server.kill()
        server.start()
        model = bytearray(2 * MIB)
        model[1000 : 1000 + MIB] = b"x" * MIB
        model[5000:10000] = bytes(5000)
        assert read(disk, 0, disk.size) == model


def test_a_server_that_is_frozen(start):
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd import (
        address,
        client,
        pool,
    )

    server = start("nbdkit", "--filter=delay", "memory", "1M", "delay-read=3")
    patience = pool.Patience(answer=0.3, reconnect=0.5)
    told = r"nothing was heard for 0\.3 seconds"
    disk = client.NbdDevice(address.parse_uri(server.uri), patience=patience)
    with disk, pytest.raises(ServerUnreachable, match=told):
        read(disk, 0, 512)
