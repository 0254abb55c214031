# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks that no single sparse file can hold: split as VMware splits them."""

from __future__ import annotations

import resource

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child

MIB, TIB = 1 << 20, 1 << 40
SPLIT = 2047 * MIB
SIZE = 2 * TIB + 5 * SPLIT + 77 * 512
PLACES = {
    0: b"\x11" * 65536,
    SPLIT - 4096: b"\x22" * 8192,
    2 * TIB - 65536: b"\x33" * (2 * 65536),
    SIZE - 1024: b"\x44" * 1024,
}


@pytest.fixture
def enough_files():
    """For qemu, which opens all 1,030 at once."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        pytest.skip("qemu may not open so many files")
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("kind", ["twoGbMaxExtentSparse", "twoGbMaxExtentFlat"])
def test_qemu_reads_it_alike(kind, tmp_path, run, enough_files):
    path = tmp_path / "disk.vmdk"
    with new_disk(path, DiskSpec(SIZE, kind)) as disk:
        for offset, data in PLACES.items():
            disk.write(offset, data)
    with open_disk(path) as disk:
        assert disk.size == SIZE
        assert {line.sectors for line, _path in disk.links[0].extents[:-1]} == {SPLIT // 512}
        for offset, data in PLACES.items():
            assert read(disk, offset, len(data)) == data
        held = sum(run.length for run in disk.extents() if run.kind is Kind.DATA)
        assert held <= 16 * 65536
    reads = [f"read -P {data[0]} {offset} {len(data)}" for offset, data in PLACES.items()]
    reads.append(f"read -P 0 {TIB} {MIB}")
    words = [word for command in reads for word in ("-c", command)]
    told = run("qemu-io", "-r", "-f", "vmdk", *words, path).stdout
    assert "verification failed" not in told
    assert told.count("bytes at offset") == len(reads)


def test_child_of_it(tmp_path):
    base, child = tmp_path / "base.vmdk", tmp_path / "child.vmdk"
    with new_disk(base, DiskSpec(SIZE, "twoGbMaxExtentSparse")) as disk:
        disk.write(2 * TIB - 65536, PLACES[2 * TIB - 65536])
    create_child(base, child, "twoGbMaxExtentSparse")
    with open_disk(child, writable=True) as disk:
        disk.write(2 * TIB - 5, b"ten bytes.")
        around = read(disk, 2 * TIB - 65536, 2 * 65536)
    expected = bytearray(PLACES[2 * TIB - 65536])
    expected[65536 - 5 : 65536 + 5] = b"ten bytes."
    assert around == expected
