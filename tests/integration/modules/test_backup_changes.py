# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_backup reads what redo logs say has changed; qemu-img says whether that was all."""

from __future__ import annotations

import os
import subprocess
import time

import pytest

MIB = 1 << 20


def write(path, offset, length=65536, pattern=0x5A):
    """As a guest would."""
    command = f"write -P {pattern} {offset} {length}"
    subprocess.run(
        ["qemu-io", "-f", "vmdk", "-c", command, str(path)], check=True, capture_output=True
    )


def settle():
    """Until the files may be relied on."""
    time.sleep(2.1)


@pytest.fixture
def check(modules, repository, content_by_qemu, tmp_path):
    """check(result, path): the restore point is the disk, by qemu-img on both."""

    def check(result, path):
        dest = tmp_path / "restored.vmdk"
        modules.vmdk_restore(
            restore_point=result["restore_point"]["id"], dest=dest, force=True, **repository
        )
        assert content_by_qemu(dest) == content_by_qemu(path)

    return check


def how(result):
    return result["restore_point"]["disks"][0]["method"]


def test_a_night_after_a_snapshot(modules, disk, repository, check):
    settle()
    first = modules.vmdk_backup(path=disk, name="first", **repository)
    child = modules.vmdk_snapshot(path=disk)["disk"]["path"]
    write(child, 20 * MIB)
    second = modules.vmdk_backup(path=child, name="second", self_check=0, **repository)
    facts = second["restore_point"]["disks"][0]
    assert facts["method"] == "changed"
    assert facts["reason"] == f"what changed since {first['restore_point']['id']}"
    assert (facts["bytes_read"], facts["bytes_new"]) == (MIB, MIB)
    assert "warnings" not in second
    check(second, child)


def test_an_unchanged_disk_is_not_read(modules, disk, repository, check):
    settle()
    modules.vmdk_backup(path=disk, name="first", **repository)
    second = modules.vmdk_backup(path=disk, name="second", self_check=0, **repository)
    assert how(second) == "changed"
    assert second["transfer"]["bytes_read"] == 0
    assert second["transfer"]["bytes_written"] == 0
    check(second, disk)


def test_the_self_check_reads_some_of_it_again(modules, disk, repository):
    settle()
    modules.vmdk_backup(path=disk, name="first", **repository)
    second = modules.vmdk_backup(path=disk, name="second", self_check=5, **repository)
    assert second["transfer"]["bytes_read"] == 5 * MIB


def test_a_negative_self_check_is_refused(modules, disk, repository):
    failed = modules.fail("vmdk_backup", path=disk, self_check=-1, **repository)
    assert "self_check" in failed["msg"]


def test_changes_scan_reads_everything(modules, disk, repository):
    settle()
    first = modules.vmdk_backup(path=disk, name="first", **repository)
    second = modules.vmdk_backup(path=disk, name="second", changes="scan", **repository)
    assert how(second) == "incremental"
    assert second["transfer"]["bytes_read"] == first["transfer"]["bytes_read"]


@pytest.mark.parametrize("disk_type", ["twoGbMaxExtentSparse", "monolithicFlat"])
def test_disks_of_several_files(modules, make_disk, repository, check, disk_type):
    disk = make_disk(disk_type=disk_type)
    settle()
    modules.vmdk_backup(path=disk, **repository)
    child = modules.vmdk_snapshot(path=disk)["disk"]["path"]
    write(child, 0)
    write(child, 40 * MIB - 65536)
    made = modules.vmdk_backup(path=child, **repository)
    assert how(made) == "changed"
    check(made, child)


def test_a_chain_that_grows_shrinks_and_is_reverted(modules, disk, repository, check):
    settle()
    modules.vmdk_backup(path=disk, name="base", **repository)
    tops, methods = [disk], []
    for step in ("snapshot", "snapshot", "revert", "commit", "snapshot", "snapshot"):
        if step == "snapshot":
            tops.append(modules.vmdk_snapshot(path=tops[-1])["disk"]["path"])
            write(tops[-1], len(tops) * 3 * MIB, pattern=len(tops))
        elif step == "revert":
            modules.vmdk_snapshot(path=tops[-2], child=tops[-1], state="reverted")
        else:
            modules.vmdk_snapshot(path=tops[-2], child=tops[-1], state="absent")
            tops.pop()
        made = modules.vmdk_backup(path=tops[-1], name=f"{len(methods)}", **repository)
        methods.append(how(made))
        check(made, tops[-1])
    assert methods.count("changed") >= 4


def test_a_foreign_redo_log(modules, disk, repository, check, tmp_path):
    """A child that qemu-img made."""
    settle()
    modules.vmdk_backup(path=disk, **repository)
    child = tmp_path / "by-qemu.vmdk"
    subprocess.run(
        ["qemu-img", "create", "-f", "vmdk", "-F", "vmdk", "-b", disk.name, child.name],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )
    write(child, 7 * MIB, 3 * MIB)
    made = modules.vmdk_backup(path=child, **repository)
    assert how(made) == "changed"
    check(made, child)


def test_a_write_with_its_time_set_back_is_noticed(modules, disk, repository, check):
    settle()
    modules.vmdk_backup(path=disk, **repository)
    before = disk.stat()
    write(disk, 0)
    os.utime(disk, ns=(before.st_atime_ns, before.st_mtime_ns))
    made = modules.vmdk_backup(path=disk, **repository)
    assert made["changed"]
    assert how(made) == "incremental"
    check(made, disk)


def test_a_disk_written_to_a_moment_ago_is_read_next_time(modules, disk, repository):
    write(disk, 0)
    modules.vmdk_backup(path=disk, name="first", **repository)
    assert how(modules.vmdk_backup(path=disk, name="second", **repository)) == "incremental"


def test_check_mode_tells_the_same_and_writes_nothing(
    modules, disk, repository, tmp_path, digest_of_tree
):
    settle()
    plain = {"path": disk, **repository}
    modules.vmdk_backup(**plain)
    before = digest_of_tree(tmp_path)
    assert not modules.run("vmdk_backup", check_mode=True, **plain)["changed"]
    assert digest_of_tree(tmp_path) == before
    assert not modules.vmdk_backup(**plain)["changed"]
    child = modules.vmdk_snapshot(path=disk)["disk"]["path"]
    write(child, 0, pattern=0xEE)
    plain["path"] = child
    assert modules.run("vmdk_backup", check_mode=True, **plain)["changed"]
    assert modules.vmdk_backup(**plain)["changed"]
    assert not modules.run("vmdk_backup", check_mode=True, **plain)["changed"]


def test_what_a_lost_pack_held_is_read_although_nothing_changed(modules, disk, repository, check):
    settle()
    modules.vmdk_backup(path=disk, name="first", **repository)
    packs = [
        os.path.join(folder, name)
        for folder, _folders, names in os.walk(os.path.join(repository["repository"], "packs"))
        for name in names
    ]
    os.unlink(max(packs, key=os.path.getsize))
    healed = modules.vmdk_backup(path=disk, name="second", **repository)
    assert healed["restore_point"]["disks"][0]["bytes_new"] > 0
    check(healed, disk)


def test_an_empty_difference_of_a_terabyte_is_quick(modules, repository, tmp_path):
    """Under five seconds; of the processor, as others use it too."""
    big = tmp_path / "big.vmdk"
    modules.vmdk_create(path=big, size="1TiB")
    for number in range(16):
        write(big, number * 60 * 1024 * MIB)
    settle()
    modules.vmdk_backup(path=big, name="first", **repository)
    begin = modules.processor_time
    made = modules.vmdk_backup(path=big, name="second", **repository)
    assert how(made) == "changed"
    assert modules.processor_time - begin < 5
