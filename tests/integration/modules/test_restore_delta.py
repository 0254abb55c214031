# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_restore with delta: in place, and only what differs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

MIB = 1 << 20


def write(path, offset, length=65536, form="vmdk"):
    command = f"write -P 0x5A {offset} {length}"
    subprocess.run(
        ["qemu-io", "-f", form, "-c", command, str(path)], check=True, capture_output=True
    )


@pytest.fixture
def saved(modules, disk, repository):
    """A disk that is backed up, and the arguments that bring it back."""
    modules.vmdk_backup(path=disk, name="good", **repository)
    return {"restore_point": "web01@good", "dest": disk, "delta": True, **repository}


def test_only_what_differs_is_written(modules, disk, saved, content_by_qemu):
    good = content_by_qemu(disk)
    inode = disk.stat().st_ino
    write(disk, 20 * MIB)
    back = modules.vmdk_restore(force=True, **saved)
    assert back["changed"]
    assert 0 < back["transfer"]["bytes_written"] + back["transfer"]["bytes_zero"] <= MIB
    assert back["transfer"]["bytes_reused"] >= 39 * MIB
    assert content_by_qemu(disk) == good
    assert disk.stat().st_ino == inode
    assert not modules.vmdk_restore(**saved)["changed"]


@pytest.mark.parametrize(
    "disk_type", ["monolithicFlat", "twoGbMaxExtentSparse", "twoGbMaxExtentFlat", "vmfs"]
)
def test_every_type_that_can_be_written(modules, make_disk, repository, content_by_qemu, disk_type):
    disk = make_disk("web01.vmdk", disk_type, seed=3)
    good = modules.vmdk_info(path=disk, digest=True)["disk"]["digest"]
    modules.vmdk_backup(path=disk, name="good", **repository)
    modules.vmdk_data(path=disk, offset=5 * MIB, content="overwritten")
    back = modules.vmdk_restore(
        restore_point="web01@good", dest=disk, delta=True, force=True, verify=True, **repository
    )
    assert back["transfer"]["bytes_reused"] >= 39 * MIB
    assert modules.vmdk_info(path=disk, digest=True)["disk"]["digest"] == good
    if disk_type != "vmfs":  # qemu-img wants another name of its extent
        assert content_by_qemu(disk) == good


def test_another_disk_of_the_same_size(modules, make_disk, saved, disk, content_by_qemu):
    other = make_disk("other.vmdk", seed=9)
    modules.vmdk_restore(force=True, **{**saved, "dest": other})
    assert content_by_qemu(other) == content_by_qemu(disk)


def test_a_raw_file(modules, saved, disk, tmp_path, content_by_qemu, digest_of_file):
    raw = tmp_path / "web01.img"
    modules.vmdk_clone(src=disk, dest=raw)
    write(raw, 3 * MIB, form="raw")
    back = modules.vmdk_restore(force=True, **{**saved, "dest": raw})
    assert back["transfer"]["bytes_reused"] >= 39 * MIB
    assert digest_of_file(raw) == content_by_qemu(disk)


def test_a_block_device(modules, saved, disk, tmp_path, content_by_qemu, digest_of_file):
    raw = tmp_path / "device.img"
    raw.write_bytes(b"\x11" * (40 * MIB))
    made = subprocess.run(
        ["losetup", "--find", "--show", str(raw)], check=True, capture_output=True, text=True
    )
    device = made.stdout.strip()
    try:
        modules.vmdk_restore(force=True, **{**saved, "dest": device})
        again = modules.vmdk_restore(force=True, **{**saved, "dest": device})
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)
    assert not again["changed"]
    assert digest_of_file(raw) == content_by_qemu(disk)


def test_without_force_nothing_is_written(modules, disk, saved, content_by_qemu):
    write(disk, 0)
    before = content_by_qemu(disk)
    assert "force" in modules.fail("vmdk_restore", **saved)["msg"]
    assert content_by_qemu(disk) == before


def test_check_mode_foretells_and_touches_nothing(modules, disk, saved, tmp_path, digest_of_tree):
    before = digest_of_tree(tmp_path)
    assert not modules.run("vmdk_restore", check_mode=True, force=True, **saved)["changed"]
    assert digest_of_tree(tmp_path) == before
    write(disk, 0)
    before = digest_of_tree(tmp_path)
    assert modules.run("vmdk_restore", check_mode=True, force=True, **saved)["changed"]
    assert digest_of_tree(tmp_path) == before


def test_where_nothing_is_yet_a_disk_is_made(modules, disk, saved, tmp_path, content_by_qemu):
    dest = tmp_path / "new.vmdk"
    assert modules.vmdk_restore(**{**saved, "dest": dest})["changed"]
    assert content_by_qemu(dest) == content_by_qemu(disk)


@pytest.mark.parametrize("wrong", [{"size": "50MiB"}, {"size": "40MiB"}])
def test_another_size_or_type_is_made_anew(modules, disk, saved, tmp_path, content_by_qemu, wrong):
    dest = tmp_path / "other.vmdk"
    modules.vmdk_create(path=dest, **wrong)
    inode = dest.stat().st_ino
    modules.vmdk_restore(force=True, **{**saved, "dest": dest, "disk_type": "monolithicFlat"})
    assert dest.stat().st_ino != inode
    assert modules.vmdk_info(path=dest)["disk"]["disk_type"] == "monolithicFlat"
    assert content_by_qemu(dest) == content_by_qemu(disk)


def test_a_disk_with_redo_logs_is_refused(modules, disk, saved, content_by_qemu):
    write(disk, 0)
    child = modules.vmdk_snapshot(path=disk)["disk"]["path"]
    before = content_by_qemu(disk)
    for check_mode in (True, False):
        failed = modules.fail("vmdk_restore", check_mode, force=True, **saved)
        assert "children" in failed["msg"]
    assert content_by_qemu(disk) == before
    assert content_by_qemu(child) == before


def test_into_the_newest_redo_log(modules, disk, saved, content_by_qemu):
    good = content_by_qemu(disk)
    write(disk, 4 * MIB)
    parent = content_by_qemu(disk)
    child = modules.vmdk_snapshot(path=disk)["disk"]["path"]
    write(child, 30 * MIB)
    modules.vmdk_restore(force=True, **{**saved, "dest": child})
    assert content_by_qemu(child) == good
    assert content_by_qemu(disk) == parent


def test_a_disk_in_use_is_refused(modules, disk, saved):
    import fcntl

    write(disk, 0)
    with open(disk, "rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        for check_mode in (True, False):
            failed = modules.fail("vmdk_restore", check_mode, force=True, **saved)
            assert failed["error"]["kind"] == "DiskInUse"


def test_a_killed_one_is_completed_by_the_next(
    modules, make_disk, repository, saved, disk, content_by_qemu
):
    import json

    other = make_disk("other.vmdk", disk_type="monolithicFlat", seed=5)
    arguments = {**saved, "dest": str(other), "force": True}
    module = "ansible_collections.vdisk.lifecycle.plugins.modules.vmdk_restore"
    process = subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process.stdin.write(
        json.dumps(
            {"ANSIBLE_MODULE_ARGS": {key: str(value) for key, value in arguments.items()}}
        ).encode()
    )
    process.stdin.close()
    time.sleep(0.7)
    process.send_signal(signal.SIGKILL)
    process.wait()
    modules.vmdk_restore(**arguments)
    assert content_by_qemu(other) == content_by_qemu(disk)


def test_quicker_than_a_whole_restore_where_little_differs(modules, repository, tmp_path):
    raw = tmp_path / "web01.img"
    with open(raw, "wb") as stream:
        for _number in range(16):
            stream.write(os.urandom(16 * MIB))
    modules.vmdk_backup(path=raw, name="good", **repository)
    wanted = {"restore_point": "web01@good", "dest": raw, "force": True, **repository}
    write(raw, 100 * MIB, form="raw")
    begin = modules.processor_time
    whole = modules.vmdk_restore(**wanted)["transfer"]
    middle = modules.processor_time
    write(raw, 100 * MIB, form="raw")
    start = modules.processor_time
    delta = modules.vmdk_restore(delta=True, **wanted)["transfer"]
    end = modules.processor_time
    assert delta["bytes_written"] == MIB
    assert whole["bytes_written"] == 256 * MIB
    assert end - start < middle - begin
