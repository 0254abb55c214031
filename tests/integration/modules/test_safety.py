# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to lose a disk that somebody has tried, and that must not work (again)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_copy_over_an_extent_of_the_source(modules, make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat")
    extent = path.with_name("disk-flat.vmdk")
    failed = modules.fail("vmdk_clone", src=path, dest=extent, force=True)
    assert "consists of" in failed["msg"]


def test_a_disk_type_for_a_name_that_is_no_vmdk(modules, disk, tmp_path):
    failed = modules.fail(
        "vmdk_clone", src=disk, dest=tmp_path / "x.img", disk_type="streamOptimized"
    )
    assert ".vmdk" in failed["msg"]
    assert not (tmp_path / "x.img").exists()


def test_a_character_device_is_no_place_for_a_disk(modules, disk, tmp_path):
    null = tmp_path / "null"
    os.mknod(null, 0o20666, os.makedev(1, 3))
    modules.fail("vmdk_clone", src=disk, dest=null, force=True)
    assert null.is_char_device()


@pytest.mark.parametrize("name", ["x.img", "x.vmdk"])
def test_a_pipe_does_not_hang(modules, tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert modules.fail("vmdk_info", path=tmp_path / name)["error"]["kind"] == "NotADisk"


def test_a_symbolic_link_to_a_raw_disk_is_followed(modules, disk, tmp_path, content_by_qemu):
    real, link = tmp_path / "real.img", tmp_path / "link.img"
    real.write_bytes(b"old")
    link.symlink_to(real)
    modules.vmdk_clone(src=disk, dest=link, force=True)
    assert link.is_symlink()
    assert modules.vmdk_info(path=real, digest=True)["disk"]["digest"] == content_by_qemu(disk)


def test_a_linked_clone_is_not_taken_for_a_copy(modules, disk, tmp_path):
    child = tmp_path / "child.vmdk"
    modules.vmdk_clone(src=disk, dest=child, linked=True)
    assert "parent" in modules.fail("vmdk_clone", src=disk, dest=child)["msg"]
    assert modules.vmdk_clone(src=disk, dest=child, force=True)["changed"]
    assert modules.vmdk_info(path=child)["disk"]["chain"] == [str(child)]


@pytest.mark.parametrize("name", ["kept.vmdk", "kept.img"])
def test_owner_and_mode_are_kept(modules, make_disk, tmp_path, name):
    source, kept = make_disk("a.vmdk", seed=1), tmp_path / name
    modules.vmdk_clone(src=make_disk("b.vmdk", seed=2), dest=kept)
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.chmod(0o640)
    os.chown(kept, 65534, 65534)
    modules.vmdk_clone(src=source, dest=kept, force=True)
    assert (kept.stat().st_mode & 0o777, kept.stat().st_uid) == (0o640, 65534)


def test_odd_raw_disks_can_be_restored_as_vmdk(modules, repository, tmp_path, digest_of_file):
    raw = tmp_path / "odd.img"
    raw.write_bytes(b"odd" * 333)
    modules.vmdk_backup(path=raw, **repository)
    for name, size in (("back.vmdk", 1024), ("back.img", 999)):
        wanted = {"restore_point": "odd@latest", "dest": tmp_path / name, **repository}
        assert modules.vmdk_restore(**wanted)["disk"]["size"] == size
        assert not modules.vmdk_restore(**wanted)["changed"]
    assert digest_of_file(tmp_path / "back.img") == digest_of_file(raw)


def test_adapters_of_other_products_survive(modules, disk, repository, tmp_path):
    modules.vmdk_create(path=disk, metadata={"adapterType": "pvscsi"})
    modules.vmdk_convert(path=disk, disk_type="monolithicFlat")
    modules.vmdk_backup(path=disk, **repository)
    dest = tmp_path / "back.vmdk"
    modules.vmdk_restore(restore_point="web01@latest", dest=dest, **repository)
    assert modules.vmdk_info(path=dest)["disk"]["adapter_type"] == "pvscsi"


def test_the_same_path_on_another_host_is_another_disk(modules, make_disk, repository):
    """Two golden copies at the same path, and a repository that the hosts share."""
    disk = make_disk()
    modules.vmdk_backup(path=disk, name="before", **repository)
    arguments = str({"ANSIBLE_MODULE_ARGS": {"path": str(disk), "name": "before", **repository}})
    module = "ansible_collections.vdisk.lifecycle.plugins.modules.vmdk_backup"
    script = f'hostname other-host && exec {sys.executable} -m {module} "$0"'
    done = subprocess.run(
        ["unshare", "--uts", "sh", "-c", script, arguments.replace("'", '"')],
        capture_output=True,
        text=True,
        check=True,
    )
    assert '"changed": true' in done.stdout


def test_a_raw_disk_that_is_mounted_is_in_use(modules, tmp_path, repository):
    raw = tmp_path / "data.img"
    subprocess.run(["mkfs.ext4", "-q", "-F", str(raw), "20M"], check=True)
    arguments = {"path": raw, "mount_point": tmp_path / "mnt", "read_only": False}
    modules.vmdk_mount(**arguments)
    try:
        for module, wanted in (
            ("vmdk_backup", {"path": raw, **repository}),
            ("vmdk_clone", {"src": raw, "dest": tmp_path / "copy.img"}),
        ):
            assert modules.fail(module, **wanted)["error"]["kind"] == "DiskInUse"
    finally:
        modules.vmdk_mount(mount_point=tmp_path / "mnt", state="unmounted")


def test_a_mounted_block_device_is_not_overwritten(modules, disk, tmp_path):
    image, point = tmp_path / "device.raw", tmp_path / "mnt"
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image), "60M"], check=True)
    point.mkdir()
    device = subprocess.run(
        ["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True
    ).stdout.strip()
    subprocess.run(["mount", device, str(point)], check=True)
    try:
        failed = modules.fail("vmdk_clone", src=disk, dest=device, force=True)
        assert failed["error"]["kind"] == "DiskInUse"
    finally:
        subprocess.run(["umount", str(point)], check=True)
        subprocess.run(["losetup", "-d", device], check=True)
    subprocess.run(["e2fsck", "-fn", str(image)], check=True, capture_output=True)


def test_a_mounted_flat_disk_is_not_deleted(modules, tmp_path):
    raw = tmp_path / "data.img"
    subprocess.run(["mkfs.ext4", "-q", "-F", str(raw), "20M"], check=True)
    path = tmp_path / "data.vmdk"
    modules.vmdk_clone(src=raw, dest=path, disk_type="monolithicFlat")
    modules.vmdk_mount(path=path, mount_point=tmp_path / "mnt", read_only=False)
    try:
        failed = modules.fail("vmdk_create", path=path, state="absent")
        assert failed["error"]["kind"] == "DiskInUse"
        assert path.with_name("data-flat.vmdk").exists()
    finally:
        modules.vmdk_mount(mount_point=tmp_path / "mnt", state="unmounted")


@pytest.mark.parametrize(
    "arguments",
    [
        {"size": "41943041"},
        {"size": "64MiB", "state": "present", "metadata": {"note": "two\nlines"}},
        {"metadata": {"a b": "c"}},
    ],
)
def test_check_mode_foresees_what_cannot_be(modules, disk, digest_of_tree, tmp_path, arguments):
    before = digest_of_tree(tmp_path)
    for check_mode in (True, False):
        modules.fail("vmdk_create", check_mode, path=disk, **arguments)
    assert digest_of_tree(tmp_path) == before


def test_check_mode_foresees_that_a_parent_cannot_grow(modules, disk, tmp_path):
    modules.vmdk_clone(src=disk, dest=tmp_path / "child.vmdk", linked=True)
    for check_mode in (True, False):
        modules.fail("vmdk_create", check_mode, path=disk, size="80MiB")


@pytest.mark.parametrize("arguments", [{"name": "a@b"}, {"mode": "incremental"}])
def test_check_mode_foresees_what_is_no_backup(modules, disk, repository, arguments):
    for check_mode in (True, False):
        modules.fail("vmdk_backup", check_mode, path=disk, **arguments, **repository)


def test_missing_folder_is_foreseen(modules, disk, tmp_path):
    nowhere = tmp_path / "no" / "where"
    for check_mode in (True, False):
        for module, wanted in (
            ("vmdk_create", {"path": nowhere / "x.vmdk", "size": "1MiB"}),
            ("vmdk_clone", {"src": disk, "dest": nowhere / "x.vmdk"}),
            ("vmdk_clone", {"src": disk, "dest": nowhere / "x.img"}),
            ("vmdk_clone", {"src": disk, "dest": nowhere / "x.vmdk", "linked": True}),
        ):
            failed = modules.fail(module, check_mode, **wanted)
            assert str(Path(nowhere)) in failed["msg"]


def test_a_restore_into_the_repository_itself_is_refused(modules, disk, repository, digest_of_tree):
    modules.vmdk_backup(path=disk, **repository)
    before = digest_of_tree(Path(repository["repository"]))
    for name in ("packs/web01.vmdk", "web01.img"):
        dest = Path(repository["repository"], name)
        failed = modules.fail(
            "vmdk_restore", restore_point="web01@latest", dest=dest, force=True, **repository
        )
        assert "into the repository itself" in failed["msg"]
    assert digest_of_tree(Path(repository["repository"])) == before
