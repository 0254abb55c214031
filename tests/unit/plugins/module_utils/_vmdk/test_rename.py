# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Renaming and moving: which files get which names, and what is refused."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DigestMismatch,
    DiskExists,
    DiskInUse,
    DiskNotFound,
    InvalidRequest,
    UnsafePath,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life import relocate
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.rename import rename_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import create_child

SIZE = 10 * (64 << 10)
TYPES = [
    "monolithicSparse",
    "twoGbMaxExtentSparse",
    "monolithicFlat",
    "twoGbMaxExtentFlat",
    "vmfs",
    "streamOptimized",
]


def _no_links(*_paths):
    raise PermissionError("this file system has no links")


@pytest.fixture
def elsewhere(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    return tmp_path / "elsewhere"


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
@pytest.mark.parametrize("disk_type", TYPES)
def test_content_ids_and_data_base_stay(
    make_disk, elsewhere, content_of, monkeypatch, small_split, disk_type, links
):
    if not links:
        monkeypatch.setattr(os, "link", _no_links)
    old = make_disk("old.vmdk", disk_type, SIZE, {0: b"\x11" * (3 << 16)})
    content = content_of(old)
    with open_disk(old) as disk:
        cid, metadata = disk.descriptor.cid, disk.descriptor.metadata()
    new = elsewhere / "new.vmdk"
    assert rename_disk(old, new)
    assert content_of(new) == content
    with open_disk(new) as disk:
        assert (disk.descriptor.cid, disk.descriptor.metadata()) == (cid, metadata)
        assert all(line.name.startswith("new") for line in disk.descriptor.extents)
        assert disk.flags == []
    assert os.listdir(old.parent) == ["elsewhere"]
    assert not rename_disk(old, new)


def test_modes_stay(make_disk, elsewhere, monkeypatch):
    monkeypatch.setattr(os, "link", _no_links)
    old = make_disk("old.vmdk", "monolithicFlat", SIZE)
    old.chmod(0o640)
    old.with_name("old-flat.vmdk").chmod(0o600)
    rename_disk(old, elsewhere / "new.vmdk")
    modes = [path.stat().st_mode & 0o777 for path in sorted(elsewhere.iterdir())]
    assert modes == [0o600, 0o640]


def test_holes_stay(make_disk, elsewhere, monkeypatch):
    monkeypatch.setattr(os, "link", _no_links)
    old = make_disk("old.vmdk", "monolithicFlat", 64 << 20, {0: b"x"})
    rename_disk(old, elsewhere / "new.vmdk")
    assert (elsewhere / "new-flat.vmdk").stat().st_blocks * 512 < 1 << 20


def test_extent_with_a_name_of_its_own_keeps_it(make_disk, content_of, tmp_path):
    old = make_disk("old.vmdk", "monolithicFlat", SIZE, {0: b"data"})
    old.with_name("old-flat.vmdk").rename(tmp_path / "data.bin")
    old.write_text(old.read_text().replace("old-flat.vmdk", "data.bin"))
    rename_disk(old, tmp_path / "new.vmdk")
    assert content_of(tmp_path / "new.vmdk")[:4] == b"data"
    assert (tmp_path / "data.bin").exists()


def test_copy_that_differs_from_its_original_is_not_taken(
    make_disk, elsewhere, content_of, monkeypatch
):
    monkeypatch.setattr(os, "link", _no_links)
    copy = relocate.copy

    def copy_badly(source, target, **options):
        transfer = copy(source, target, **options)
        target.write(12345, b"?")
        return transfer

    monkeypatch.setattr(relocate, "copy", copy_badly)
    old = make_disk("old.vmdk", "monolithicFlat", SIZE, {0: b"\x11" * SIZE})
    with pytest.raises(DigestMismatch, match="at byte 12345"):
        rename_disk(old, elsewhere / "new.vmdk")
    assert list(elsewhere.iterdir()) == []
    assert content_of(old) == b"\x11" * SIZE


def test_other_disk_at_the_new_place_is_no_work_of_ours(make_disk, elsewhere, content_of):
    other = make_disk("other.vmdk", "vmfs", SIZE, {0: b"other"})
    rename_disk(other, elsewhere / "new.vmdk")
    old = make_disk("old.vmdk", "vmfs", SIZE)
    with pytest.raises(DiskExists):
        rename_disk(old, elsewhere / "new.vmdk")
    assert content_of(elsewhere / "new.vmdk")[:5] == b"other"


def test_open_disk_is_not_renamed(make_disk, tmp_path):
    old = make_disk("old.vmdk", "monolithicSparse", SIZE)
    with open_disk(old), pytest.raises(DiskInUse):
        rename_disk(old, tmp_path / "new.vmdk")


def test_parent_of_an_open_child_is_not_renamed(make_disk, tmp_path):
    old = make_disk("old.vmdk", "monolithicSparse", SIZE)
    create_child(old, tmp_path / "child.vmdk")
    with open_disk(tmp_path / "child.vmdk"), pytest.raises(DiskInUse):
        rename_disk(old, tmp_path / "new.vmdk")


def test_parent_moves_away_only_where_its_children_may_follow(make_disk, elsewhere, content_of):
    old = make_disk("old.vmdk", "monolithicSparse", SIZE, {0: b"data"})
    child = old.with_name("child.vmdk")
    create_child(old, child)
    with pytest.raises(UnsafePath):
        rename_disk(old, elsewhere.parent.parent / "new.vmdk")
    rename_disk(old, elsewhere / "new.vmdk")  # below the child's folder
    assert content_of(child)[:4] == b"data"


@pytest.mark.parametrize(
    "old, new, error",
    [
        ("missing.vmdk", "new.vmdk", DiskNotFound),
        ("old.vmdk", "no-folder/new.vmdk", DiskNotFound),
        ("old.vmdk", "new.img", InvalidRequest),
        ("link.vmdk", "new.vmdk", InvalidRequest),
    ],
)
def test_impossible_names(make_disk, tmp_path, old, new, error):
    path = make_disk("old.vmdk", "monolithicSparse", SIZE)
    (tmp_path / "link.vmdk").symlink_to(path)
    with pytest.raises(error):
        rename_disk(tmp_path / old, tmp_path / new)
    assert sorted(os.listdir(tmp_path)) == ["link.vmdk", "old.vmdk"]
