# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks of every type that the engine writes, read byte for byte by others."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.compare import compare
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    ADAPTER_TYPES,
    CREATABLE_TYPES,
    SPLIT_SPARSE,
    STREAM_OPTIMIZED,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

NAMES = ("one-sector", "short-last-grain", "odd-size", "zeros", "empty-tail", "split")


def write(sample, path, disk_type, **options):
    level = options.pop("compression_level", None)
    spec = DiskSpec(sample.size, disk_type, **options)
    with (
        RawDevice.open(sample.path) as source,
        new_disk(path, spec, compression_level=level) as target,
    ):
        copy(source, target, target_is_zero=True)
    return path


CASES = [(disk_type, name) for disk_type in CREATABLE_TYPES for name in NAMES]


@pytest.fixture(params=CASES, ids="-".join)
def case(request, samples):
    disk_type, name = request.param
    return disk_type, samples(name)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A function: the disk of a type with a sample in it, made once."""
    made = {}

    def disk(disk_type, sample):
        key = disk_type, sample.name
        if key not in made:
            folder = tmp_path_factory.mktemp("written")
            made[key] = write(sample, folder / "disk.vmdk", disk_type)
        return made[key]

    return disk


def test_qemu_converts_it_to_the_same_bytes(case, written, to_raw, tmp_path, assert_same_file):
    disk_type, sample = case
    found = to_raw(written(disk_type, sample), tmp_path / "found.raw")
    assert_same_file(found, sample.path)


def test_qemu_finds_no_error_in_it(case, written, run):
    run("qemu-img", "check", "-f", "vmdk", written(*case))


def test_qemu_sees_type_and_size(case, written, run):
    disk_type, sample = case
    told = run("qemu-img", "info", "--output=json", written(disk_type, sample)).stdout
    facts = json.loads(told)
    assert facts["virtual-size"] == sample.size
    assert facts["format-specific"]["data"]["create-type"] == disk_type


@pytest.mark.parametrize(
    "case",
    # Sending 4 GiB through a pipe once is enough.
    [(kind, name) for kind, name in CASES if name != "split" or kind == SPLIT_SPARSE],
    indirect=True,
    ids="-".join,
)
def test_7zip_extracts_the_same_bytes(case, written, seven_zip):
    disk_type, sample = case
    with sample.path.open("rb") as expected:
        for chunk in seven_zip(written(disk_type, sample)):
            assert chunk == expected.read(len(chunk))
        assert expected.read(1) == b""


def test_libvmdk_reads_the_same_bytes(case, written, libvmdk):
    disk_type, sample = case
    size, read = libvmdk(written(disk_type, sample))
    assert size == sample.size
    with sample.path.open("rb") as expected:
        for offset, length in sample.windows():
            expected.seek(offset)
            assert read(offset, length) == expected.read(length)


def test_we_read_it_back(case, written):
    disk_type, sample = case
    with open_disk(written(disk_type, sample)) as disk, RawDevice.open(sample.path) as raw:
        assert compare(disk, raw) is None
        assert disk.flags == []


@pytest.mark.parametrize("adapter", ADAPTER_TYPES)
def test_adapter_types_reach_qemu(adapter, samples, tmp_path, to_raw, assert_same_file):
    sample = samples("odd-size")
    disk = write(sample, tmp_path / "disk.vmdk", "monolithicSparse", adapter_type=adapter)
    assert f'ddb.adapterType = "{adapter}"'.encode() in disk.read_bytes()
    assert_same_file(to_raw(disk, tmp_path / "found.raw"), sample.path)


@pytest.mark.parametrize("level", range(10))
def test_every_compression_level_is_read(level, samples, tmp_path, to_raw, assert_same_file):
    sample = samples("odd-size")
    disk = write(sample, tmp_path / "disk.vmdk", STREAM_OPTIMIZED, compression_level=level)
    assert_same_file(to_raw(disk, tmp_path / "found.raw"), sample.path)
