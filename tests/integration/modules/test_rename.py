# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_rename: another name, another folder, another file system."""

from __future__ import annotations

import fcntl
import os
import subprocess

import pytest

TYPES = [
    "monolithicSparse",
    "twoGbMaxExtentSparse",
    "monolithicFlat",
    "twoGbMaxExtentFlat",
    "vmfs",
    "streamOptimized",
]


@pytest.fixture
def other_file_system(tmp_path):
    folder = tmp_path / "other"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=100m", "other", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def digest(modules):
    return lambda path, **more: modules.vmdk_info(path=path, digest=True, **more)["disk"]["digest"]


@pytest.mark.parametrize("disk_type", TYPES)
def test_all_files_get_the_new_name(
    modules, make_disk, tmp_path, digest, content_by_qemu, disk_type
):
    old, new = make_disk("old.vmdk", disk_type), tmp_path / "new.vmdk"
    before = digest(old)
    names = {path.name.replace("old", "new") for path in tmp_path.iterdir()}
    assert modules.vmdk_rename(src=old, dest=new)["changed"]
    assert {path.name for path in tmp_path.iterdir()} == names
    assert digest(new) == content_by_qemu(new) == before
    assert not modules.vmdk_rename(src=old, dest=new)["changed"]


@pytest.mark.parametrize("disk_type", TYPES)
def test_moved_to_another_file_system(
    modules, make_disk, tmp_path, digest, content_by_qemu, other_file_system, disk_type
):
    old, new = make_disk("old.vmdk", disk_type), other_file_system / "new.vmdk"
    before = digest(old)
    assert modules.vmdk_rename(src=old, dest=new)["changed"]
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert digest(new) == content_by_qemu(new) == before
    assert not modules.vmdk_rename(src=old, dest=new)["changed"]


def test_full_file_system_leaves_the_disk_where_it_is(
    modules, disk, digest, small_file_system, tmp_path
):
    before = digest(disk)
    failed = modules.fail("vmdk_rename", src=disk, dest=small_file_system / "new.vmdk")
    assert failed["error"]["kind"] == "NoSpace"
    assert list(small_file_system.iterdir()) == []
    assert digest(disk) == before


def test_children_follow_and_a_child_keeps_its_parent(
    modules, disk, tmp_path, digest, content_by_qemu
):
    child = tmp_path / "web01-000001.vmdk"
    modules.vmdk_snapshot(path=disk)
    modules.vmdk_data(path=child, offset=99, content="own")
    before = digest(child)
    renamed = modules.vmdk_rename(src=disk, dest=tmp_path / "a-much-longer-name.vmdk")
    assert renamed["children"] == [str(child)]
    assert digest(child) == content_by_qemu(child) == before
    (tmp_path / "there").mkdir()
    moved = tmp_path / "there" / "child.vmdk"
    failed = modules.fail("vmdk_rename", src=child, dest=moved)
    assert failed["error"]["kind"] == "UnsafePath"
    modules.vmdk_rename(src=child, dest=moved, allow_outside=[str(tmp_path)])
    assert digest(moved, allow_outside=[str(tmp_path)]) == content_by_qemu(moved) == before
    modules.vmdk_rename(src=moved, dest=child, allow_outside=[str(tmp_path)])
    assert digest(child) == before


def test_nothing_is_overwritten(modules, make_disk, tmp_path, digest_of_tree):
    old = make_disk("old.vmdk", "monolithicFlat")
    make_disk("other.vmdk")
    (tmp_path / "new-flat.vmdk").write_text("mine")
    before = digest_of_tree(tmp_path)
    for name in ("other.vmdk", "new.vmdk"):
        failed = modules.fail("vmdk_rename", src=old, dest=tmp_path / name)
        assert failed["error"]["kind"] == "DiskExists"
    assert digest_of_tree(tmp_path) == before


def test_disk_in_use_stays(modules, make_disk, tmp_path, digest_of_tree):
    old = make_disk("old.vmdk", "monolithicFlat")
    before = digest_of_tree(tmp_path)
    fd = os.open(tmp_path / "old-flat.vmdk", os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_SH)
    failed = modules.fail("vmdk_rename", src=old, dest=tmp_path / "new.vmdk")
    os.close(fd)
    assert failed["error"]["kind"] == "DiskInUse"
    lock = tmp_path / "old.vmdk.lck"
    lock.mkdir()
    (lock / "M1234.lck").write_text("a virtual machine")
    failed = modules.fail("vmdk_rename", src=old, dest=tmp_path / "new.vmdk")
    assert failed["error"]["kind"] == "DiskInUse"
    (lock / "M1234.lck").unlink()
    lock.rmdir()
    assert digest_of_tree(tmp_path) == before


def test_neither_name_is_there(modules, tmp_path):
    failed = modules.fail("vmdk_rename", src=tmp_path / "a.vmdk", dest=tmp_path / "b.vmdk")
    assert failed["error"]["kind"] == "DiskNotFound"


def test_change_tracking_goes_along(modules, make_disk, tmp_path):
    old = make_disk("old.vmdk", "monolithicFlat")
    text = old.read_text().replace("version=1\n", 'version=3\nchangeTrackPath="old-ctk.vmdk"\n')
    old.write_text(text)
    (tmp_path / "old-ctk.vmdk").write_bytes(b"\xa2\x72\x19\xf6")
    modules.vmdk_rename(src=old, dest=tmp_path / "new.vmdk")
    assert (tmp_path / "new-ctk.vmdk").read_bytes() == b"\xa2\x72\x19\xf6"
    assert 'changeTrackPath="new-ctk.vmdk"' in (tmp_path / "new.vmdk").read_text()


def test_check_mode_predicts_and_touches_nothing(modules, disk, tmp_path, digest_of_tree):
    before = digest_of_tree(tmp_path)
    told = modules.vmdk_rename(src=disk, dest=tmp_path / "new.vmdk", check_mode=True)
    assert told["changed"]
    assert told["disk"]["path"] == str(tmp_path / "new.vmdk")
    assert digest_of_tree(tmp_path) == before
