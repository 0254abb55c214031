# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Redo logs: what is kept, what is refused. Numbers of faults: section 3 of vmdk-format.md."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.compare import digest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    ChainMismatch,
    CorruptDisk,
    DiskInUse,
    InvalidRequest,
    MissingLink,
    NoSpace,
    ReadOnlyDisk,
    UnsafePath,
    UnsupportedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening import journal
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.family import (
    children_of,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.commit import commit_child
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.rebase import (
    attach_child,
    rebase_child,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.redo.redo import (
    create_child,
    redo_log_of,
    revert_child,
)

GRAIN = 64 << 10
SIZE = 10 * GRAIN


@pytest.fixture
def base(make_disk):
    return make_disk("base.vmdk", "monolithicSparse", SIZE, {0: b"\x11" * SIZE})


@pytest.fixture
def child(base, tmp_path):
    create_child(base, tmp_path / "child.vmdk")
    return tmp_path / "child.vmdk"


def _write(path, offset, data):
    with open_disk(path, writable=True) as disk:
        disk.write(offset, data)


def _descriptor(path):
    with open_disk(path, single_link=True) as disk:
        return disk.descriptor


def _tree(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Commit


def test_1_commit_into_a_later_extent_moves_the_right_bytes(
    make_disk, tmp_path, small_split, content_of
):
    split = small_split * 512
    model = bytearray(b"\x11" * split + b"\x22" * split + b"\x33" * split)
    base = make_disk("base.vmdk", "twoGbMaxExtentSparse", 3 * split, {0: bytes(model)})
    create_child(base, tmp_path / "child.vmdk", "twoGbMaxExtentSparse")
    _write(tmp_path / "child.vmdk", split + 4096, b"new")
    commit_child(tmp_path / "child.vmdk")
    model[split + 4096 : split + 4099] = b"new"
    assert content_of(base) == model


def test_3_parent_takes_the_childs_content_id_and_the_grandchild_still_fits(
    base, child, tmp_path, content_of
):
    _write(child, 5, b"child")
    create_child(child, tmp_path / "grandchild.vmdk")
    before, cid = content_of(tmp_path / "grandchild.vmdk"), _descriptor(child).cid
    commit_child(child)
    assert _descriptor(base).cid == cid
    assert _descriptor(base).get("ddb.longContentID").endswith(f"{cid:08x}")
    assert content_of(tmp_path / "grandchild.vmdk") == before
    assert children_of(str(base)) == [str(tmp_path / "grandchild.vmdk")]


def test_commit_of_an_empty_child_keeps_the_content_id(base, child):
    cid = _descriptor(base).cid
    commit_child(child)
    assert _descriptor(base).cid == cid


def test_19_committed_zeros_hide_what_the_parent_had(base, child, content_of):
    with open_disk(child, writable=True) as disk:
        disk.zero(1000, 300_000)
    commit_child(child)
    expected = b"\x11" * 1000 + bytes(300_000) + b"\x11" * (SIZE - 301_000)
    assert content_of(base) == expected


def test_20_sibling_with_the_same_content_id_under_another_hint_is_no_sibling(
    base, child, make_disk, tmp_path
):
    other = make_disk("other.vmdk", "monolithicSparse", SIZE)
    create_child(other, tmp_path / "others-child.vmdk")
    path = tmp_path / "others-child.vmdk"
    data = path.read_bytes()
    old = f"parentCID={_descriptor(path).parent_cid:08x}".encode()
    path.write_bytes(data.replace(old, f"parentCID={_descriptor(base).cid:08x}".encode()))
    assert children_of(str(base)) == [str(child)]
    commit_child(child)


def test_commit_drops_change_tracking_that_is_no_longer_true(make_disk, tmp_path):
    base = make_disk("base.vmdk", "vmfs", SIZE)
    text = base.read_text().replace("version=1\n", 'version=3\nchangeTrackPath="base-ctk.vmdk"\n')
    base.write_text(text)
    create_child(base, tmp_path / "child.vmdk")
    _write(tmp_path / "child.vmdk", 0, b"x")
    commit_child(tmp_path / "child.vmdk")
    assert "changeTrackPath" not in base.read_text()
    assert "version=1\n" in base.read_text()


def test_parent_with_another_child_is_not_committed_to(base, child, tmp_path):
    create_child(base, tmp_path / "sibling.vmdk")
    before = _tree(tmp_path)
    with pytest.raises(InvalidRequest, match=r"other children.*sibling\.vmdk"):
        commit_child(child)
    assert _tree(tmp_path) == before


def test_child_in_another_folder_is_not_committed(base, tmp_path):
    (tmp_path / "clones").mkdir()
    clone = tmp_path / "clones" / "clone.vmdk"
    create_child(base, clone, allow_outside=[str(tmp_path)])
    with pytest.raises(InvalidRequest, match="another folder"):
        commit_child(clone, allow_outside=[str(tmp_path)])


def test_commit_waits_for_nobody_who_reads_the_chain(child):
    with open_disk(child), pytest.raises(DiskInUse):
        commit_child(child)


def test_full_file_system_is_told_before_the_parent_is_touched(
    base, child, tmp_path, monkeypatch, make_disk
):
    sparse = make_disk("sparse.vmdk", "monolithicSparse", SIZE)
    create_child(sparse, tmp_path / "sparse-child.vmdk")
    _write(tmp_path / "sparse-child.vmdk", 0, b"x" * 5 * GRAIN)
    before = _tree(tmp_path)
    full = os.statvfs_result((4096, 4096, 0, 0, 0, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda _path: full)
    with pytest.raises(NoSpace):
        commit_child(tmp_path / "sparse-child.vmdk")
    assert _tree(tmp_path) == before


def test_read_only_extent_of_the_parent_is_told_before_it_is_touched(make_disk, tmp_path):
    base = make_disk("base.vmdk", "monolithicFlat", SIZE)
    base.write_text(base.read_text().replace("RW ", "RDONLY "))
    create_child(base, tmp_path / "child.vmdk")
    _write(tmp_path / "child.vmdk", 0, b"x")
    before = _tree(tmp_path)
    with pytest.raises(ReadOnlyDisk, match="RDONLY"):
        commit_child(tmp_path / "child.vmdk")
    assert _tree(tmp_path) == before


def test_stream_is_not_committed_to(make_disk, tmp_path):
    create_child(make_disk("base.vmdk", "streamOptimized", SIZE), tmp_path / "child.vmdk")
    with pytest.raises(UnsupportedDisk, match="streamOptimized"):
        commit_child(tmp_path / "child.vmdk")


def test_disk_without_a_parent_is_not_committed(base):
    with pytest.raises(InvalidRequest, match="no parent"):
        commit_child(base)


def test_mark_of_a_commit_whose_child_is_gone_means_nothing(base, content_of):
    base.with_name("base.vmdk.vdisk-commit").write_text("child.vmdk")
    assert content_of(base) == b"\x11" * SIZE


# Revert


def test_reverted_child_keeps_its_data_base_and_gets_a_new_content_id(base, child, content_of):
    _write(child, 0, b"forget")
    before = _descriptor(child)
    revert_child(child)
    after = _descriptor(child)
    assert content_of(child) == content_of(base)
    assert after.cid != before.cid
    assert after.metadata()["uuid"] == before.metadata()["uuid"]


def test_child_with_children_is_not_reverted(child, tmp_path):
    create_child(child, tmp_path / "grandchild.vmdk")
    with pytest.raises(InvalidRequest, match=r"grandchild\.vmdk"):
        revert_child(child)


# Rebase and attach


def test_rebased_onto_a_shorter_parent_reads_the_same(child, make_disk, content_of):
    _write(child, GRAIN + 5, b"own")
    before = content_of(child)
    short = make_disk("short.vmdk", "vmfs", 3 * GRAIN, {0: b"\x11" * GRAIN})
    assert rebase_child(child, short) == SIZE - 2 * GRAIN
    assert content_of(child) == before


def test_rebase_keeps_the_content_id(child, make_disk):
    before = _descriptor(child).cid
    rebase_child(child, make_disk("other.vmdk", "monolithicSparse", SIZE))
    assert _descriptor(child).cid == before


def test_disk_is_not_put_on_itself_or_on_its_child(base, child):
    with pytest.raises(InvalidRequest, match="its own parent"):
        rebase_child(child, child)
    with pytest.raises(InvalidRequest):
        rebase_child(base, child)


def test_new_parent_elsewhere_must_be_allowed(child, make_disk, tmp_path, tmp_path_factory):
    other = make_disk("other.vmdk", "monolithicSparse", SIZE)
    moved = tmp_path_factory.mktemp("elsewhere") / "other.vmdk"
    other.rename(moved)
    with pytest.raises(UnsafePath, match="allow_outside"):
        rebase_child(child, moved)
    rebase_child(child, moved, allow_outside=[str(moved.parent)])
    with pytest.raises(UnsafePath):
        open_disk(child)


def test_14_attach_refuses_a_parent_that_is_not_proven(base, child, content_of):
    _write_behind_its_back(base)
    before = child.read_bytes()
    for proof in (None, "sha256:" + "0" * 64):
        with pytest.raises(ChainMismatch, match="not proven"):
            attach_child(child, base, parent_digest=proof)
    assert child.read_bytes() == before
    with open_disk(base) as disk:
        proof = digest(disk)
    attach_child(child, base, parent_digest=proof)
    assert content_of(child) == content_of(base)


def test_14_unsafe_attach_gives_a_new_content_id(base, child):
    _write_behind_its_back(base)
    before = _descriptor(child).cid
    attach_child(child, base, unsafe=True)
    assert _descriptor(child).cid != before


def _write_behind_its_back(path):
    """As a program does that knows of no children."""
    data = path.read_bytes()
    cid = f"CID={_descriptor(path).cid:08x}".encode()
    path.write_bytes(data.replace(b"\n" + cid, b"\nCID=12345678"))


def test_14_long_content_id_proves_a_parent_whose_short_one_says_look_there(base, child):
    data = base.read_bytes()
    cid = f"CID={_descriptor(base).cid:08x}".encode()
    base.write_bytes(data.replace(b"\n" + cid, b"\nCID=fffffffe"))
    with pytest.raises(ChainMismatch):
        open_disk(child)
    attach_child(child, base)
    open_disk(child).close()


def test_18_commit_without_a_parent_names_what_is_missing(base, child):
    base.unlink()
    for work in (commit_child, revert_child):
        with pytest.raises(MissingLink, match=r"'base\.vmdk' is missing"):
            work(child)


# Names


@pytest.mark.parametrize(
    "there, disk, expected",
    [
        ([], "web.vmdk", "web-000001.vmdk"),
        (["web-000009.vmdk"], "web.vmdk", "web-000010.vmdk"),
        (["web-000010.vmdk"], "web-000010.vmdk", "web-000011.vmdk"),
        (["web-000002.vmdk", "web-x-000007.vmdk"], "web.vmdk", "web-000003.vmdk"),
        (["web-000002-s001.vmdk"], "web.vmdk", "web-000001.vmdk"),
        ([], "web-1.vmdk", "web-1-000001.vmdk"),
    ],
)
def test_20_redo_logs_are_numbered_as_vmware_does(tmp_path, there, disk, expected):
    for name in there:
        (tmp_path / name).touch()
    assert redo_log_of(str(tmp_path / disk)) == str(tmp_path / expected)


# The journal


def test_journal_of_another_release_is_finished(base, tmp_path):
    """The first release wrote nothing but these two lists."""
    (tmp_path / "gone.vmdk").touch()
    journal_path = base.with_name("base.vmdk.vdisk-journal")
    journal_path.write_text('{"finished": [], "removed": ["gone.vmdk"]}')
    assert journal.finish(str(base))
    assert not (tmp_path / "gone.vmdk").exists()
    assert not journal_path.exists()


@pytest.mark.parametrize(
    "text",
    [
        '{"renamed": [["a", "../../etc/passwd"]]}',
        '{"edited": [["/etc/passwd", "", ""]]}',
        '{"see": ["../other.vmdk"]}',
    ],
)
def test_journal_of_a_stranger_does_not_leave_the_folder(base, text):
    base.with_name("base.vmdk.vdisk-journal").write_text(text)
    with pytest.raises(UnsafePath):
        open_disk(base)


@pytest.mark.parametrize("text", ["[]", '{"renamed": [["a"]]}', '{"edited": [["a", "%", ""]]}'])
def test_damaged_journal_is_told(base, text):
    base.with_name("base.vmdk.vdisk-journal").write_text(text)
    with pytest.raises(CorruptDisk, match="journal"):
        open_disk(base)


def test_journal_does_not_edit_a_disk_that_has_changed_since(base):
    before = base.read_bytes()
    text = '{"edited": [["base.vmdk", "bm90IHRoYXQ=", "bmV3"]]}'  # "not that", "new"
    base.with_name("base.vmdk.vdisk-journal").write_text(text)
    open_disk(base).close()
    assert base.read_bytes() == before
