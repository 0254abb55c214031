# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Streams that hosts send: written for qemu-img, read from qemu-img."""

from __future__ import annotations

import io
import random
import shutil
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.tests.simulator.behaviours.stream import (
    BrokenStream,
    StreamReader,
    write_stream,
)

SIZES = [512, 65536, 3 * 65536 + 1024, (32 << 20) + 3584]

qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img")


def content_of(size):
    content, chance = bytearray(size), random.Random(size)
    for _other in range(20):
        start = chance.randrange(size)
        content[start : start + 5000] = chance.randbytes(5000)[: size - start]
    return bytes(content)


def written(content):
    def read(offset, length):
        return content[offset : offset + length]

    return b"".join(write_stream(read, len(content), "a.vmdk"))


def read_back(stream):
    reader = StreamReader(io.BytesIO(stream).read)
    grains = list(reader.grains())
    content = bytearray(reader.capacity)
    for offset, data in grains:
        content[offset : offset + len(data)] = data
    return bytes(content)


@qemu
@pytest.mark.parametrize("size", SIZES)
def test_qemu_reads_what_is_written(size, tmp_path):
    content = content_of(size)
    (tmp_path / "a.vmdk").write_bytes(written(content))
    command = ["qemu-img", "convert", "-O", "raw", tmp_path / "a.vmdk", tmp_path / "raw"]
    subprocess.run(command, check=True)
    assert (tmp_path / "raw").read_bytes()[:size] == content


@qemu
@pytest.mark.parametrize("size", SIZES)
def test_what_qemu_writes_is_read(size, tmp_path):
    content = content_of(size)
    (tmp_path / "raw").write_bytes(content)
    form = ["-f", "raw", "-O", "vmdk", "-o", "subformat=streamOptimized"]
    subprocess.run(["qemu-img", "convert", *form, tmp_path / "raw", tmp_path / "a"], check=True)
    assert read_back((tmp_path / "a").read_bytes())[:size] == content


@pytest.mark.parametrize("size", SIZES)
def test_its_own_streams_are_read(size):
    assert read_back(written(content_of(size))) == content_of(size)


@pytest.mark.parametrize("length", [100, 70000, -600])
def test_a_stream_that_ends_too_early(length):
    with pytest.raises(BrokenStream):
        read_back(written(content_of(1 << 20))[:length])


def test_a_stream_that_is_none():
    with pytest.raises(BrokenStream):
        read_back(b"nonsense" * 10000)
