# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What users get wrong: each has one clear message, and nothing is lost or left behind."""

from __future__ import annotations

import os
import subprocess

import pytest


def verbs(path, tmp_path, repository):
    """Every module that takes a disk, as (module, arguments)."""
    return [
        ("vmdk_info", {"path": path}),
        ("vmdk_clone", {"src": path, "dest": tmp_path / "new.vmdk"}),
        ("vmdk_convert", {"path": path, "disk_type": "monolithicFlat"}),
        ("vmdk_backup", {"path": path, **repository}),
        ("vmdk_mount", {"path": path, "mount_point": tmp_path / "mnt"}),
    ]


def all_fail(modules, path, tmp_path, repository, digest_of_tree):
    before = digest_of_tree(tmp_path)
    for module, arguments in verbs(path, tmp_path, repository):
        failed = modules.fail(module, **arguments)
        # the disk itself, or the extent of it that is bad
        assert str(path.with_suffix("")) in failed["msg"], failed["msg"]
        yield failed
    assert digest_of_tree(tmp_path) == before


@pytest.fixture
def check(modules, tmp_path, repository, digest_of_tree):
    return lambda path: all_fail(modules, path, tmp_path, repository, digest_of_tree)


def test_missing_file(check, tmp_path):
    for failed in check(tmp_path / "no-such.vmdk"):
        assert failed["error"]["kind"] == "DiskNotFound"


def test_a_name_that_clears_the_screen(modules, tmp_path):
    failed = modules.fail("vmdk_info", path=tmp_path / "日本\x1b[2J\u202e.vmdk")
    assert "日本\\x1b[2J\\u202e.vmdk: cannot open it" in failed["msg"]
    assert failed["error"]["path"] == str(tmp_path / "日本\x1b[2J\u202e.vmdk")


def test_a_user_without_a_folder_for_the_state_of_mounts(modules, disk, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", "/sys/none")  # where root may not make one, either
    failed = modules.fail("vmdk_resize", path=disk, size="80MiB", grow_partition=True)
    assert failed["error"]["kind"] == "MountFailed"
    assert "become: true" in failed["msg"] and "VDISK_RUN_DIR" in failed["msg"]


def test_directory(check, tmp_path):
    (tmp_path / "folder.vmdk").mkdir()
    for failed in check(tmp_path / "folder.vmdk"):
        assert "directory" in failed["msg"]


def test_not_a_vmdk(check, tmp_path):
    (tmp_path / "letter.vmdk").write_text("Dear disk,\nhow are you?\n" * 100)
    for failed in check(tmp_path / "letter.vmdk"):
        assert failed["error"]["kind"] == "NotADisk"


def test_empty_file(check, tmp_path):
    (tmp_path / "empty.vmdk").write_bytes(b"")
    for failed in check(tmp_path / "empty.vmdk"):
        assert failed["error"]["kind"] == "NotADisk"


@pytest.mark.parametrize("disk_type", ["monolithicFlat", "twoGbMaxExtentFlat", "vmfs"])
def test_truncated_flat_extent(check, make_disk, disk_type):
    path = make_disk("cut.vmdk", disk_type)
    extent = next(entry for entry in path.parent.glob("cut-*.vmdk"))
    with open(extent, "r+b") as stream:
        stream.truncate(10_000_000)
    for failed in check(path):
        assert failed["error"]["kind"] == "TruncatedDisk"
        assert extent.name in failed["msg"]


def test_missing_extent(check, make_disk):
    path = make_disk("cut.vmdk", "monolithicFlat")
    (path.parent / "cut-flat.vmdk").unlink()
    for failed in check(path):
        assert failed["error"]["kind"] == "DiskNotFound"
        assert "cut-flat.vmdk" in failed["msg"]


def test_truncated_sparse_disk_is_never_read_as_zeros(modules, disk, tmp_path):
    with open(disk, "r+b") as stream:
        stream.truncate(disk.stat().st_size - 100_000)
    failed = modules.fail("vmdk_clone", src=disk, dest=tmp_path / "copy.vmdk")
    assert failed["error"]["kind"] == "TruncatedDisk"
    assert not (tmp_path / "copy.vmdk").exists()
    assert list(tmp_path.glob("*tmp*")) == []


def test_extent_outside_of_the_folder(modules, tmp_path, make_disk):
    path = make_disk("disk.vmdk", "monolithicFlat")
    (tmp_path / "vm").mkdir()
    path.rename(tmp_path / "vm" / "disk.vmdk")
    descriptor = tmp_path / "vm" / "disk.vmdk"
    descriptor.write_text(descriptor.read_text().replace("disk-flat.vmdk", "../disk-flat.vmdk"))
    failed = modules.fail("vmdk_info", path=descriptor)
    assert failed["error"]["kind"] == "UnsafePath"
    assert modules.vmdk_info(path=descriptor, allow_outside=[str(tmp_path)])["disk"]["size"]


@pytest.mark.parametrize("disk_type", ["monolithicSparse", "monolithicFlat", "streamOptimized"])
def test_no_space_leaves_nothing(modules, disk, small_file_system, disk_type):
    wanted = {"src": disk, "dest": small_file_system / "copy.vmdk", "disk_type": disk_type}
    failed = modules.fail("vmdk_clone", **wanted)
    assert failed["error"]["kind"] == "NoSpace"
    assert list(small_file_system.iterdir()) == []


def test_no_space_in_the_repository_leaves_no_point(modules, make_disk, small_file_system):
    small = {"repository": small_file_system / "repository", "passphrase": "x"}
    modules.vmdk_repository(url=small["repository"], passphrase="x")
    raw = make_disk().with_suffix(".img")
    subprocess.run(["dd", "if=/dev/urandom", f"of={raw}", "bs=1M", "count=20"], check=True)
    failed = modules.fail("vmdk_backup", path=raw, **small)
    assert failed["error"]["kind"] == "NoSpace"
    assert modules.vmdk_backup_info(**small)["restore_points"] == []


def test_no_space_while_converting_keeps_the_disk(modules, tmp_path, small_file_system):
    dest, raw = small_file_system / "disk.vmdk", tmp_path / "easy.raw"
    raw.write_bytes(b"easy to compress" * (1 << 20))
    modules.vmdk_clone(src=raw, dest=dest, disk_type="streamOptimized")
    before = modules.vmdk_info(path=dest, digest=True)["disk"]["digest"]
    failed = modules.fail("vmdk_convert", path=dest, disk_type="monolithicFlat")
    assert failed["error"]["kind"] == "NoSpace"
    assert [entry.name for entry in small_file_system.iterdir()] == ["disk.vmdk"]
    assert modules.vmdk_info(path=dest, digest=True)["disk"]["digest"] == before


def test_wrong_passphrase(modules, disk, repository, digest_of_tree, tmp_path):
    modules.vmdk_backup(path=disk, name="first", **repository)
    before = digest_of_tree(tmp_path)
    wrong = {"repository": repository["repository"], "passphrase": "Tr0ub4dor&3"}
    for module, arguments in (
        ("vmdk_backup", {"path": disk}),
        ("vmdk_backup_info", {}),
        ("vmdk_restore", {"restore_point": "web01@first", "dest": tmp_path / "back.vmdk"}),
        ("vmdk_mount", {"path": "web01@first", "mount_point": tmp_path / "mnt"}),
        ("vmdk_info", {"path": "web01@first"}),
    ):
        failed = modules.fail(module, **arguments, **wrong)
        assert failed["error"]["kind"] == "WrongKey"
        assert "Tr0ub4dor" not in str(failed)
    assert digest_of_tree(tmp_path) == before


def test_missing_passphrase_names_option_and_variable(modules, repository, monkeypatch):
    monkeypatch.delenv("VDISK_PASSPHRASE", raising=False)
    failed = modules.fail("vmdk_backup_info", repository=repository["repository"])
    assert "VDISK_PASSPHRASE" in failed["msg"]


def test_passphrase_from_the_environment(modules, repository, monkeypatch):
    monkeypatch.setenv("VDISK_PASSPHRASE", repository["passphrase"])
    assert modules.vmdk_backup_info(repository=repository["repository"])["restore_points"] == []


def test_no_repository(modules, disk, tmp_path):
    failed = modules.fail("vmdk_backup", path=disk, repository=tmp_path / "nowhere", passphrase="x")
    assert failed["error"]["kind"] == "RepositoryNotFound"
    assert "vmdk_repository" in failed["msg"]


def test_a_folder_with_other_things_is_no_place_for_a_repository(modules, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("meow")
    for check_mode in (True, False):
        modules.fail("vmdk_repository", check_mode, url=tmp_path / "photos", passphrase="x")
    assert [entry.name for entry in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


@pytest.mark.parametrize("point", ["web01@second", "web02@first", "web01@first#disk7"])
def test_unknown_restore_point_lists_what_there_is(modules, disk, repository, tmp_path, point):
    modules.vmdk_backup(path=disk, name="first", **repository)
    wanted = {"restore_point": point, "dest": tmp_path / "back.vmdk", **repository}
    failed = modules.fail("vmdk_restore", **wanted)
    assert failed["error"]["kind"] == "RestorePointNotFound"
    assert "first" in failed["msg"] or "disk0" in failed["msg"]
    assert not (tmp_path / "back.vmdk").exists()


@pytest.mark.parametrize("reference", ["ftp://host/disk", "", "web01@latest"])
def test_a_reference_that_fits_nothing_lists_the_forms(modules, reference):
    failed = modules.fail("vmdk_info", path=reference)
    assert failed["error"]["kind"] == "BadReference"
    for form in ("/srv/vm/web01.vmdk", "/dev/sdb", "[datastore1]", "nbd://", "web01@latest"):
        assert form in failed["msg"]


def test_a_server_that_is_not_there(modules):
    failed = modules.fail("vmdk_info", path="nbd://127.0.0.1:1/x")
    assert failed["error"]["kind"] == "ServerUnreachable"
    assert "nbd://127.0.0.1:1/x" in failed["msg"]


def test_a_managed_disk_without_a_vcenter(modules, monkeypatch):
    for variable in ("VMWARE_HOST", "VMWARE_USER", "VMWARE_PASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    failed = modules.fail("vmdk_info", path="[datastore1] web01/web01.vmdk")
    assert "the option hostname and username and password must be given" in failed["msg"]


def test_a_vmdk_under_another_name_is_not_read_as_raw(modules, disk, tmp_path):
    disk.rename(tmp_path / "disk.img")
    failed = modules.fail("vmdk_info", path=tmp_path / "disk.img")
    assert ".vmdk" in failed["msg"]


@pytest.mark.parametrize("library", ["zstandard", "blake3", "cryptography"])
def test_missing_library_is_named(modules, disk, repository, library, hide_library):
    hide_library(library)
    failed = modules.fail("vmdk_backup", path=disk, **repository)
    assert failed["error"]["kind"] == "MissingLibrary"
    assert library in failed["msg"]
    assert "pip install" in failed["msg"]


def test_missing_fuse_library_is_named(modules, disk, tmp_path, hide_library):
    hide_library("mfusepy")
    subprocess.run(["mkfs.ext4", "-q", "-F", str(tmp_path / "bare.raw"), "20M"], check=True)
    modules.vmdk_clone(src=tmp_path / "bare.raw", dest=tmp_path / "bare.vmdk")
    failed = modules.fail("vmdk_mount", path=tmp_path / "bare.vmdk", mount_point=tmp_path / "mnt")
    assert "mfusepy" in failed["msg"]
    assert not (tmp_path / "mnt").exists()


def test_plain_disks_need_no_library(modules, disk, tmp_path, hide_library):
    for library in ("zstandard", "blake3", "cryptography", "mfusepy", "isal"):
        hide_library(library)
    modules.vmdk_clone(src=disk, dest=tmp_path / "copy.vmdk", disk_type="streamOptimized")
    modules.vmdk_convert(path=tmp_path / "copy.vmdk", disk_type="vmfs")
    modules.vmdk_create(path=tmp_path / "copy.vmdk", size="50MiB")
    modules.vmdk_info(path=tmp_path / "copy.vmdk", digest=True, partitions=True)


@pytest.fixture
def hide_library(tmp_path_factory, monkeypatch):
    """hide_library(name): importing it fails, as if it was not installed."""
    folder, collections = tmp_path_factory.mktemp("hidden"), os.environ["PYTHONPATH"]

    def hide(name):
        (folder / f"{name}.py").write_text(f"raise ImportError('no {name}')\n")
        monkeypatch.setenv("PYTHONPATH", f"{folder}:{collections}")

    return hide
