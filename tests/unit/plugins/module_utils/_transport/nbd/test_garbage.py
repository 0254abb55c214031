# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that is talked nonsense to goes on serving the others."""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd import protocol as p
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd import server

CONTENT = bytes(range(256)) * 64
LONG = st.sampled_from([0, 1, 4, 4096, 1 << 16, (1 << 32) - 1])
OPTION = st.tuples(st.integers(0, 12), st.binary(max_size=80), st.one_of(st.none(), LONG)).map(
    lambda o: p.OPTION.pack(p.OPTION_MAGIC, o[0], len(o[1]) if o[2] is None else o[2]) + o[1]
)
GO = p.OPTION.pack(p.OPTION_MAGIC, p.OPT_GO, 6) + bytes(6)
REQUEST = st.tuples(
    st.integers(0, 31),
    st.integers(0, 9),
    st.integers(0, (1 << 64) - 1),
    LONG,
    st.binary(max_size=99),
).map(lambda r: p.REQUEST.pack(p.REQUEST_MAGIC, r[0], r[1], 7, r[2], r[3]) + r[4])
CLIENT = st.one_of(
    st.binary(max_size=200),
    st.lists(OPTION, max_size=4).map(lambda parts: bytes(3) + b"\3" + b"".join(parts)),
    st.lists(REQUEST, max_size=4).map(lambda parts: bytes(3) + b"\3" + GO + b"".join(parts)),
)


@pytest.fixture(scope="module")
def served(serving):
    with serving(MemoryDevice(CONTENT), read_only=True) as running:
        yield running


def talk(served, data):
    """Say all of it and hang up; whatever the answer is."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(served.uri.partition("socket=")[2])
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            client.sendall(data)
            client.shutdown(socket.SHUT_WR)
            while client.recv(1 << 16):
                pass


@settings(max_examples=300)
@given(CLIENT)
def test_garbage(served, data):
    talk(served, data)
    assert not [note for note in served.notes if note[0] == "serving a client"]


def test_others_are_served_meanwhile(served):
    with served.open(writable=False) as disk:
        talk(served, b"GET / HTTP/1.1\r\n\r\n")
        assert read(disk, 0, len(CONTENT)) == CONTENT


def test_a_client_that_says_nothing_has_to_go(serving, monkeypatch):
    monkeypatch.setattr(server, "_HANDSHAKE_SECONDS", 0.5)
    with serving(MemoryDevice(1024)) as running, socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(running.uri.partition("socket=")[2])
        assert len(client.recv(100)) == 18
        assert client.recv(100) == b""


def test_stopping_does_not_wait_for_idle_clients(serving):
    with serving(MemoryDevice(1024)) as running:
        disk = running.open()
    disk._pool._patience = type(disk._pool._patience)(0.1, 0.1)
    disk.close()


class Refusing(MemoryDevice):
    """Each request fails."""

    def readinto(self, offset, buffer):
        raise OSError(5, "the disk is broken")

    def zero(self, offset, length):
        raise RuntimeError("never thought of")


def test_errors_reach_the_client_and_nobody_dies(serving):
    with serving(Refusing(4096)) as running, running.open() as disk:
        for _round in range(3):
            with pytest.raises(Exception, match="the disk is broken"):
                read(disk, 0, 512)
            with pytest.raises(Exception, match="never thought of"):
                disk.zero(0, 512)
        disk.write(0, b"x")
        assert [(what, write) for what, _error, write in running.notes][:2] == [
            ("read 512 bytes at byte 0", False),
            ("write zeros to 512 bytes at byte 0", True),
        ]


@pytest.mark.parametrize(
    ("command", "offset", "length", "error"),
    [
        (p.CMD_READ, 4096, 1, p.EINVAL),
        (p.CMD_READ, 0, (32 << 20) + 1, p.EINVAL),
        (p.CMD_TRIM, 0, 512, p.EPERM),
        (p.CMD_WRITE_ZEROES, 0, 512, p.EPERM),
        (p.CMD_BLOCK_STATUS, 0, 512, p.EINVAL),
        (99, 0, 512, p.EINVAL),
    ],
)
def test_what_is_refused(serving, command, offset, length, error):
    plain = socket.socket(socket.AF_UNIX)
    with serving(MemoryDevice(4096), read_only=True) as running, plain as client:
        client.settimeout(20)
        client.connect(running.uri.partition("socket=")[2])
        client.sendall(struct.pack(">I", 3) + p.OPTION.pack(p.OPTION_MAGIC, 1, 0))
        client.recv(18, socket.MSG_WAITALL)
        client.recv(10, socket.MSG_WAITALL)
        client.sendall(p.REQUEST.pack(p.REQUEST_MAGIC, 0, command, 5, offset, length))
        reply = client.recv(16, socket.MSG_WAITALL)
        assert p.SIMPLE_REPLY.unpack(reply) == (p.SIMPLE_MAGIC, error, 5)
