# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_repository, vmdk_backup, vmdk_restore, vmdk_backup_info: a disk's way there and back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest


def overwrite(path, offset, data):
    """Change a disk as a guest would, with qemu-io."""
    command = f"write -P {data} {offset} 65536"
    subprocess.run(
        ["qemu-io", "-f", "vmdk", "-c", command, str(path)], check=True, capture_output=True
    )


def test_there_and_back(modules, disk, repository, tmp_path, content_by_qemu):
    content = content_by_qemu(disk)
    made = modules.vmdk_backup(path=disk, name="first", **repository)
    assert made["changed"]
    assert made["restore_point"]["disks"][0]["method"] == "full"
    restored = {"restore_point": "web01@first", "dest": tmp_path / "back.vmdk", **repository}
    first = modules.vmdk_restore(**restored)
    assert first["changed"]
    assert first["restore_point"]["id"] == made["restore_point"]["id"]
    assert content_by_qemu(tmp_path / "back.vmdk") == content
    assert not modules.vmdk_restore(**restored)["changed"]


def test_second_backup_is_incremental_and_the_first_stays(
    modules, disk, repository, tmp_path, content_by_qemu
):
    before = content_by_qemu(disk)
    modules.vmdk_backup(path=disk, name="first", **repository)
    overwrite(disk, 20 << 20, 0x5A)
    after = content_by_qemu(disk)
    second = modules.vmdk_backup(path=disk, name="second", **repository)
    assert second["restore_point"]["disks"][0]["method"] == "incremental"
    assert second["restore_point"]["disks"][0]["bytes_new"] == 1 << 20
    for point, content in (("first", before), ("second", after), ("latest", after)):
        dest = tmp_path / f"{point}.vmdk"
        modules.vmdk_restore(restore_point=f"web01@{point}", dest=dest, **repository)
        assert content_by_qemu(dest) == content


def test_a_name_that_exists_is_enough(modules, disk, repository):
    first = modules.vmdk_backup(path=disk, name="nightly", **repository)
    overwrite(disk, 0, 1)
    again = modules.vmdk_backup(path=disk, name="nightly", **repository)
    assert not again["changed"]
    assert again["restore_point"]["id"] == first["restore_point"]["id"]


def test_max_age(modules, disk, repository):
    assert modules.vmdk_backup(path=disk, max_age="12h", **repository)["changed"]
    assert not modules.vmdk_backup(path=disk, max_age="12h", **repository)["changed"]
    time.sleep(1.1)
    assert modules.vmdk_backup(path=disk, max_age="1s", **repository)["changed"]


def test_bounds_of_threads_and_memory(modules, disk, repository):
    plain = {"path": disk, **repository}
    refused = modules.fail("vmdk_backup", check_mode=True, memory_limit="64M", **plain)
    assert "at least 256.0 MiB" in refused["msg"]
    assert "1 to 64" in modules.fail("vmdk_backup", workers=0, **plain)["msg"]
    assert modules.vmdk_backup(workers=1, memory_limit="256M", **plain)["changed"]


def test_without_a_key_the_content_decides(modules, disk, repository):
    plain = {"path": disk, **repository}
    assert modules.run("vmdk_backup", check_mode=True, **plain)["changed"]
    assert modules.vmdk_backup(**plain)["changed"]
    assert not modules.run("vmdk_backup", check_mode=True, **plain)["changed"]
    assert not modules.vmdk_backup(**plain)["changed"]
    overwrite(disk, 0, 1)
    assert modules.run("vmdk_backup", check_mode=True, **plain)["changed"]
    assert modules.vmdk_backup(**plain)["changed"]
    assert len(modules.vmdk_backup_info(**repository)["restore_points"]) == 2


def test_a_restore_replaces_with_force_only(modules, make_disk, repository, content_by_qemu):
    disk, other = make_disk("web01.vmdk", seed=1), make_disk("other.vmdk", seed=2)
    modules.vmdk_backup(path=disk, **repository)
    kept = content_by_qemu(other)
    wanted = {"restore_point": "web01@latest", "dest": other, **repository}
    assert "force" in modules.fail("vmdk_restore", **wanted)["msg"]
    assert content_by_qemu(other) == kept
    assert modules.vmdk_restore(force=True, **wanted)["changed"]
    assert content_by_qemu(other) == content_by_qemu(disk)


def test_a_restored_disk_is_what_it_was(modules, make_disk, repository, tmp_path):
    disk = make_disk(disk_type="twoGbMaxExtentSparse")
    modules.vmdk_create(path=disk, adapter_type="ide", metadata={"comment": "golden"})
    modules.vmdk_backup(path=disk, **repository)
    dest = tmp_path / "back.vmdk"
    modules.vmdk_restore(restore_point="web01@latest", dest=dest, **repository)
    before, after = (modules.vmdk_info(path=path)["disk"] for path in (disk, dest))
    for key in ("disk_type", "adapter_type", "hw_version", "uuid", "size"):
        assert after[key] == before[key]
    assert after["metadata"]["comment"] == "golden"


def test_any_point_becomes_a_stream_for_import(modules, make_disk, repository, content_by_qemu):
    disk = make_disk()
    modules.vmdk_backup(path=disk, name="first", **repository)
    first = content_by_qemu(disk)
    overwrite(disk, 20 << 20, 0x5A)
    modules.vmdk_backup(path=disk, name="second", **repository)
    for name, content in (("first", first), ("second", content_by_qemu(disk))):
        dest = disk.with_name(f"export-{name}.vmdk")
        options = {"restore_point": f"web01@{name}", "dest": dest, "verify": True, **repository}
        made = modules.vmdk_restore(disk_type="streamOptimized", **options)
        assert made["disk"]["disk_type"] == "streamOptimized"
        assert content_by_qemu(dest) == content


def test_any_point_becomes_a_raw_file(
    modules, disk, repository, tmp_path, content_by_qemu, digest_of_file
):
    modules.vmdk_backup(path=disk, name="first", **repository)
    modules.vmdk_restore(restore_point="web01@first", dest=tmp_path / "web01.img", **repository)
    assert digest_of_file(tmp_path / "web01.img") == content_by_qemu(disk)


def test_info_lists_lineage(modules, disk, repository):
    modules.vmdk_backup(path=disk, name="first", **repository)
    modules.vmdk_backup(path=disk, name="second", **repository)
    listed = modules.vmdk_backup_info(source="web01", **repository)
    assert [point["name"] for point in listed["restore_points"]] == ["first", "second"]
    assert listed["problems"] == []
    assert listed["sizes"]["logical"] == 2 * (40 << 20)
    assert 0 < listed["sizes"]["stored"] < 40 << 20
    assert modules.vmdk_backup_info(source="nobody", **repository)["restore_points"] == []


def test_info_reads_a_disk_in_a_restore_point(modules, disk, repository, content_by_qemu):
    modules.vmdk_backup(path=disk, name="first", **repository)
    facts = modules.vmdk_info(path="web01@first#disk0", digest=True, **repository)["disk"]
    assert facts["digest"] == content_by_qemu(disk)


def test_repository_second_run_and_absent(modules, disk, repository, tmp_path):
    mine = {"url": repository["repository"], "passphrase": repository["passphrase"]}
    assert not modules.vmdk_repository(**mine)["changed"]
    modules.vmdk_backup(path=disk, name="first", **repository)
    assert "restore point" in modules.fail("vmdk_repository", state="absent", **mine)["msg"]
    empty = {"url": tmp_path / "empty", "encryption": "none"}
    assert modules.vmdk_repository(**empty)["changed"]
    assert not modules.vmdk_repository(**empty)["changed"]
    assert modules.vmdk_repository(state="absent", **empty)["changed"]
    assert not (tmp_path / "empty").exists()
    assert not modules.vmdk_repository(state="absent", **empty)["changed"]


def test_an_unencrypted_repository_works_without_passphrase(
    modules, disk, tmp_path, content_by_qemu
):
    url = tmp_path / "open"
    modules.vmdk_repository(url=url, encryption="none")
    modules.vmdk_backup(path=disk, repository=url)
    dest = tmp_path / "back.vmdk"
    modules.vmdk_restore(restore_point="web01@latest", repository=url, dest=dest)
    assert content_by_qemu(dest) == content_by_qemu(disk)


def test_secrets_are_not_in_results(modules, disk, repository):
    made = modules.vmdk_backup(path=disk, **repository)
    assert repository["passphrase"] not in str(made)


@pytest.mark.parametrize("delay", [0.25, 0.35, 0.45, 0.6])
def test_a_killed_backup_leaves_no_point_and_the_next_succeeds(
    modules, disk, repository, tmp_path, content_by_qemu, delay
):
    name = "ansible_collections.vdisk.lifecycle.plugins.modules.vmdk_backup"
    arguments = {"path": str(disk), "name": "first", **repository}
    job = subprocess.Popen(
        [sys.executable, "-m", name, str({"ANSIBLE_MODULE_ARGS": arguments}).replace("'", '"')],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(delay)
    os.kill(job.pid, signal.SIGKILL)
    job.wait()
    listed = modules.vmdk_backup_info(**repository)
    assert listed["problems"] == []
    modules.vmdk_backup(path=disk, name="first", **repository)
    dest = tmp_path / "back.vmdk"
    modules.vmdk_restore(restore_point="web01@first", dest=dest, **repository)
    assert content_by_qemu(dest) == content_by_qemu(disk)
