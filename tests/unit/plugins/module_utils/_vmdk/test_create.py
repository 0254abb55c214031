# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Making disks: layout, refusals, and nothing left behind."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.copy import copy
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskExists,
    DiskInUse,
    DiskNotFound,
    InvalidRequest,
    NoSpace,
    NotADisk,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.types import (
    CREATABLE_TYPES,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    MAGIC,
    SparseHeader,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import (
    DiskSpec,
    Parent,
    extent_lines,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life import building
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import (
    create_disk,
    new_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child

MIB, GIB, TIB = 1 << 20, 1 << 30, 1 << 40


def _lines(disk_type, size):
    return [str(line) for line in extent_lines("/vm/x.vmdk", DiskSpec(size, disk_type))]


@pytest.mark.parametrize(
    "disk_type, size, lines",
    [
        ("monolithicSparse", MIB, ['RW 2048 SPARSE "x.vmdk"']),
        ("streamOptimized", MIB, ['RW 2048 SPARSE "x.vmdk"']),
        ("monolithicFlat", MIB, ['RW 2048 FLAT "x-flat.vmdk" 0']),
        ("vmfs", MIB, ['RW 2048 VMFS "x-flat.vmdk"']),
        (
            "twoGbMaxExtentSparse",
            4 * GIB,
            [
                'RW 4192256 SPARSE "x-s001.vmdk"',
                'RW 4192256 SPARSE "x-s002.vmdk"',
                'RW 4096 SPARSE "x-s003.vmdk"',
            ],
        ),
        ("twoGbMaxExtentFlat", 2047 * MIB, ['RW 4192256 FLAT "x-f001.vmdk" 0']),
    ],
)
def test_extents_are_named_and_cut_as_vmware_does(disk_type, size, lines):
    assert _lines(disk_type, size) == lines


def test_split_disk_with_more_than_999_extents():
    assert _lines("twoGbMaxExtentSparse", 3 * TIB)[999].endswith('"x-s1000.vmdk"')


def test_sparse_layout_is_vmwares(make_disk):
    """The corpus' monolithicSparse.vmdk of the same size, made by VMware, has these numbers."""
    path = make_disk("disk.vmdk", "monolithicSparse", 10 * MIB)
    assert SparseHeader.parse(path.read_bytes(), "") == SparseHeader(
        capacity=20480,
        descriptor_offset=1,
        descriptor_size=20,
        rgd_offset=21,
        gd_offset=26,
        overhead=128,
    )


@pytest.mark.parametrize("disk_type", CREATABLE_TYPES)
def test_new_disk_is_all_zeros(make_disk, content_of, disk_type):
    assert content_of(make_disk("disk.vmdk", disk_type, MIB)) == bytes(MIB)


@pytest.mark.parametrize("disk_type", CREATABLE_TYPES)
def test_smallest_disk(make_disk, content_of, disk_type):
    assert content_of(make_disk("disk.vmdk", disk_type, 512)) == bytes(512)


def test_empty_disk_takes_hardly_any_space(tmp_path):
    create_disk(tmp_path / "disk.vmdk", DiskSpec(1 * TIB, "monolithicSparse"))
    assert (tmp_path / "disk.vmdk").stat().st_blocks * 512 < MIB


def test_preallocated_flat_disk_takes_its_space(tmp_path):
    create_disk(tmp_path / "disk.vmdk", DiskSpec(MIB, "monolithicFlat", preallocate=True))
    assert (tmp_path / "disk-flat.vmdk").stat().st_blocks * 512 >= MIB


def test_preallocating_too_much_is_refused_and_leaves_nothing(tmp_path):
    with pytest.raises(NoSpace, match="bytes free"):
        create_disk(tmp_path / "d.vmdk", DiskSpec(1 << 55, "monolithicFlat", preallocate=True))
    assert os.listdir(tmp_path) == []


def test_long_metadata_gets_a_longer_embedded_descriptor(make_disk):
    metadata = {f"key{number}": "x" * 100 for number in range(200)}
    path = make_disk("disk.vmdk", "monolithicSparse", MIB, {0: b"data"}, metadata=metadata)
    with open_disk(path) as disk:
        assert disk.descriptor.metadata()["key199"] == "x" * 100
        assert read(disk, 0, 4) == b"data"


@pytest.mark.parametrize(
    "spec, message",
    [
        (DiskSpec(0, "vmfs"), "size"),
        (DiskSpec(513, "vmfs"), "multiple of 512"),
        (DiskSpec(MIB, "sparse"), "monolithicSparse, "),
        (DiskSpec(MIB, "vmfs", adapter_type="pvscsi"), "ide, buslogic, lsilogic, legacyESX"),
        (DiskSpec(MIB, "vmfs", parent=Parent(1, "x")), "child"),
    ],
)
def test_impossible_request(tmp_path, spec, message):
    with pytest.raises(InvalidRequest, match=message):
        create_disk(tmp_path / "disk.vmdk", spec)
    assert os.listdir(tmp_path) == []


def test_sparse_file_beyond_its_addresses_is_refused(tmp_path):
    with pytest.raises(UnsupportedDisk, match="twoGbMaxExtentSparse"):
        create_disk(tmp_path / "disk.vmdk", DiskSpec(2 * TIB, "monolithicSparse"))


def test_disk_that_is_there_is_kept(make_disk, content_of):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB, {0: b"old"})
    with pytest.raises(DiskExists, match="force"):
        create_disk(path, DiskSpec(MIB, "vmfs"))
    assert content_of(path)[:3] == b"old"


def test_file_in_the_way_of_an_extent_is_kept(tmp_path):
    (tmp_path / "disk-flat.vmdk").write_text("precious")
    with pytest.raises(DiskExists, match="disk-flat"):
        create_disk(tmp_path / "disk.vmdk", DiskSpec(MIB, "vmfs"), replace=True)
    assert (tmp_path / "disk-flat.vmdk").read_text() == "precious"


def test_missing_folder(tmp_path):
    with pytest.raises(DiskNotFound, match="folder"):
        create_disk(tmp_path / "none" / "disk.vmdk", DiskSpec(MIB, "vmfs"))


def test_folder_in_the_way(tmp_path):
    with pytest.raises(NotADisk):
        create_disk(tmp_path, DiskSpec(MIB, "vmfs"), replace=True)


def _fail(path, spec, **options):
    with pytest.raises(ZeroDivisionError), new_disk(path, spec, **options) as disk:
        disk.write(0, b"x" * 65536)
        raise ZeroDivisionError


@pytest.mark.parametrize("disk_type", CREATABLE_TYPES)
def test_error_while_filling_leaves_nothing(tmp_path, disk_type):
    _fail(tmp_path / "disk.vmdk", DiskSpec(MIB, disk_type))
    assert os.listdir(tmp_path) == []


def test_error_while_replacing_keeps_the_old_disk(make_disk, tmp_path, content_of):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB, {0: b"old"})
    before = sorted(os.listdir(tmp_path))
    _fail(path, DiskSpec(MIB, "vmfs"), replace=True)
    assert sorted(os.listdir(tmp_path)) == before
    assert content_of(path)[:3] == b"old"


def test_unfinished_disk_is_invisible(tmp_path):
    with new_disk(tmp_path / "disk.vmdk", DiskSpec(MIB, "monolithicSparse")):
        assert not (tmp_path / "disk.vmdk").exists()
        (temporary,) = tmp_path.iterdir()
        assert temporary.read_bytes()[:4] == b"vmdk"
    assert (tmp_path / "disk.vmdk").read_bytes()[:4] == MAGIC


def test_replacing_leaves_no_extent_of_the_old_disk(make_disk, tmp_path):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB)
    create_disk(path, DiskSpec(MIB, "monolithicSparse"), replace=True)
    assert os.listdir(tmp_path) == ["disk.vmdk"]


def test_file_that_is_no_disk_can_be_replaced(tmp_path, content_of):
    (tmp_path / "disk.vmdk").write_bytes(b"raw" * 1000)
    create_disk(tmp_path / "disk.vmdk", DiskSpec(MIB, "vmfs"), replace=True)
    assert content_of(tmp_path / "disk.vmdk") == bytes(MIB)


def test_disk_in_use_is_not_replaced(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    with open_disk(path), pytest.raises(DiskInUse):
        create_disk(path, DiskSpec(MIB, "vmfs"), replace=True)


def test_parent_is_not_replaced(make_disk, tmp_path):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    create_child(path, tmp_path / "child.vmdk")
    with pytest.raises(InvalidRequest, match=r"child\.vmdk"):
        create_disk(path, DiskSpec(MIB, "vmfs"), replace=True)


def test_converting_in_place(make_disk, tmp_path, content_of):
    path = make_disk("disk.vmdk", "streamOptimized", MIB, {65536: b"\x11" * 65536})
    before = content_of(path)
    with (
        open_disk(path) as old,
        new_disk(path, DiskSpec(MIB, "twoGbMaxExtentSparse"), replace=True, held=old) as new,
    ):
        copy(old, new, target_is_zero=True)
    assert content_of(path) == before
    assert sorted(os.listdir(tmp_path)) == ["disk-s001.vmdk", "disk.vmdk"]


def test_converting_in_place_refuses_while_another_reads(make_disk):
    path = make_disk("disk.vmdk", "streamOptimized", MIB)
    with (
        open_disk(path),
        open_disk(path) as old,
        pytest.raises(DiskInUse),
        new_disk(path, DiskSpec(MIB, "vmfs"), replace=True, held=old),
    ):
        pytest.fail("it was begun")


def test_what_a_killed_job_left_is_replaced(tmp_path, content_of):
    (tmp_path / "disk.vmdk.vdisk-tmp").write_bytes(b"junk" * 10_000)
    create_disk(tmp_path / "disk.vmdk", DiskSpec(MIB, "monolithicSparse"))
    assert content_of(tmp_path / "disk.vmdk") == bytes(MIB)
    assert os.listdir(tmp_path) == ["disk.vmdk"]


def test_two_jobs_do_not_make_the_same_disk(tmp_path, content_of):
    path = tmp_path / "disk.vmdk"
    with new_disk(path, DiskSpec(MIB, "monolithicSparse")) as disk:
        with pytest.raises(DiskInUse):
            create_disk(path, DiskSpec(MIB, "monolithicSparse"))
        disk.write(0, b"first")
    assert content_of(path)[:5] == b"first"


def test_full_file_system_leaves_nothing(tmp_path, monkeypatch):
    def full(fd, offset, length):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(building.os, "posix_fallocate", full)
    with pytest.raises(NoSpace):
        create_disk(tmp_path / "d.vmdk", DiskSpec(MIB, "twoGbMaxExtentFlat", preallocate=True))
    assert os.listdir(tmp_path) == []
