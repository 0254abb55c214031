# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Servers that break the protocol, hang, or change under our hands."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    DiskInUse,
    ReadOnlyDisk,
    ServerUnreachable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd import protocol as p
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.address import (
    parse_uri,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.client import (
    NbdDevice,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.nbd.pool import Patience

SIZE = 4096
FLAGS = p.HAS_FLAGS | p.SEND_FLUSH


class Scripted:
    """A server that answers each request with the next bytes of its script."""

    def __init__(self, path, answers, size=SIZE):
        self.answers = list(answers)
        self.size = size
        self.uri = f"nbd+unix:///x?socket={path}"
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._run, daemon=True).start()

    def open(self, answer=5.0, reconnect=1.0):
        return NbdDevice(parse_uri(self.uri), patience=Patience(answer, reconnect))

    def close(self):
        self._listener.close()

    def _run(self):
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                with contextlib.suppress(OSError, struct.error), client:
                    self._serve(client)

    def _serve(self, client):
        client.sendall(p.GREETING.pack(p.MAGIC, p.OPTION_MAGIC, 3))
        client.recv(4, socket.MSG_WAITALL)
        while True:
            option, length = p.OPTION.unpack(client.recv(16, socket.MSG_WAITALL))[1:]
            client.recv(length, socket.MSG_WAITALL) if length else b""
            if option == p.OPT_SET_META_CONTEXT:
                reply(client, option, p.REP_META_CONTEXT, bytes([0, 0, 0, 7]) + p.ALLOCATION)
            elif option == p.OPT_GO:
                facts = p.EXPORT_INFO.pack(p.INFO_EXPORT, self.size, FLAGS)
                reply(client, option, p.REP_INFO, facts)
            reply(client, option, p.REP_ACK)
            if option == p.OPT_GO:
                break
        while True:
            cookie, offset, length = p.REQUEST.unpack(client.recv(28, socket.MSG_WAITALL))[3:]
            if not self.answers:
                return
            answer = self.answers.pop(0)
            client.sendall(answer(cookie, offset, length) if callable(answer) else answer)


def reply(client, option, kind, data=b""):
    client.sendall(p.OPTION_REPLY.pack(p.REPLY_MAGIC, option, kind, len(data)) + data)


def chunk(kind, payload=b"", flags=p.CHUNK_DONE):
    return lambda cookie, _offset, _length: (
        p.CHUNK.pack(p.CHUNK_MAGIC, flags, kind, cookie, len(payload)) + payload
    )


def data_at(offset, data, flags=p.CHUNK_DONE):
    return chunk(p.CHUNK_DATA, struct.pack(">Q", offset) + data, flags)


@pytest.fixture
def scripted(tmp_path):
    with contextlib.ExitStack() as running:

        def start(*answers, **more):
            path = tmp_path / f"{len(list(tmp_path.iterdir()))}.sock"
            return running.enter_context(contextlib.closing(Scripted(path, answers, **more)))

        yield start


@pytest.mark.parametrize(
    "answer",
    [
        data_at(0, b"x" * 100),  # too little
        data_at(0, b"x" * 5000),  # too much
        data_at(8192, b"x" * 512),  # elsewhere
        data_at((1 << 64) - 1, b"x" * 512),
        chunk(p.CHUNK_NONE),
        chunk(p.CHUNK_HOLE, struct.pack(">QI", 0, 513)),
        chunk(p.CHUNK_STATUS, struct.pack(">III", 7, 512, 0)),
        chunk(77, b"what?"),
        lambda cookie, _offset, _length: p.SIMPLE_REPLY.pack(p.SIMPLE_MAGIC, 0, cookie),
        lambda cookie, _offset, _length: p.SIMPLE_REPLY.pack(p.SIMPLE_MAGIC, 0, cookie + 1),
        b"HTTP/1.1 400 Bad request\r\n\r\n",
    ],
)
def test_nonsense_never_becomes_content(scripted, answer):
    with scripted(answer).open() as disk, pytest.raises(ServerUnreachable, match="breaks the"):
        read(disk, 0, 512)


def test_content_in_pieces_and_holes(scripted):
    def answer(cookie, _offset, _length):
        parts = (
            data_at(256, b"b" * 256, 0),
            chunk(p.CHUNK_HOLE, struct.pack(">QI", 128, 128), 0),
            data_at(0, b"a" * 128),
        )
        return b"".join(part(cookie, 0, 512) for part in parts)

    with scripted(answer).open() as disk:
        assert read(disk, 0, 512) == b"a" * 128 + bytes(128) + b"b" * 256


def test_a_server_that_falls_silent_is_tried_again(scripted):
    server = scripted(b"", data_at(0, b"x" * 512))
    with server.open(answer=0.3) as disk:
        assert read(disk, 0, 512) == b"x" * 512


def test_a_server_that_dies_of_a_request_is_given_up(scripted):
    server = scripted()
    with server.open() as disk, pytest.raises(ServerUnreachable, match="closed"):
        read(disk, 0, 512)


def test_a_server_that_stays_away(scripted):
    server = scripted()
    with server.open(reconnect=0.5) as disk:
        server.close()
        with pytest.raises(ServerUnreachable, match="could not be made anew within"):
            read(disk, 0, 512)


def test_another_disk_under_the_same_name(scripted):
    server = scripted()
    with server.open() as disk:
        server.size = 8192
        with pytest.raises(DiskInUse, match="another disk"):
            read(disk, 0, 512)


STATUS = struct.pack(">I", 7)


@pytest.mark.parametrize(
    ("payload", "kinds"),
    [
        (struct.pack(">II", 4096, 3), [(4096, Kind.ZERO)]),
        (struct.pack(">II", 1 << 30, 2), [(4096, Kind.ZERO)]),  # goes on beyond what was asked
        (struct.pack(">II", 4096, 1), [(4096, Kind.DATA)]),  # a hole that may hold anything
        (struct.pack(">IIII", 512, 3, 3584, 0), [(512, Kind.ZERO), (3584, Kind.DATA)]),
    ],
)
def test_what_holes_mean(scripted, payload, kinds):
    with scripted(chunk(p.CHUNK_STATUS, STATUS + payload)).open() as disk:
        assert [(run.length, run.kind) for run in disk.extents()] == kinds


def test_a_status_in_parts(scripted):
    first = chunk(p.CHUNK_STATUS, STATUS + struct.pack(">II", 1024, 3))
    second = chunk(p.CHUNK_STATUS, STATUS + struct.pack(">II", 3072, 0))
    with scripted(first, second).open() as disk:
        assert [run.length for run in disk.extents()] == [1024, 3072]


def test_an_error_about_holes_leads_to_reading_all(scripted):
    fault = p.CHUNK_FAULT.pack(p.EIO, 0)
    with scripted(chunk(p.CHUNK_ERROR, fault)).open() as disk:
        assert [(run.length, run.kind) for run in disk.extents()] == [(SIZE, Kind.DATA)]


@pytest.mark.parametrize("payload", [b"", bytes(8), struct.pack(">IIII", 0, 3, 0, 3)])
def test_holes_without_sense(scripted, payload):
    server = scripted(chunk(p.CHUNK_STATUS, STATUS + payload))
    with server.open() as disk, pytest.raises(ServerUnreachable, match="breaks the"):
        list(disk.extents())


def test_the_message_of_the_server_is_told(scripted):
    fault = p.CHUNK_FAULT.pack(p.EIO, 9) + b"bad cable"
    told = r"Input/output error.*bad cable.* at byte 1024"
    with scripted(chunk(p.CHUNK_ERROR, fault)).open() as disk, pytest.raises(DiskError, match=told):
        read(disk, 1024, 512)


def test_writing_is_refused_before_anything_is_sent(serving):
    with serving(MemoryDevice(SIZE), read_only=True) as served:
        with pytest.raises(ReadOnlyDisk, match="lets nobody write"):
            served.open(writable=True)
        with served.open(writable=False) as disk, pytest.raises(ReadOnlyDisk):
            disk.write(0, b"x")


def test_readers_that_wait_for_a_connection_outlive_the_one_that_met_nonsense(scripted):
    """It was the only connection, and nobody will give it back."""
    good = [data_at(0, b"x" * 512)] * 2
    server, found = scripted(b"HTTP/1.1 400 Bad request\r\n\r\n", *good), []

    def reader():
        try:
            found.append(bytes(read(disk, 0, 512)))
        except ServerUnreachable as error:
            found.append(error)

    with server.open() as disk:
        threads = [threading.Thread(target=reader, daemon=True) for _number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
    assert sorted(isinstance(each, bytes) for each in found) == [False, True, True]
