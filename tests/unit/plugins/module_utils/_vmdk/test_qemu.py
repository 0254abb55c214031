# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""qemu-img reads what we write, byte for byte, and we read what qemu-img writes."""

from __future__ import annotations

import random

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.compare import compare
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    CREATABLE_TYPES,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child

SIZE = (40 << 20) + 5 * 512  # two grain tables, a short last grain
QEMU_TYPES = [kind for kind in CREATABLE_TYPES if kind != "vmfs"]
IN_PLACE_TYPES = [kind for kind in CREATABLE_TYPES if kind != "streamOptimized"]


@pytest.fixture
def raw(tmp_path):
    """A raw file with data here and there, its first and last bytes among it."""
    path = tmp_path / "source.raw"
    numbers = random.Random(5)
    with path.open("wb") as stream:
        for _run in range(30):
            stream.seek(numbers.randrange(SIZE - 200_000))
            stream.write(numbers.randbytes(numbers.randrange(1, 200_000)))
        stream.seek(0)
        stream.write(b"first")
        stream.seek(SIZE - 4)
        stream.write(b"last")
    return path


def _make(raw, path, disk_type):
    with (
        RawDevice.open(raw) as source,
        new_disk(path, DiskSpec(source.size, disk_type)) as target,
    ):
        copy(source, target, target_is_zero=True)
    return path


def _same(path, raw):
    with open_disk(path) as disk, RawDevice.open(raw) as source:
        assert disk.flags == []
        return compare(disk, source) is None


@pytest.mark.parametrize("disk_type", CREATABLE_TYPES)
def test_qemu_reads_our_disk(tmp_path, raw, qemu_img, disk_type):
    path = _make(raw, tmp_path / "ours.vmdk", disk_type)
    qemu_img("convert", "-f", "vmdk", "-O", "raw", path, tmp_path / "decoded.raw")
    assert (tmp_path / "decoded.raw").read_bytes() == raw.read_bytes()


@pytest.mark.parametrize("disk_type", CREATABLE_TYPES)
def test_qemu_finds_no_fault_in_our_disk(tmp_path, raw, qemu_img, disk_type):
    path = _make(raw, tmp_path / "ours.vmdk", disk_type)
    assert "No errors" in qemu_img("check", "-f", "vmdk", path)


@pytest.mark.parametrize("disk_type", QEMU_TYPES)
def test_we_read_qemus_disk(tmp_path, raw, qemu_img, disk_type):
    path = tmp_path / "theirs.vmdk"
    qemu_img("convert", "-f", "raw", "-O", "vmdk", "-o", f"subformat={disk_type}", raw, path)
    assert _same(path, raw)


def test_we_read_qemus_zeroed_grains(tmp_path, qemu_img, qemu_io, content_of):
    path = tmp_path / "theirs.vmdk"
    qemu_img("create", "-f", "vmdk", "-o", "zeroed_grain=on", path, "1M")
    qemu_io(path, "write -P 17 0 256k", "write -z 64k 64k")
    assert content_of(path)[: 192 << 10] == b"\x11" * 65536 + bytes(65536) + b"\x11" * 65536


@pytest.mark.parametrize("disk_type", [kind for kind in QEMU_TYPES if kind in IN_PLACE_TYPES])
def test_we_write_into_qemus_disk(tmp_path, raw, qemu_img, disk_type):
    path = tmp_path / "theirs.vmdk"
    qemu_img("create", "-f", "vmdk", "-o", f"subformat={disk_type}", path, str(SIZE))
    with RawDevice.open(raw) as source, open_disk(path, writable=True) as disk:
        copy(source, disk, target_is_zero=True)
    assert "identical" in qemu_img("compare", "-f", "vmdk", "-F", "raw", path, raw)


@pytest.mark.parametrize("disk_type", IN_PLACE_TYPES)
def test_qemu_writes_into_our_disk(tmp_path, raw, qemu_io, content_of, disk_type):
    path = _make(raw, tmp_path / "ours.vmdk", disk_type)
    qemu_io(path, "write -P 17 1000k 300k", "write -P 34 35M 100k")
    expected = bytearray(raw.read_bytes())
    expected[1000 << 10 : 1300 << 10] = b"\x11" * (300 << 10)
    expected[35 << 20 : (35 << 20) + (100 << 10)] = b"\x22" * (100 << 10)
    assert content_of(path) == expected


@pytest.mark.parametrize("disk_type", IN_PLACE_TYPES)
def test_qemu_reads_a_disk_that_has_grown(tmp_path, raw, qemu_img, qemu_io, disk_type):
    path = _make(raw, tmp_path / "ours.vmdk", disk_type)
    grow_disk(path, 100 << 20)
    with raw.open("r+b") as stream:
        stream.truncate(100 << 20)
    assert "identical" in qemu_img("compare", "-f", "vmdk", "-F", "raw", path, raw)
    assert "No errors" in qemu_img("check", path)


@pytest.mark.parametrize("disk_type", IN_PLACE_TYPES)
def test_qemu_writes_into_what_has_grown(tmp_path, qemu_io, make_disk, content_of, disk_type):
    path = make_disk("ours.vmdk", disk_type, 1 << 20)
    grow_disk(path, 100 << 20)
    qemu_io(path, "write -P 17 90M 64k")
    assert content_of(path) == bytes(90 << 20) + b"\x11" * 65536 + bytes((10 << 20) - 65536)


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "twoGbMaxExtentSparse"])
def test_qemu_reads_our_child(tmp_path, raw, qemu_img, content_of, disk_type):
    _make(raw, tmp_path / "base.vmdk", "monolithicSparse")
    child = tmp_path / "child.vmdk"
    create_child(tmp_path / "base.vmdk", child, disk_type)
    with open_disk(child, writable=True) as disk:
        disk.write(12345, b"written in the child")
        disk.zero(1 << 20, 3 << 20)
    qemu_img("convert", "-f", "vmdk", "-O", "raw", child, tmp_path / "decoded.raw")
    expected = bytearray(raw.read_bytes())
    expected[12345 : 12345 + 20] = b"written in the child"
    expected[1 << 20 : 4 << 20] = bytes(3 << 20)
    assert (tmp_path / "decoded.raw").read_bytes() == expected == content_of(child)


def test_we_read_qemus_child(tmp_path, raw, qemu_img, qemu_io, content_of):
    base, child = _make(raw, tmp_path / "base.vmdk", "monolithicSparse"), tmp_path / "child.vmdk"
    qemu_img("create", "-f", "vmdk", "-b", base, "-F", "vmdk", child)
    qemu_io(child, "write -P 17 100000 1000")
    expected = bytearray(raw.read_bytes())
    expected[100000:101000] = b"\x11" * 1000
    assert content_of(child) == expected
