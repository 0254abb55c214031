# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_shrink with trim: what the file system in the disk has thrown away goes first."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.tests.integration.modules.guests import (
    MIB,
    checked,
    filling,
    run,
)
from ansible_collections.vdisk.lifecycle.tests.integration.modules.zygote import MODULES


@pytest.fixture
def guest(tmp_path, modules):
    """guest(kind, disk_type): a disk whose file system kept 8 MiB and threw 60 MiB away."""

    def make(kind, disk_type):
        raw, path = tmp_path / "guest.raw", tmp_path / "web01.vmdk"
        with filling(raw, kind) as point:
            (point / "kept").write_bytes(os.urandom(8 * MIB))
            (point / "thrown away").write_bytes(os.urandom(60 * MIB))
            os.sync()
            (point / "thrown away").unlink()
        modules.vmdk_clone(src=raw, dest=path, disk_type=disk_type)
        raw.unlink()
        return path

    return make


@pytest.fixture
def judge(tmp_path):
    """judge(kind, path): the file system's own check, and the digest of the file that was kept."""

    def check(kind, path):
        raw, part = tmp_path / "judge.raw", tmp_path / "judge.part"
        run("qemu-img", "convert", "-f", "vmdk", "-O", "raw", path, raw)
        run("dd", f"if={raw}", f"of={part}", "bs=1M", "skip=1", "count=398", "conv=sparse")
        raw.unlink()
        try:
            with checked(kind, part) as point:
                return (point / "kept").read_bytes()
        finally:
            part.unlink()

    return check


@pytest.mark.parametrize(
    ("kind", "disk_type"),
    [
        ("ext4", "monolithicSparse"),
        ("xfs", "twoGbMaxExtentSparse"),
        ("btrfs", "monolithicSparse"),
        ("ext4", "monolithicFlat"),
    ],
)
def test_trim(modules, guest, judge, monkeypatch, tmp_path, kind, disk_type, space):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    path = guest(kind, disk_type)
    modules.vmdk_shrink(path=path)  # what a flat disk has reserved
    kept, before = judge(kind, path), space(path)
    foretold = modules.vmdk_shrink(path=path, trim=True, check_mode=True)
    assert foretold["changed"]
    assert foretold["freed"] > 40 * MIB
    result = modules.vmdk_shrink(path=path, trim=True)
    assert result["changed"]
    assert result["freed"] > 40 * MIB
    assert [(v["fs"], v["trimmed"]) for v in result["volumes"]] == [(kind, True)]
    after = space(path)
    assert max(before[0] - after[0], before[1] - after[1]) > 40 * MIB
    assert judge(kind, path) == kept
    digest = modules.vmdk_info(path=path, digest=True)["disk"]["digest"]
    again = modules.vmdk_shrink(path=path, trim=True)
    assert not again["changed"]
    assert modules.vmdk_info(path=path, digest=True)["disk"]["digest"] == digest
    assert not list(Path(tmp_path / "run").rglob("state.json"))


def test_trim_of_a_child(modules, guest, judge, monkeypatch, tmp_path):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    base, child, point = guest("ext4", "monolithicSparse"), tmp_path / "child.vmdk", tmp_path / "m"
    modules.vmdk_clone(src=base, dest=child, linked=True)
    modules.vmdk_mount(path=child, mount_point=point, read_only=False)
    (point / "kept").write_bytes(os.urandom(8 * MIB))
    (point / "more").write_bytes(os.urandom(30 * MIB))
    modules.vmdk_mount(mount_point=point, state="unmounted")
    modules.vmdk_mount(path=child, mount_point=point, read_only=False)
    (point / "more").unlink()
    modules.vmdk_mount(mount_point=point, state="unmounted")
    parent, kept, size = base.read_bytes(), judge("ext4", child), child.stat().st_size
    result = modules.vmdk_shrink(path=child, trim=True)
    assert result["changed"]
    assert result["freed"] >= size - child.stat().st_size > 20 * MIB
    assert judge("ext4", child) == kept
    assert base.read_bytes() == parent
    assert not modules.vmdk_shrink(path=child, trim=True)["changed"]


def test_killed_trim_is_completed_by_the_next(
    modules, guest, judge, monkeypatch, tmp_path, kill_after
):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    path, whole = guest("ext4", "monolithicSparse"), tmp_path / "whole.vmdk"
    shutil.copy(path, whole)
    kept = judge("ext4", path)
    for moment in range(5):
        shutil.copy(whole, path)
        kill_after(0.4 + 0.2 * moment, "vmdk_shrink", path=str(path), trim=True)
        time.sleep(0.3)  # a program that it had started may be at work still
        modules.vmdk_shrink(path=path, trim=True)
        assert path.stat().st_size < 30 * MIB
        assert judge("ext4", path) == kept
        assert not modules.vmdk_shrink(path=path, trim=True)["changed"]


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_killed_trim_leaves_no_mount_and_no_server(modules, guest, judge, monkeypatch, tmp_path):
    """Nobody need run anything for that."""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    path = guest("ext4", "monolithicSparse")
    kept = judge("ext4", path)

    def mounts():
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
        return [line.split()[1] for line in lines if str(tmp_path) in line]

    def killed():
        """What is known of the mount; nothing where the module was quicker than we are."""
        process = subprocess.Popen(
            [sys.executable, "-m", f"{MODULES}.vmdk_shrink"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        arguments = {"ANSIBLE_MODULE_ARGS": {"path": str(path), "trim": True}}
        process.stdin.write(json.dumps(arguments).encode())
        process.stdin.close()
        while process.poll() is None and not any(each.endswith("/volume") for each in mounts()):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
        return list((tmp_path / "run").rglob("state.json"))

    states = next(filter(None, (killed() for _attempt in range(5))))
    server = json.loads(states[0].read_text(encoding="utf-8"))["daemon"][0]
    wait_until(lambda: not mounts() and not Path(f"/proc/{server}").exists())
    assert str(tmp_path) not in run("losetup", "--list", "--noheadings", "--output", "BACK-FILE")
    assert not modules.vmdk_check(path=path)["findings"]
    assert judge("ext4", path) == kept


def test_trim_says_what_it_cannot(modules, tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    raw, path = tmp_path / "swap.raw", tmp_path / "swap.vmdk"
    with open(raw, "wb") as stream:
        stream.truncate(16 * MIB)
    run("mkswap", raw)
    modules.vmdk_clone(src=raw, dest=path)
    result = modules.vmdk_shrink(path=path, trim=True)
    assert not result["changed"]
    assert result["volumes"][0]["trimmed"] is False
    assert "swap" in result["volumes"][0]["reason"]


def test_trim_refuses_a_parent(modules, disk, tmp_path):
    modules.vmdk_clone(src=disk, dest=tmp_path / "child.vmdk", linked=True)
    failed = modules.fail("vmdk_shrink", path=disk, trim=True)
    assert "children" in failed["msg"]
