# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Raw files, slices, concatenations and overlays, held against a bytearray."""

from __future__ import annotations

import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskExists,
    DiskNotFound,
    NotADisk,
    OutOfRange,
    ReadOnlyDisk,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.files import File
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.overlay import Overlay
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.slice import (
    ConcatDevice,
    SliceDevice,
)

SIZE = 300_001
MIB = 1 << 20
operations = st.lists(
    st.tuples(
        st.sampled_from(["write", "zero"]),
        st.integers(0, SIZE),
        st.integers(0, 150_000),
        st.integers(1, 255),
    ),
    max_size=12,
)


PATTERN = bytearray(bytes(range(256)) * (SIZE // 256 + 1))[:SIZE]


def raw_device(folder):
    path = folder / "disk"
    path.write_bytes(PATTERN)
    return RawDevice.open(path, writable=True)


def slice_device(_folder):
    return SliceDevice(MemoryDevice(b"before" + PATTERN + b"behind"), 6, SIZE)


def concat_device(_folder):
    parts = [PATTERN[: 1 << 16], PATTERN[1 << 16 : 1 << 17], PATTERN[1 << 17 :]]
    return ConcatDevice([MemoryDevice(part) for part in parts], "concat")


def overlay_device(_folder):
    return Overlay(MemoryDevice(PATTERN))


@pytest.mark.parametrize("make", [raw_device, slice_device, concat_device, overlay_device])
@settings(deadline=None, max_examples=40)
@given(todo=operations)
def test_equals_a_bytearray(make, tmp_path_factory, todo):
    with make(tmp_path_factory.mktemp("disk")) as device:
        model = bytearray(PATTERN)
        for verb, offset, length, value in todo:
            length = min(length, SIZE - offset)
            data = bytes([value]) * length if verb == "write" else bytes(length)
            device.write(offset, data) if verb == "write" else device.zero(offset, length)
            model[offset : offset + length] = data
        assert read(device, 0, SIZE) == model
        runs = list(device.extents())
        assert [run.offset for run in runs] == [0, *(run.end for run in runs)][: len(runs)]
        assert sum(run.length for run in runs) == SIZE
        for run in runs:
            assert run.kind is Kind.DATA or not any(model[run.offset : run.end])


def test_an_overlay_never_writes_to_its_base():
    base = MemoryDevice(b"a" * 200_000)
    with Overlay(base) as overlay:
        overlay.write(70_000, b"b" * 5)
        overlay.zero(0, 100)
        assert read(overlay, 69_999, 7) == b"abbbbba"
    assert base.content == b"a" * 200_000


@pytest.mark.parametrize("offset, length", [(-1, 1), (0, 11), (10, 1), (11, 0)])
def test_access_outside_is_refused(offset, length):
    with pytest.raises(OutOfRange):
        MemoryDevice(10).check_range(offset, length)


def test_a_read_only_file_refuses_writes(tmp_path):
    (tmp_path / "disk").write_bytes(b"12345")
    with RawDevice.open(tmp_path / "disk") as device, pytest.raises(ReadOnlyDisk):
        device.write(0, b"x")


def test_a_file_that_shrank_is_truncated_not_zeros(tmp_path):
    (tmp_path / "disk").write_bytes(b"12345")
    with RawDevice.open(tmp_path / "disk") as device:
        (tmp_path / "disk").write_bytes(b"123")
        with pytest.raises(TruncatedDisk, match="byte 3"):
            read(device, 0, 5)


def test_missing_file(tmp_path):
    with pytest.raises(DiskNotFound, match="no-such"):
        RawDevice.open(tmp_path / "no-such")


def test_directory(tmp_path):
    with pytest.raises(NotADisk, match="directory"):
        RawDevice.open(tmp_path)


def test_create_never_overwrites(tmp_path):
    (tmp_path / "disk").write_bytes(b"precious")
    with pytest.raises(DiskExists):
        File.create(tmp_path / "disk")
    assert (tmp_path / "disk").read_bytes() == b"precious"


def test_create_writes_to_what_it_has_made(tmp_path, monkeypatch):
    """Even where somebody else puts a link in its place at once."""
    (tmp_path / "theirs").write_bytes(b"theirs")
    real = os.open

    def swapped(path, flags, *mode):
        fd = real(path, flags, *mode)
        if flags & os.O_CREAT:
            os.unlink(path)
            os.symlink(tmp_path / "theirs", path)
        return fd

    monkeypatch.setattr(os, "open", swapped)
    with File.create(tmp_path / "disk") as file:
        file.write(0, b"ours!!")
    assert (tmp_path / "theirs").read_bytes() == b"theirs"


def test_a_place_that_no_file_has_is_beyond_the_end(tmp_path):
    (tmp_path / "disk").write_bytes(b"12345")
    with File(tmp_path / "disk") as file:
        with pytest.raises(TruncatedDisk):
            file.read(1 << 64, 5)
        assert [run.kind for run in file.extents(1 << 64, (1 << 64) + 1)] == [Kind.ZERO]


def test_a_hole_ends_where_data_begins(tmp_path):
    path = tmp_path / "disk"
    with open(path, "wb") as stream:
        stream.seek(MIB)
        stream.write(b"data")
        stream.truncate(3 * MIB)
    with File(path) as file:
        assert file.end_of_hole(0, 3 * MIB) == MIB
        assert file.end_of_hole(0, MIB // 2) == MIB // 2
        assert file.end_of_hole(MIB, 3 * MIB) == MIB
        assert file.end_of_hole(2 * MIB, 3 * MIB) == 3 * MIB


def test_a_long_write_arrives_as_a_whole(tmp_path):
    data = bytes(range(256)) * 4096 + b"end"  # longer than what is written at once
    with File.create(tmp_path / "disk") as file:
        file.write(7, data)
        assert file.size == 7 + len(data)
        assert file.read(7, len(data)) == data
