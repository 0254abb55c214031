# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_mount on every kind of disk: files written by the kernel, judged by debugfs and e2fsck."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

WRITABLE = [
    "monolithicSparse",
    "monolithicFlat",
    "twoGbMaxExtentSparse",
    "twoGbMaxExtentFlat",
    "vmfs",
]
START = 2048 * 512


def run(*command, **options):
    return subprocess.run(
        [str(word) for word in command], check=True, capture_output=True, text=True, **options
    ).stdout


@pytest.fixture
def guest(tmp_path, modules):
    """guest(disk_type): a VMDK of 96 MiB with a GPT and an ext4 file system, labelled root."""

    def make(disk_type="monolithicSparse", name="web01.vmdk"):
        raw = tmp_path / "guest.raw"
        with open(raw, "wb") as stream:
            stream.truncate(96 << 20)
        run("sfdisk", "--quiet", "--label", "gpt", raw, input="start=2048, type=linux\n")
        files = tmp_path / "files"
        files.mkdir(exist_ok=True)
        (files / "greeting").write_text("hello from inside\n")
        size = f"{(94 << 20) // 1024}k"
        options = f"offset={START}"
        run("mkfs.ext4", "-q", "-L", "root", "-d", files, "-E", options, raw, size)
        modules.vmdk_clone(src=raw, dest=tmp_path / name, disk_type=disk_type)
        raw.unlink()
        return tmp_path / name

    return make


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path, modules, monkeypatch):
    """Whatever a test did: afterwards no mount, loop device or process of ours is there."""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    yield
    modules.vmdk_mount(mount_point=tmp_path / "mnt", state="unmounted")
    assert str(tmp_path) not in Path("/proc/mounts").read_text(encoding="utf-8")
    assert str(tmp_path) not in run("losetup", "--list", "--noheadings", "--output", "BACK-FILE")
    assert not (tmp_path / "mnt").exists()


def inside(path, name, tmp_path):
    """A file of the guest, read by debugfs from what qemu-img makes of the disk."""
    raw = tmp_path / "judge.raw"
    run("qemu-img", "convert", "-O", "raw", path, raw)
    with open(raw, "r+b") as stream:
        partition = tmp_path / "judge.ext4"
        stream.seek(START)
        partition.write_bytes(stream.read(94 << 20))
    raw.unlink()
    run("e2fsck", "-fn", partition)
    return run("debugfs", "-R", f"cat /{name}", partition)


@pytest.mark.parametrize("disk_type", [*WRITABLE, "streamOptimized"])
def test_read_only(modules, guest, tmp_path, content_by_qemu, disk_type):
    path, point = guest(disk_type), tmp_path / "mnt"
    before = content_by_qemu(path)
    first = modules.vmdk_mount(path=path, mount_point=point)
    assert first["changed"]
    assert first["mount"]["volume"]["label"] == "root"
    assert (point / "greeting").read_text() == "hello from inside\n"
    with pytest.raises(OSError, match="Read-only"):
        (point / "new").write_text("no")
    assert not modules.vmdk_mount(path=path, mount_point=point)["changed"]
    assert modules.vmdk_mount(mount_point=point, state="unmounted")["changed"]
    assert not modules.vmdk_mount(mount_point=point, state="unmounted")["changed"]
    assert content_by_qemu(path) == before


@pytest.mark.parametrize("disk_type", WRITABLE)
def test_written_files_are_in_the_disk(modules, guest, tmp_path, disk_type):
    path, point = guest(disk_type), tmp_path / "mnt"
    cid = modules.vmdk_info(path=path)["disk"]["cid"]
    arguments = {"path": path, "mount_point": point, "read_only": False}
    assert modules.vmdk_mount(**arguments)["changed"]
    text = "".join(f"line {number}\n" for number in range(100_000))
    (point / "new").write_text(text)
    assert not modules.vmdk_mount(**arguments)["changed"]
    modules.vmdk_mount(mount_point=point, state="unmounted")
    assert inside(path, "new", tmp_path) == text
    after = modules.vmdk_info(path=path)["disk"]
    assert after["flags"] == []
    assert after["cid"] != cid


def test_a_disk_that_is_mounted_for_writing_is_in_use(modules, guest, tmp_path):
    for disk_type in ("monolithicSparse", "monolithicFlat"):
        path, point = guest(disk_type, f"{disk_type}.vmdk"), tmp_path / "mnt"
        modules.vmdk_mount(path=path, mount_point=point, read_only=False)
        failed = modules.fail("vmdk_clone", src=path, dest=tmp_path / "copy.vmdk")
        assert failed["error"]["kind"] == "DiskInUse"
        holder = "(vdisk-mount)" if disk_type == "monolithicSparse" else "/dev/loop"
        assert holder in failed["error"]["found"]
        modules.vmdk_mount(mount_point=point, state="unmounted")


def test_a_stream_is_not_mounted_for_writing(modules, guest, tmp_path):
    path = guest("streamOptimized")
    failed = modules.fail("vmdk_mount", path=path, mount_point=tmp_path / "mnt", read_only=False)
    assert "vmdk_convert" in failed["msg"]
    assert not (tmp_path / "mnt").exists()


def test_restore_point(modules, guest, tmp_path, repository):
    path, point = guest(), tmp_path / "mnt"
    modules.vmdk_backup(path=path, name="first", **repository)
    arguments = {"path": "web01@latest", "mount_point": point, **repository}
    assert modules.vmdk_mount(**arguments)["changed"]
    assert (point / "greeting").read_text() == "hello from inside\n"
    assert not modules.vmdk_mount(**arguments)["changed"]


def test_repository_is_found_from_another_working_directory(
    modules, guest, tmp_path, repository, monkeypatch
):
    """That of the process which serves the disk."""
    modules.vmdk_backup(path=guest(), name="first", **repository)
    monkeypatch.chdir(tmp_path)
    near = {**repository, "repository": os.path.relpath(repository["repository"])}
    modules.vmdk_mount(path="web01@latest", mount_point=tmp_path / "mnt", **near)
    assert (tmp_path / "mnt/greeting").read_text() == "hello from inside\n"


def test_check_mode_foretells_what_cannot_be_written(modules, tmp_path):
    (tmp_path / "tree").mkdir()
    run("mksquashfs", tmp_path / "tree", tmp_path / "s.img", "-quiet", "-no-progress")
    options = {"path": tmp_path / "s.img", "mount_point": tmp_path / "mnt", "read_only": False}
    failed = modules.fail("vmdk_mount", check_mode=True, **options)
    assert "can only be mounted read-only: it is squashfs" in failed["msg"]


def test_writing_to_a_restore_point_never_changes_it(modules, guest, tmp_path, repository):
    path, point = guest(), tmp_path / "mnt"
    modules.vmdk_backup(path=path, name="first", **repository)
    arguments = {"path": "web01@first", "mount_point": point, "read_only": False, **repository}
    modules.vmdk_mount(**arguments)
    (point / "greeting").write_text("overwritten")
    modules.vmdk_mount(mount_point=point, state="unmounted")
    modules.vmdk_mount(**arguments)
    assert (point / "greeting").read_text() == "hello from inside\n"


def test_linked_clone_is_written_without_touching_its_parent(
    modules, guest, tmp_path, content_by_qemu
):
    parent, point = guest(), tmp_path / "mnt"
    before = content_by_qemu(parent)
    child = tmp_path / "child.vmdk"
    modules.vmdk_clone(src=parent, dest=child, linked=True)
    modules.vmdk_mount(path=child, mount_point=point, read_only=False)
    (point / "greeting").write_text("changed in the child\n")
    modules.vmdk_mount(mount_point=point, state="unmounted")
    assert content_by_qemu(parent) == before
    assert inside(child, "greeting", tmp_path) == "changed in the child\n"


def test_a_busy_mount_names_who_holds_it(modules, guest, tmp_path):
    path, point = guest(), tmp_path / "mnt"
    modules.vmdk_mount(path=path, mount_point=point)
    with open(point / "greeting", encoding="utf-8"):
        failed = modules.fail("vmdk_mount", mount_point=point, state="unmounted")
        assert str(os.getpid()) in failed["msg"]
        assert (point / "greeting").exists()
    assert modules.vmdk_mount(mount_point=point, state="unmounted")["changed"]


def test_a_dead_daemon_is_cleaned_up_by_the_next_run(modules, guest, tmp_path):
    path, point = guest(), tmp_path / "mnt"
    modules.vmdk_mount(path=path, mount_point=point)
    for process in Path("/proc").glob("[0-9]*"):
        maps = process / "maps"
        try:
            served = "libfuse3" in maps.read_text() and str(path) in str(
                [os.readlink(fd) for fd in (process / "fd").iterdir()]
            )
        except OSError:
            continue
        if served:
            os.kill(int(process.name), signal.SIGKILL)
    again = modules.vmdk_mount(path=path, mount_point=point)
    assert again["changed"]
    assert (point / "greeting").read_text() == "hello from inside\n"


def test_another_disk_at_the_same_mount_point(modules, guest, tmp_path):
    first, second = guest(name="one.vmdk"), guest(name="two.vmdk")
    modules.vmdk_mount(path=first, mount_point=tmp_path / "mnt")
    for check_mode in (True, False):
        failed = modules.fail("vmdk_mount", check_mode, path=second, mount_point=tmp_path / "mnt")
        assert str(first) in failed["msg"]


def test_the_volume_is_chosen_by_number_label_or_uuid(modules, guest, tmp_path):
    path, point = guest(), tmp_path / "mnt"
    volume = modules.vmdk_info(path=path, partitions=True)["disk"]["partitions"][0]
    for name in ("1", "root", volume["uuid"]):
        assert modules.vmdk_mount(path=path, mount_point=point, volume=name)["changed"]
        assert modules.vmdk_mount(mount_point=point, state="unmounted")["changed"]
    failed = modules.fail("vmdk_mount", path=path, mount_point=point, volume="data")
    assert "root" in failed["msg"]


def test_check_mode_mounts_nothing(modules, guest, tmp_path):
    path, point = guest(), tmp_path / "mnt"
    told = modules.run("vmdk_mount", check_mode=True, path=path, mount_point=point)
    assert told["changed"]
    assert told["mount"]["volume"]["label"] == "root"
    assert not point.exists()
    modules.vmdk_mount(path=path, mount_point=point)
    told = modules.run("vmdk_mount", check_mode=True, mount_point=point, state="unmounted")
    assert told["changed"]
    assert (point / "greeting").exists()


def test_facts_of_the_system_that_is_mounted(modules, guest, tmp_path):
    files = {
        "etc/hostname": "web01\n",
        "usr/lib/os-release": 'ID=debian\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "var/lib/dpkg/status": "Package: apt\nStatus: install ok installed\nVersion: 2.6.1\n",
    }
    for name, text in files.items():
        path = tmp_path / "files" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    where = {"path": guest(), "mount_point": tmp_path / "mnt", "facts": True}
    assert "guest" not in modules.run("vmdk_mount", check_mode=True, **where)
    first = modules.vmdk_mount(**where)
    assert (first["guest"]["hostname"], first["guest"]["id"]) == ("web01", "debian")
    assert [each["name"] for each in first["guest"]["packages"]] == ["apt"]
    again = modules.vmdk_mount(**where)
    assert not again["changed"]
    assert again["guest"] == first["guest"]


def test_without_being_asked_for_no_facts_are_looked_for(modules, guest, tmp_path):
    assert "guest" not in modules.vmdk_mount(path=guest(), mount_point=tmp_path / "mnt")
