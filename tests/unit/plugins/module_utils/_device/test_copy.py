# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""copy(), compare() and digest() over every kind of plain device."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import copy as copy_module
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.compare import (
    compare,
    digest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import Device
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskIOError,
    InvalidRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import (
    Extent,
    Kind,
    merge,
    pieces,
    widen_data,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import (
    MemoryDevice,
    ZeroDevice,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice

runs_of_bytes = st.lists(
    st.tuples(st.integers(0, 200_000), st.binary(min_size=1, max_size=3)), max_size=12
).map(lambda parts: b"".join(bytes(gap) + data for gap, data in parts))


class SparseMemory(MemoryDevice):
    """Says ZERO where a 4 KiB block is zero: extents finer than a grain."""

    def extents(self, offset=0, length=None):
        length = self.check_range(offset, length)
        blocks = pieces([Extent(offset, length, Kind.DATA)] if length else [], 4096)
        return merge(self._kind(block) for block in blocks)

    def _kind(self, block):
        kind = Kind.DATA if any(self.content[block.offset : block.end]) else Kind.ZERO
        return Extent(block.offset, block.length, kind)


@given(content=runs_of_bytes, dirty=st.booleans())
def test_copy_makes_the_target_equal(content, dirty):
    source = SparseMemory(content)
    target = MemoryDevice(b"\xff" * len(content) if dirty else len(content))
    copy(source, target, target_is_zero=not dirty)
    assert target.content == content


@given(content=runs_of_bytes)
def test_digest_is_sha256_of_the_content(content):
    assert digest(SparseMemory(content)) == f"sha256:{hashlib.sha256(content).hexdigest()}"


@given(content=runs_of_bytes, data=st.data())
def test_compare_finds_the_first_difference(content, data):
    other = bytearray(content)
    position = None
    if content:
        position = data.draw(st.integers(0, len(content) - 1))
        other[position] ^= 1
    assert compare(SparseMemory(content), SparseMemory(content)) is None
    assert compare(SparseMemory(content), SparseMemory(other)) == position


def test_compare_of_different_sizes_is_the_shorter_end():
    assert compare(ZeroDevice(10), ZeroDevice(20)) == 10


def test_copy_between_files_keeps_holes(tmp_path):
    size = 64 << 20
    with RawDevice.create(tmp_path / "a", size) as a, RawDevice.create(tmp_path / "b", size) as b:
        a.write(5 << 20, b"x" * (3 << 20))
        a.write(size - 1, b"z")
        copy(a, b, target_is_zero=True)
        assert compare(a, b) is None
        assert b.file.allocated() < 5 << 20


def test_copy_without_kernel_help_is_the_same(tmp_path, monkeypatch):
    def refuse(*_args):
        raise OSError(18, "cross-device link")

    monkeypatch.setattr(copy_module.os, "copy_file_range", refuse)
    (tmp_path / "a").write_bytes(b"q" * 3_000_000 + bytes(500_000) + b"r")
    with RawDevice.open(tmp_path / "a") as a, RawDevice.create(tmp_path / "b", a.size) as b:
        transfer = copy(a, b, target_is_zero=True)
    assert (tmp_path / "b").read_bytes() == (tmp_path / "a").read_bytes()
    assert transfer.bytes_zero > 400_000


def test_copy_into_a_smaller_disk_is_refused():
    with pytest.raises(InvalidRequest, match="cannot hold"):
        copy(ZeroDevice(2048), MemoryDevice(1024))


def test_an_error_in_a_reader_thread_reaches_the_caller():
    class Broken(Device):
        size = 10 << 20

        def readinto(self, offset, buffer):
            raise DiskIOError("boom", path="broken", offset=offset)

    with pytest.raises(DiskIOError, match="boom"):
        copy(Broken(), MemoryDevice(10 << 20))


def test_counters_add_up():
    content = b"a" * 65536 + bytes(3 * 65536) + b"b" * 10
    transfer = copy(SparseMemory(content), MemoryDevice(len(content)), target_is_zero=True)
    assert transfer.bytes_total == len(content)
    assert transfer.bytes_written + transfer.bytes_zero == len(content)
    assert transfer.bytes_written == 65536 + 10


@given(
    st.lists(st.tuples(st.integers(1, 9), st.sampled_from([Kind.DATA, Kind.ZERO])), max_size=9),
    st.integers(1, 7),
)
def test_widened_extents_cover_everything_once(parts, grain):
    extents, offset = [], 0
    for length, kind in parts:
        extents.append(Extent(offset, length, kind))
        offset += length
    wide = list(widen_data(extents, grain, offset))
    assert [e.offset for e in wide] == [0, *(e.end for e in wide)][: len(wide)]
    assert sum(e.length for e in wide) == offset
    data = {i for e in wide if e.kind is Kind.DATA for i in range(e.offset, e.end)}
    assert data >= {i for e in extents if e.kind is Kind.DATA for i in range(e.offset, e.end)}
