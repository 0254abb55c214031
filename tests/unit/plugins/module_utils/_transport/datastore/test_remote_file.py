# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A file of a datastore, read as the engine reads files of this host."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import TruncatedDisk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport import remote_file
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.remote_file import (
    RemoteFile,
)

CONTENT = random.Random(1).randbytes(3 * remote_file._BLOCK + 1000)
SIZE = len(CONTENT)


class Server:
    """What DatastoreFiles offers, and what it was asked for."""

    def __init__(self):
        self.asked = []

    def probe(self, place):
        return SIZE

    def readinto(self, place, offset, buffer):
        assert offset + buffer.nbytes <= SIZE
        self.asked.append((offset, buffer.nbytes))
        buffer[:] = CONTENT[offset : offset + buffer.nbytes]


@given(st.lists(st.tuples(st.integers(0, SIZE), st.integers(0, SIZE)), max_size=5))
def test_any_read_is_right(reads):
    file = RemoteFile(Server(), "[ds] a-flat.vmdk")
    for offset, length in reads:
        length = min(length, SIZE - offset)
        assert file.read(offset, length) == CONTENT[offset : offset + length]


def test_small_reads_share_a_request():
    server = Server()
    file = RemoteFile(server, "[ds] a-flat.vmdk")
    for offset in range(0, remote_file._BLOCK, 4096):
        file.read(offset, 4096)
    assert server.asked == [(0, remote_file._BLOCK)]


def test_large_reads_are_asked_as_they_are():
    server = Server()
    RemoteFile(server, "[ds] a-flat.vmdk").read(512, 2 * remote_file._BLOCK)
    assert server.asked == [(512, 2 * remote_file._BLOCK)]


@pytest.mark.parametrize("length", [2, 2 * remote_file._BLOCK])
def test_behind_the_end(length):
    with pytest.raises(TruncatedDisk, match="ends too early"):
        RemoteFile(Server(), "[ds] a-flat.vmdk").read(SIZE - length + 1, length)
