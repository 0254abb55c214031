# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_snapshot: redo logs through their life, each result read by qemu-img as well."""

from __future__ import annotations

import subprocess

import pytest

PARENTS = [
    "monolithicSparse",
    "twoGbMaxExtentSparse",
    "monolithicFlat",
    "twoGbMaxExtentFlat",
    "vmfs",
]


@pytest.fixture
def write(modules):
    return lambda path, offset, content: modules.vmdk_data(
        path=path, offset=offset, content=content
    )


@pytest.fixture
def digest(modules):
    return lambda path, **more: modules.vmdk_info(path=path, digest=True, **more)["disk"]["digest"]


@pytest.mark.parametrize("disk_type", PARENTS)
def test_life_of_a_redo_log(
    modules, make_disk, tmp_path, write, digest, content_by_qemu, disk_type
):
    path = make_disk("web01.vmdk", disk_type)
    before = digest(path)
    made = modules.vmdk_snapshot(path=path)
    child = tmp_path / "web01-000001.vmdk"
    assert made["changed"]
    assert made["disk"]["chain"] == [str(child), str(path)]
    assert not modules.vmdk_snapshot(path=path)["changed"]
    write(child, "5MiB", "kept")
    changed = digest(child)
    assert content_by_qemu(child) == changed != before
    assert digest(path) == before
    gone = modules.vmdk_snapshot(path=path, state="absent")
    assert gone["changed"]
    assert gone["removed"] == [str(child)]
    assert gone["transfer"]["bytes_total"] == 65536
    assert not child.exists()
    assert digest(path) == content_by_qemu(path) == changed
    assert not modules.vmdk_snapshot(path=path, state="absent")["changed"]


def test_reverted_child_reads_as_its_parent(modules, disk, tmp_path, write, digest):
    modules.vmdk_snapshot(path=disk)
    child = tmp_path / "web01-000001.vmdk"
    cid = modules.vmdk_info(path=child)["disk"]["cid"]
    write(child, 0, "forget me")
    reverted = modules.vmdk_snapshot(path=disk, state="reverted")
    assert reverted["changed"]
    assert reverted["disk"]["cid"] != cid
    assert digest(child) == digest(disk)
    assert not modules.vmdk_snapshot(path=disk, state="reverted")["changed"]


def test_rebased_child_reads_the_same(modules, make_disk, tmp_path, write, digest, content_by_qemu):
    old, new = make_disk("old.vmdk", seed=1), make_disk("new.vmdk", "monolithicFlat", seed=2)
    child = tmp_path / "child.vmdk"
    modules.vmdk_snapshot(path=old, child=child)
    write(child, 12345, "own")
    before = digest(child)
    wanted = {"path": old, "child": child, "parent": new, "state": "rebased"}
    done = modules.vmdk_snapshot(**wanted)
    assert done["changed"]
    assert done["bytes_written"] > 0
    assert done["disk"]["chain"] == [str(child), str(new)]
    assert not modules.vmdk_snapshot(**wanted)["changed"]
    modules.vmdk_create(path=old, state="absent")
    assert digest(child) == content_by_qemu(child) == before


def test_rebase_onto_an_equal_parent_copies_nothing(modules, disk, tmp_path):
    equal, child = tmp_path / "equal.vmdk", tmp_path / "child.vmdk"
    modules.vmdk_clone(src=disk, dest=equal, disk_type="vmfs")
    modules.vmdk_snapshot(path=disk, child=child)
    done = modules.vmdk_snapshot(path=disk, child=child, parent=equal, state="rebased")
    assert done["bytes_written"] == 0


def test_unsafe_rebase_takes_what_the_new_parent_has(modules, make_disk, tmp_path, digest):
    old, new = make_disk("old.vmdk", seed=1), make_disk("new.vmdk", seed=2)
    child = tmp_path / "child.vmdk"
    modules.vmdk_snapshot(path=old, child=child)
    wanted = {"path": old, "child": child, "parent": new, "state": "rebased", "unsafe": True}
    assert modules.vmdk_snapshot(**wanted)["changed"]
    assert digest(child) == digest(new)
    assert not modules.vmdk_snapshot(**wanted)["changed"]


def test_attached_after_the_parent_was_moved_by_hand(modules, disk, tmp_path, write, digest):
    child = tmp_path / "web01-000001.vmdk"
    modules.vmdk_snapshot(path=disk)
    write(child, 777, "own")
    before = digest(child)
    (tmp_path / "golden").mkdir()
    moved = tmp_path / "golden" / "other.vmdk"
    disk.rename(moved)
    assert modules.fail("vmdk_info", path=child)["error"]["kind"] == "MissingLink"
    wanted = {"path": moved, "child": child, "state": "attached"}
    assert modules.vmdk_snapshot(**wanted)["changed"]
    assert not modules.vmdk_snapshot(**wanted)["changed"]
    assert digest(child) == before


def test_fault_14_changed_parent_is_attached_by_its_digest_only(modules, disk, tmp_path, digest):
    child = tmp_path / "web01-000001.vmdk"
    modules.vmdk_snapshot(path=disk)
    subprocess.run(["qemu-io", "-f", "vmdk", "-c", "write -P 1 0 512", str(disk)], check=True)
    assert modules.fail("vmdk_info", path=child)["error"]["kind"] == "ChainMismatch"
    wanted = {"path": disk, "child": child, "state": "attached"}
    refused = modules.fail("vmdk_snapshot", **wanted)
    assert refused["error"]["kind"] == "ChainMismatch"
    modules.fail("vmdk_snapshot", **wanted, parent_digest="sha256:" + "0" * 64)
    assert modules.vmdk_snapshot(**wanted, parent_digest=digest(disk))["changed"]
    assert digest(child) == digest(disk)


def test_fault_3_commit_leaves_a_chain_that_everybody_reads(
    modules, disk, tmp_path, write, digest, content_by_qemu
):
    middle, top = tmp_path / "web01-000001.vmdk", tmp_path / "web01-000002.vmdk"
    modules.vmdk_snapshot(path=disk)
    write(middle, "1MiB", "middle")
    modules.vmdk_snapshot(path=middle)
    write(top, "2MiB", "top")
    before = digest(top)
    modules.vmdk_snapshot(path=disk, child=middle, state="absent")
    assert modules.vmdk_info(path=top)["disk"]["chain"] == [str(top), str(disk)]
    assert digest(top) == content_by_qemu(top) == before


def test_fault_20_the_tenth_snapshot_follows_the_ninth(modules, disk):
    path = disk
    for number in range(1, 12):
        path = modules.vmdk_snapshot(path=path)["disk"]["path"]
        assert path.endswith(f"web01-{number:06d}.vmdk")


def test_second_child_is_named_and_forbids_commit(modules, disk, tmp_path, digest_of_tree):
    modules.vmdk_snapshot(path=disk)
    modules.vmdk_snapshot(path=disk, child=tmp_path / "clone.vmdk")
    before = digest_of_tree(tmp_path)
    assert "clone.vmdk" in modules.fail("vmdk_snapshot", path=disk, state="absent")["msg"]
    child = tmp_path / "web01-000001.vmdk"
    failed = modules.fail("vmdk_snapshot", path=disk, child=child, state="absent")
    assert "other children" in failed["msg"]
    assert digest_of_tree(tmp_path) == before


def test_child_larger_than_its_parent_grows_it(modules, disk, tmp_path, content_by_qemu, digest):
    child = tmp_path / "large.vmdk"
    command = ["qemu-img", "create", "-q", "-f", "vmdk", "-b", disk.name, "-F", "vmdk"]
    subprocess.run([*command, str(child), "80M"], check=True, cwd=tmp_path)
    write = ["qemu-io", "-f", "vmdk", "-c", "write -P 7 70M 1M", str(child)]
    subprocess.run(write, check=True)
    before = digest(child)
    done = modules.vmdk_snapshot(path=disk, child=child, state="absent")
    assert done["disk"]["size"] == 80 << 20
    assert content_by_qemu(disk) == before


def test_stream_parent_is_refused(modules, make_disk, tmp_path, digest_of_tree):
    path = make_disk("web01.vmdk", "streamOptimized")
    modules.vmdk_snapshot(path=path)
    before = digest_of_tree(tmp_path)
    failed = modules.fail("vmdk_snapshot", path=path, state="absent")
    assert failed["error"]["kind"] == "UnsupportedDisk"
    assert digest_of_tree(tmp_path) == before


def test_check_mode_predicts_and_touches_nothing(
    modules, make_disk, tmp_path, write, digest_of_tree
):
    disk, other = make_disk(), make_disk("other.vmdk", seed=2)
    modules.vmdk_snapshot(path=disk)
    child = tmp_path / "web01-000001.vmdk"
    write(child, 0, "x")
    before = digest_of_tree(tmp_path)
    for state in ("absent", "reverted", "rebased"):
        told = modules.vmdk_snapshot(path=disk, state=state, parent=other, check_mode=True)
        assert told["changed"], state
    assert modules.vmdk_snapshot(path=child, check_mode=True)["changed"]
    assert digest_of_tree(tmp_path) == before


def test_raw_disks_have_no_redo_logs(modules, tmp_path):
    (tmp_path / "disk.img").write_bytes(bytes(4096))
    assert "VMDK" in modules.fail("vmdk_snapshot", path=tmp_path / "disk.img")["msg"]
