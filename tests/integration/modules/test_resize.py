# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_resize: judged by sgdisk, sfdisk and the checkers of the file systems."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import MissingTool
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import command
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.requests import ResizeRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.resize_disk import plan_resize
from ansible_collections.vdisk.lifecycle.tests.integration.modules.guests import (
    MIB,
    SIZE,
    START,
    checked,
    filling,
    run,
)

OLD, NEW = SIZE, 600 * MIB
KEPT = bytes(range(256)) * 8192


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    yield
    assert str(tmp_path) not in Path("/proc/mounts").read_text(encoding="utf-8")
    assert str(tmp_path) not in run("losetup", "--list", "--noheadings", "--output", "BACK-FILE")
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file()]


@pytest.fixture
def guest(tmp_path, modules):
    """guest(kind, label): a disk of 400 MiB, one partition, one file system with one file."""

    def make(kind="ext4", label="gpt", disk_type="monolithicSparse"):
        raw, path = tmp_path / "guest.raw", tmp_path / "web01.vmdk"
        with filling(raw, kind, label) as point:
            (point / "kept").write_bytes(KEPT)
        modules.vmdk_clone(src=raw, dest=path, disk_type=disk_type)
        raw.unlink()
        return path

    return make


@pytest.fixture
def judge(tmp_path):
    """judge(kind, path, label): bytes that the file system has, once all checkers are content."""

    def check(kind, path, label="gpt"):
        raw, part = tmp_path / "judge.raw", tmp_path / "judge.part"
        run("qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, raw)
        if label is None:
            os.rename(raw, part)
        else:
            take_partition(raw, part, label)
        try:
            with checked(kind, part) as point:
                assert (point / "kept").read_bytes() == KEPT
                status = os.statvfs(point)
                return status.f_blocks * status.f_frsize
        finally:
            part.unlink()
            raw.unlink(missing_ok=True)

    return check


def take_partition(raw, part, label):
    if label == "gpt":
        said = run("sgdisk", "-v", raw)
        assert "No problems found" in said, said
    said = run("sfdisk", "--verify", raw)
    assert "No errors" in said, said
    entry = json.loads(run("sfdisk", "--json", raw))["partitiontable"]["partitions"][0]
    size = entry["size"] // 2048
    assert entry["size"] % 2048 == 0 or entry["size"] * 512 < OLD
    run("dd", f"if={raw}", f"of={part}", "bs=1M", "skip=1", f"count={size}", "conv=sparse")
    with open(part, "r+b") as stream:
        stream.truncate(size * MIB)


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "twoGbMaxExtentFlat"])
def test_the_disk_alone(modules, guest, content_by_qemu, tmp_path, disk_type):
    path = guest(disk_type=disk_type)
    content = content_by_qemu(path)
    result = modules.vmdk_resize(path=path, size="600MiB")
    assert result["changed"]
    assert result["disk"]["size"] == NEW
    assert "volume" not in result
    raw = tmp_path / "after.raw"
    run("qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, raw)
    with open(raw, "r+b") as stream:
        stream.seek(OLD)
        assert not any(stream.read())
        stream.truncate(OLD)
    assert run("sha256sum", raw).split()[0] == content.removeprefix("sha256:")
    assert not modules.vmdk_resize(path=path, size="600MiB")["changed"]


@pytest.mark.parametrize(
    ("kind", "label"),
    [
        ("ext2", "gpt"),
        ("ext3", "dos"),
        ("ext4", "gpt"),
        ("ext4", "dos"),
        ("ext4", None),
        ("xfs", "gpt"),
        ("xfs", "dos"),
        ("btrfs", "gpt"),
        ("btrfs", None),
    ],
)
def test_partition_and_file_system(modules, guest, judge, kind, label):
    path = guest(kind, label)
    before = judge(kind, path, label)
    foretold = modules.vmdk_resize(path=path, size=NEW, grow_partition="true", check_mode=True)
    assert foretold["changed"]
    assert modules.vmdk_info(path=path)["disk"]["size"] == OLD
    result = modules.vmdk_resize(path=path, size=NEW, grow_partition="true")
    assert result["changed"]
    volume = result["volume"]
    assert volume["fs"] == kind
    assert volume["partition"] == foretold["volume"]["partition"]
    assert volume["filesystem"]["after"] - volume["filesystem"]["before"] > 180 * MIB
    assert judge(kind, path, label) - before > 150 * MIB
    again = modules.vmdk_resize(path=path, size=NEW, grow_partition="true")
    assert not again["changed"], again
    assert not modules.vmdk_resize(path=path, size=NEW, grow_partition="true", check_mode=True)[
        "changed"
    ]


@pytest.mark.parametrize("disk_type", ["twoGbMaxExtentSparse", "vmfs"])
def test_every_type_of_disk(modules, guest, judge, disk_type):
    path = guest("ext4", "gpt", disk_type)
    before = judge("ext4", path)
    assert modules.vmdk_resize(path=path, size=NEW, grow_partition="true")["changed"]
    assert judge("ext4", path) - before > 150 * MIB


@pytest.mark.parametrize("which", ["1", "root"])
def test_the_partition_may_be_named(modules, guest, judge, which):
    path = guest()
    assert modules.vmdk_resize(path=path, size=NEW, grow_partition=which)["changed"]
    assert judge("ext4", path) > 500 * MIB


def test_a_disk_that_is_large_enough_already(modules, guest, judge):
    path = guest()
    modules.vmdk_resize(path=path, size=NEW)
    result = modules.vmdk_resize(path=path, size=NEW, grow_partition="true")
    assert result["changed"]
    assert judge("ext4", path) > 500 * MIB


def test_there_is_no_such_partition(modules, guest, digest_of_file):
    path = guest()
    before = digest_of_file(path)
    failed = modules.fail("vmdk_resize", path=path, size=NEW, grow_partition="home")
    assert "home" in failed["msg"]
    assert digest_of_file(path) == before


def table(tmp_path, modules, lines, label="gpt", swap=None):
    """A disk with these partitions; partition number `swap` holds swap space."""
    raw, path = tmp_path / "table.raw", tmp_path / "table.vmdk"
    with open(raw, "wb") as stream:
        stream.truncate(100 * MIB)
    run("sfdisk", "-q", "--label", label, raw, input=lines)
    run("mkfs.ext4", "-q", "-F", "-E", f"offset={START}", raw, "40M")
    if swap is not None:
        space = tmp_path / "swap"
        space.write_bytes(bytes(MIB))
        run("mkswap", space)
        with open(raw, "r+b") as stream:
            stream.seek(swap)
            stream.write(space.read_bytes())
    modules.vmdk_clone(src=raw, dest=path)
    return path


TWO = "start=2048, size=40M, type=linux\nstart=50M, type=swap\n"


@pytest.mark.parametrize("label", ["gpt", "dos"])
def test_nothing_may_lie_behind(modules, tmp_path, label, digest_of_file):
    path = table(tmp_path, modules, TWO, label)
    before = digest_of_file(path)
    failed = modules.fail("vmdk_resize", path=path, size="200MiB", grow_partition="1")
    assert "partition 2" in failed["msg"]
    assert digest_of_file(path) == before


@pytest.mark.parametrize("check_mode", [True, False])
def test_what_cannot_grow_is_refused_before_anything_is_changed(
    modules, tmp_path, digest_of_file, check_mode
):
    path = table(tmp_path, modules, TWO, swap=50 * MIB)
    before = digest_of_file(path)
    failed = modules.fail(
        "vmdk_resize", check_mode, path=path, size="200MiB", grow_partition="true"
    )
    assert "swap" in failed["msg"]
    assert "grow_partition: false" in failed["msg"]
    assert digest_of_file(path) == before


def test_missing_tools_are_told_before_anything_is_changed(guest, digest_of_file, monkeypatch):
    path = guest("xfs")
    before = digest_of_file(path)
    monkeypatch.setattr(command, "find", lambda _program: None)
    with pytest.raises(MissingTool, match="xfs_growfs"):
        plan_resize(ResizeRequest(str(path), NEW, Access(), grow=True))
    assert digest_of_file(path) == before


def test_logical_partition(modules, tmp_path):
    raw, path = tmp_path / "guest.raw", tmp_path / "web01.vmdk"
    with open(raw, "wb") as stream:
        stream.truncate(OLD)
    lines = "start=2048, size=10M, type=linux\nstart=20M, type=extended\n"
    lines += "start=22M, size=20M, type=linux\nstart=44M, size=100M, type=linux\n"
    run("sfdisk", "-q", "--label", "dos", raw, input=lines)
    filled = tmp_path / "filled"
    filled.mkdir()
    (filled / "kept").write_bytes(KEPT)
    run("mkfs.ext4", "-q", "-F", "-d", filled, "-E", f"offset={44 * MIB}", raw, "100M")
    modules.vmdk_clone(src=raw, dest=path)
    result = modules.vmdk_resize(path=path, size=NEW, grow_partition="true")
    assert result["volume"]["number"] == 6
    assert result["volume"]["filesystem"]["after"] == NEW - 44 * MIB
    run("qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, raw)
    assert "No errors" in run("sfdisk", "--verify", raw)
    entry = json.loads(run("sfdisk", "--json", raw))["partitiontable"]["partitions"][-1]
    assert (entry["start"] * 512, entry["size"] * 512) == (44 * MIB, NEW - 44 * MIB)
    part = tmp_path / "part"
    run("dd", f"if={raw}", f"of={part}", "bs=1M", "skip=44", "conv=sparse")
    run("e2fsck", "-fn", part)
    run("debugfs", "-R", f"dump kept {tmp_path}/back", part)
    assert (tmp_path / "back").read_bytes() == KEPT
    assert not modules.vmdk_resize(path=path, size=NEW, grow_partition="true")["changed"]


def test_smaller_is_an_error(modules, guest, digest_of_file):
    path = guest()
    before = digest_of_file(path)
    for check_mode in (True, False):
        failed = modules.fail("vmdk_resize", check_mode, path=path, size="100MiB")
        assert "smaller" in failed["msg"]
    assert digest_of_file(path) == before


def test_a_disk_with_a_child_stays(modules, guest, tmp_path):
    path = guest()
    modules.vmdk_clone(src=path, dest=tmp_path / "child.vmdk", linked=True)
    for grow in ("true", "false"):
        failed = modules.fail("vmdk_resize", path=path, size=NEW, grow_partition=grow)
        assert "children" in failed["msg"]


@pytest.mark.parametrize("kind", ["ext4", "xfs"])
def test_killed_at_any_moment_and_run_again(modules, guest, judge, tmp_path, kind, kill_after):
    path = guest(kind)
    whole = tmp_path / "whole.vmdk"
    shutil.copy(path, whole)
    options = {"path": str(path), "size": str(NEW), "grow_partition": "true"}
    for moment in range(5):
        shutil.copy(whole, path)
        kill_after(0.25 + 0.15 * moment, "vmdk_resize", **options)
        time.sleep(0.3)  # a program that it had started may be at work still
        modules.vmdk_resize(**options)
        assert judge(kind, path) > 500 * MIB
        assert not modules.vmdk_resize(**options)["changed"]


@pytest.mark.parametrize("module", ["vmdk_resize", "vmdk_create"])
def test_extent_outside_of_the_folder_grows_where_that_is_allowed(
    modules, make_disk, tmp_path, tmp_path_factory, module
):
    path, pool = make_disk("web01.vmdk", "vmfs"), tmp_path_factory.mktemp("pool")
    flat = pool / "web01-flat.vmdk"
    (tmp_path / "web01-flat.vmdk").rename(flat)
    path.write_text(path.read_text().replace('"web01-flat.vmdk', f'"{flat}'))
    before = flat.read_bytes()
    wanted = {"path": path, "size": "48MiB"}
    for check_mode in (True, False):
        failed = modules.fail(module, check_mode=check_mode, **wanted)
        assert failed["error"]["kind"] == "UnsafePath"
    assert modules.run(module, allow_outside=[str(pool)], **wanted)["changed"]
    run("qemu-img", "convert", "-O", "raw", path, tmp_path / "raw")
    assert (tmp_path / "raw").read_bytes() == before + bytes(8 * MIB)
    assert not modules.run(module, allow_outside=[str(pool)], **wanted)["changed"]
