# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of every type that qemu-img writes, read byte for byte by the engine."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.compare import compare
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.extent import Kind
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

SUBFORMATS = (
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "streamOptimized",
)
NAMES = ("one-sector", "short-last-grain", "odd-size", "zeros", "empty-tail", "split")
OPTIONS = (
    *(
        f"subformat={kind},adapter_type={adapter}"
        for kind in ("monolithicSparse", "streamOptimized")
        for adapter in ("ide", "buslogic", "legacyESX")
    ),
    "subformat=monolithicSparse,zeroed_grain=on",
    "subformat=twoGbMaxExtentSparse,zeroed_grain=on",
    "subformat=monolithicSparse,compat6=on",
    "subformat=monolithicSparse,hwversion=7",
)
CASES = [(f"subformat={kind}", name) for kind in SUBFORMATS for name in NAMES]
CASES += [(options, "odd-size") for options in OPTIONS]


@pytest.fixture(params=CASES, ids="-".join)
def case(request, samples, run, tmp_path):
    """(options, sample, the disk that qemu-img made of it)"""
    options, name = request.param
    sample, disk = samples(name), tmp_path / "disk.vmdk"
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", "-o", options, sample.path, disk)
    return options, sample, disk


def test_we_read_the_same_bytes(case):
    options, sample, path = case
    with open_disk(path) as disk, RawDevice.open(sample.path) as raw:
        assert disk.disk_type == options.split(",")[0].removeprefix("subformat=")
        assert disk.size == sample.size
        assert compare(disk, raw) is None
        assert disk.flags == []
        for offset, length in sample.windows():  # without what extents() promises
            assert read(disk, offset, length) == read(raw, offset, length)


def test_what_is_called_zero_is_zero(case):
    _options, sample, path = case
    with open_disk(path) as disk, RawDevice.open(sample.path) as raw:
        holes = [extent for extent in disk.extents() if extent.kind is Kind.ZERO]
        inside = [run for hole in holes for run in raw.extents(hole.offset, hole.length)]
        for run in inside:
            if run.kind is Kind.DATA:
                assert not any(read(raw, run.offset, run.length).strip(b"\0"))
        assert holes or sample.size <= 200 * 512


@pytest.mark.parametrize("subformat", SUBFORMATS)
def test_empty_disks(subformat, run, tmp_path):
    path = tmp_path / "disk.vmdk"
    run("qemu-img", "create", "-f", "vmdk", "-o", f"subformat={subformat}", path, "70M")
    with open_disk(path) as disk:
        assert not any(read(disk, 0, disk.size).strip(b"\0"))


def test_child_over_a_parent(samples, run, to_raw, tmp_path):
    sample = samples("odd-size")
    base, child = tmp_path / "base.vmdk", tmp_path / "child.vmdk"
    run("qemu-img", "convert", "-f", "raw", "-O", "vmdk", sample.path, base)
    run("qemu-img", "create", "-f", "vmdk", "-b", base, "-F", "vmdk", child)
    for command in ("write -P 0x22 33M 70k", "write -z 1M 192k", "write -P 0x33 0 512"):
        run("qemu-io", "-f", "vmdk", "-c", command, child)
    found = to_raw(child, tmp_path / "found.raw")
    with open_disk(child) as disk, RawDevice.open(found) as raw:
        assert compare(disk, raw) is None
        assert read(disk, 33 << 20, 70 << 10) == b"\x22" * (70 << 10)
