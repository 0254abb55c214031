# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Growing, removing and branching disks."""

from __future__ import annotations

import json
import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    CorruptDisk,
    DiskExists,
    DiskInUse,
    DiskNotFound,
    InvalidRequest,
    NotADisk,
    UnsafePath,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.grow import grow_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.remove import (
    check_removal,
    remove_disk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.info import lookup
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child

MIB = 1 << 20
IN_PLACE = [
    "monolithicSparse",
    "twoGbMaxExtentSparse",
    "monolithicFlat",
    "twoGbMaxExtentFlat",
    "vmfs",
]


# Grow


@pytest.mark.parametrize("disk_type", IN_PLACE)
def test_what_is_new_reads_as_zeros(make_disk, content_of, disk_type):
    path = make_disk("disk.vmdk", disk_type, MIB + 512, {MIB: b"last"})
    assert grow_disk(path, 40 * MIB)
    assert content_of(path) == bytes(MIB) + b"last" + bytes(39 * MIB - 4)


@pytest.mark.parametrize("disk_type", IN_PLACE)
def test_what_is_new_can_be_written(make_disk, disk_type):
    path = make_disk("disk.vmdk", disk_type, MIB)
    grow_disk(path, 70 * MIB)
    with open_disk(path, writable=True) as disk:
        disk.write(69 * MIB, b"far")
    with open_disk(path) as disk:
        assert read(disk, 69 * MIB, 3) == b"far"
        assert disk.flags == []


def test_split_disk_fills_its_last_extent_then_adds_more(make_disk, small_split, tmp_path):
    split = small_split * 512
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", split + 1024)
    grow_disk(path, 3 * split + 512)
    with open_disk(path) as disk:
        sizes = [line.sectors for line in disk.descriptor.extents]
    assert sizes == [small_split, small_split, small_split, 1]
    assert (tmp_path / "disk-s004.vmdk").exists()


def test_geometry_follows(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    grow_disk(path, 64 * MIB)
    with open_disk(path) as disk:
        assert lookup(disk, "geometry.cylinders") == "64"


def test_same_size_is_no_change(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    before = path.read_bytes()
    assert not grow_disk(path, MIB)
    assert path.read_bytes() == before


def test_growing_keeps_the_content_id(make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    with open_disk(path) as disk:
        before = disk.descriptor.cid
    grow_disk(path, 2 * MIB)
    with open_disk(path) as disk:
        assert disk.descriptor.cid == before


def test_smaller_size_is_refused_with_both_sizes(make_disk):
    path = make_disk("disk.vmdk", "vmfs", 2 * MIB)
    with pytest.raises(InvalidRequest, match="1048576 bytes, expected at least its 2097152 bytes"):
        grow_disk(path, MIB)


def test_stream_does_not_grow(make_disk):
    with pytest.raises(UnsupportedDisk, match="vmdk_convert"):
        grow_disk(make_disk("disk.vmdk", "streamOptimized", MIB), 2 * MIB)


def test_child_does_not_grow(make_disk, tmp_path):
    create_child(make_disk("base.vmdk", "vmfs", MIB), tmp_path / "child.vmdk")
    with pytest.raises(InvalidRequest, match="vmdk_clone"):
        grow_disk(tmp_path / "child.vmdk", 2 * MIB)


def test_parent_does_not_grow(make_disk, tmp_path):
    base = make_disk("base.vmdk", "vmfs", MIB)
    create_child(base, tmp_path / "child.vmdk")
    with pytest.raises(InvalidRequest, match=r"child\.vmdk"):
        grow_disk(base, 2 * MIB)


def test_sparse_file_does_not_grow_beyond_its_addresses(make_disk):
    with pytest.raises(UnsupportedDisk, match="twoGbMaxExtentSparse"):
        grow_disk(make_disk("disk.vmdk", "monolithicSparse", MIB), 3 << 40)


def test_disk_in_use_does_not_grow(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    with open_disk(path), pytest.raises(DiskInUse):
        grow_disk(path, 2 * MIB)


def test_file_in_the_way_of_a_new_extent_is_kept(make_disk, small_split, tmp_path, content_of):
    path = make_disk("disk.vmdk", "twoGbMaxExtentFlat", MIB // 8, {0: b"data"})
    (tmp_path / "disk-f002.vmdk").write_text("precious")
    with pytest.raises(DiskExists, match="disk-f002"):
        grow_disk(path, MIB)
    assert (tmp_path / "disk-f002.vmdk").read_text() == "precious"
    assert content_of(path) == b"data" + bytes(MIB // 8 - 4)


def test_bytes_behind_a_flat_extent_never_show(make_disk, tmp_path, content_of):
    path = make_disk("disk.vmdk", "monolithicFlat", MIB)
    with (tmp_path / "disk-flat.vmdk").open("ab") as stream:
        stream.write(b"secret" * 100)
    grow_disk(path, 2 * MIB)
    assert content_of(path) == bytes(2 * MIB)


def test_bytes_behind_a_short_last_grain_never_show(make_disk, content_of):
    path = make_disk("disk.vmdk", "monolithicSparse", 200 * 512, {0: b"\x11" * 200 * 512})
    with path.open("r+b") as stream:
        stream.seek(-56 * 512, os.SEEK_END)  # 200 sectors are a grain of 128 and one of 72
        stream.write(b"secret" * 100)
    grow_disk(path, MIB)
    assert content_of(path) == b"\x11" * 200 * 512 + bytes(MIB - 200 * 512)


def test_short_last_grain_at_the_end_of_the_file_is_completed(make_disk, content_of):
    path = make_disk("disk.vmdk", "monolithicSparse", 200 * 512, {0: b"\x11" * 200 * 512})
    os.truncate(path, path.stat().st_size - 56 * 512)
    grow_disk(path, MIB)
    assert content_of(path) == b"\x11" * 200 * 512 + bytes(MIB - 200 * 512)


def test_damaged_disk_does_not_grow(make_disk):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    with path.open("r+b") as stream:
        stream.seek(72)
        stream.write(b"\x01")
    with pytest.raises(CorruptDisk, match="not closed"):
        grow_disk(path, 2 * MIB)


def test_full_embedded_descriptor_moves(make_disk):
    """One byte is left in its place, and the size gets longer by two digits."""
    first = make_disk("one.vmdk", "monolithicSparse", MIB)
    with open_disk(first) as disk:
        spare = 20 * 512 - 1 - len(disk.descriptor.to_bytes()) - len('ddb.fill = ""\n')
    path = make_disk(
        "two.vmdk", "monolithicSparse", MIB, {0: b"data"}, metadata={"fill": "x" * spare}
    )
    grow_disk(path, 200 * MIB)
    with open_disk(path) as disk:
        assert disk.links[0].store.header.descriptor_offset > 1
        assert disk.descriptor.get("ddb.fill") == "x" * spare
        assert (disk.size, read(disk, 0, 4)) == (200 * MIB, b"data")


# Remove


@pytest.mark.parametrize("disk_type", [*IN_PLACE, "streamOptimized"])
def test_remove_leaves_nothing(make_disk, small_split, tmp_path, disk_type):
    path = make_disk("disk.vmdk", disk_type, MIB)
    (tmp_path / "other.vmdk").write_text("other")
    remove_disk(path)
    assert os.listdir(tmp_path) == ["other.vmdk"]


def test_check_tells_what_is_removed(make_disk, small_split, tmp_path):
    path = make_disk("disk.vmdk", "twoGbMaxExtentFlat", MIB)
    assert sorted(check_removal(path)) == sorted(map(str, tmp_path.iterdir()))


def test_remove_of_a_child_keeps_the_parent(make_disk, tmp_path, content_of):
    base = make_disk("base.vmdk", "vmfs", MIB, {0: b"base"})
    create_child(base, tmp_path / "child.vmdk")
    remove_disk(tmp_path / "child.vmdk")
    assert content_of(base)[:4] == b"base"


def test_parent_is_not_removed(make_disk, tmp_path):
    base = make_disk("base.vmdk", "vmfs", MIB)
    create_child(base, tmp_path / "child.vmdk")
    with pytest.raises(InvalidRequest, match=r"child\.vmdk"):
        remove_disk(base)


def test_parent_is_removed_by_force(make_disk, tmp_path):
    base = make_disk("base.vmdk", "vmfs", MIB)
    create_child(base, tmp_path / "child.vmdk")
    remove_disk(base, force=True)
    assert os.listdir(tmp_path) == ["child.vmdk"]


def test_disk_in_use_is_not_removed(make_disk):
    path = make_disk("disk.vmdk", "vmfs", MIB)
    with open_disk(path), pytest.raises(DiskInUse):
        remove_disk(path)


def test_damaged_disk_is_removed(make_disk, tmp_path):
    path = make_disk("disk.vmdk", "twoGbMaxExtentSparse", MIB)
    os.truncate(tmp_path / "disk-s001.vmdk", 10)
    remove_disk(path)
    assert os.listdir(tmp_path) == []


def test_file_outside_the_folder_is_not_removed(make_disk, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "precious").write_bytes(bytes(512))
    disk = folder / "disk.vmdk"
    disk.write_text(
        'version=1\nCID=1\nparentCID=ffffffff\ncreateType="vmfs"\nRW 1 VMFS "../precious"\n'
    )
    with pytest.raises(UnsafePath):
        remove_disk(disk)
    assert (tmp_path / "precious").exists()
    assert disk.exists()


def test_file_that_is_no_disk_is_not_removed(tmp_path):
    (tmp_path / "file").write_text("precious")
    with pytest.raises(NotADisk):
        remove_disk(tmp_path / "file")
    assert (tmp_path / "file").exists()


def test_missing_disk(tmp_path):
    with pytest.raises(DiskNotFound):
        remove_disk(tmp_path / "none.vmdk")


# Children


def test_child_names_its_parent(make_disk, tmp_path):
    base = make_disk("base.vmdk", "vmfs", MIB, adapter_type="ide")
    create_child(base, tmp_path / "child.vmdk")
    with open_disk(base) as parent, open_disk(tmp_path / "child.vmdk") as child:
        assert child.descriptor.parent_cid == parent.descriptor.cid
        assert child.descriptor.parent_hint == "base.vmdk"
        assert child.descriptor.get("ddb.adapterType") == "ide"


def test_writing_a_child_keeps_the_parent(make_disk, tmp_path, content_of):
    base = make_disk("base.vmdk", "vmfs", MIB, {0: b"base"})
    create_child(base, tmp_path / "child.vmdk")
    with open_disk(tmp_path / "child.vmdk", writable=True) as disk:
        disk.write(0, b"child")
    assert content_of(base)[:5] == b"base\0"
    assert content_of(tmp_path / "child.vmdk")[:5] == b"child"


def test_child_in_another_folder_needs_leave(make_disk, tmp_path, content_of):
    base = make_disk("base.vmdk", "vmfs", MIB, {0: b"base"})
    (tmp_path / "folder").mkdir()
    child = tmp_path / "folder" / "child.vmdk"
    with pytest.raises(UnsafePath):
        create_child(base, child)
    create_child(base, child, allow_outside=[str(tmp_path)])
    assert content_of(child, allow_outside=[str(tmp_path)])[:4] == b"base"


def test_flat_child_is_refused(make_disk, tmp_path):
    with pytest.raises(InvalidRequest, match="child"):
        create_child(make_disk("base.vmdk", "vmfs", MIB), tmp_path / "child.vmdk", "vmfs")


# Journals


def test_damaged_journal_is_told(make_disk):
    path = make_disk("disk.vmdk", "vmfs", MIB)
    path.with_name("disk.vmdk.vdisk-journal").write_text("{")
    with pytest.raises(CorruptDisk, match="journal"):
        open_disk(path)


def test_journal_never_leaves_the_folder(make_disk, tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "precious").write_text("precious")
    plan = {"finished": [], "removed": ["../precious"]}
    (folder / "disk.vmdk.vdisk-journal").write_text(json.dumps(plan))
    with pytest.raises(UnsafePath):
        open_disk(folder / "disk.vmdk")
    assert (tmp_path / "precious").exists()
