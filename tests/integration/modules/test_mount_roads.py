# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""vmdk_mount of disks that are no plain files: servers, datastores, several at once, encrypted."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

MIB = 1 << 20
PASSPHRASE = "correct horse battery staple"


def run(*command, **options):
    words = [str(word) for word in command]
    done = subprocess.run(words, capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(autouse=True)
def nothing_left_behind(tmp_path, modules, monkeypatch):
    """Whatever a test did: afterwards no mount, loop device or process of ours is there."""
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    yield
    modules.vmdk_mount(mount_point=tmp_path / "mnt", state="unmounted")
    assert str(tmp_path) not in Path("/proc/mounts").read_text(encoding="utf-8")
    assert str(tmp_path) not in run("losetup", "--list", "--noheadings", "--output", "BACK-FILE")


@pytest.fixture
def volume(tmp_path):
    """volume(name, MiB, files): an ext4 file system without a partition table."""

    def make(name, size, files, *options):
        tree, path = tmp_path / f"{name}.tree", tmp_path / name
        for file, text in files.items():
            (tree / file).parent.mkdir(parents=True, exist_ok=True)
            (tree / file).write_text(text)
        run("mkfs.ext4", "-q", "-d", tree, *options, path, f"{size}M")
        return path

    return make


@pytest.fixture
def nbd(tmp_path, volume):
    """The address of a disk that QEMU serves, and its file."""
    path, socket = volume("nbd.img", 8, {"greeting": "hello"}), tmp_path / "nbd.sock"
    pid = tmp_path / "nbd.pid"
    run("qemu-nbd", "--fork", "--persistent", "--shared", "0", "-f", "raw", "-k", socket,
        "--pid-file", pid, path)  # fmt: skip
    yield f"nbd+unix:///?socket={socket}", path
    os.kill(int(pid.read_text()), 15)


def test_what_a_server_serves_is_mounted_and_written(nbd, tmp_path, modules):
    uri, path = nbd
    mounted = modules.vmdk_mount(path=uri, mount_point=tmp_path / "mnt", read_only=False)
    (tmp_path / "mnt" / "new").write_text("over NBD")
    modules.vmdk_mount(mount_point=tmp_path / "mnt", state="unmounted")
    assert mounted["mount"]["path"] == uri
    assert run("debugfs", "-R", "cat /new", path) == "over NBD"
    run("e2fsck", "-fn", path)


def test_server_is_for_one_writer_of_this_host(nbd, tmp_path, modules):
    uri, _path = nbd
    modules.vmdk_mount(path=uri, mount_point=tmp_path / "mnt", read_only=False)
    failed = modules.fail("vmdk_mount", path=uri, mount_point=tmp_path / "second")
    assert "is in use on this host" in failed["msg"]
    modules.vmdk_mount(mount_point=tmp_path / "mnt", state="unmounted")
    modules.vmdk_mount(path=uri, mount_point=tmp_path / "mnt")
    modules.vmdk_mount(path=uri, mount_point=tmp_path / "second")
    failed = modules.fail("vmdk_mount", path=uri, mount_point=tmp_path / "third", read_only=False)
    assert "is in use on this host" in failed["msg"]
    modules.vmdk_mount(mount_point=tmp_path / "second", state="unmounted")


def test_disk_that_is_mounted_for_writing_is_opened_by_nobody(volume, tmp_path, modules):
    disk = tmp_path / "web01.vmdk"
    modules.vmdk_clone(src=volume("a.img", 8, {"greeting": "hello"}), dest=disk)
    modules.vmdk_mount(path=disk, mount_point=tmp_path / "mnt", read_only=False)
    for module, arguments in (
        ("vmdk_clone", {"src": disk, "dest": tmp_path / "copy.vmdk"}),
        ("vmdk_data", {"path": disk, "offset": 0, "length": 512}),
        ("vmdk_mount", {"path": disk, "mount_point": tmp_path / "second"}),
    ):
        assert "is in use" in modules.fail(module, **arguments)["msg"]


def test_disk_that_is_mounted_read_only_is_written_by_nobody(volume, tmp_path, modules):
    disk = tmp_path / "web01.vmdk"
    modules.vmdk_clone(src=volume("a.img", 8, {"greeting": "hello"}), dest=disk)
    modules.vmdk_mount(path=disk, mount_point=tmp_path / "mnt")
    modules.vmdk_data(path=disk, offset=0, length=512)
    failed = modules.fail("vmdk_data", path=disk, offset=0, content="x" * 512)
    assert "is in use" in failed["msg"]


def test_guest_on_two_disks_is_mounted_as_one(volume, tmp_path, modules):
    fstab = (
        "/dev/sda / ext4\nLABEL=var /var ext4\nUUID=gone /home ext4 nofail\nUUID=lost /opt ext4\n"
    )
    files = {"etc/fstab": fstab, "var/hidden": "", "home/x": "", "opt/x": ""}
    root = volume("root.img", 8, {**files, "etc/os-release": "ID=debian\nVERSION_ID=12\n"})
    modules.vmdk_clone(src=root, dest=tmp_path / "root.vmdk")
    options = {
        "path": tmp_path / "root.vmdk",
        "disks": [str(volume("var.img", 8, {"lib/file": "in var"}, "-L", "var"))],
        "mount_point": tmp_path / "mnt",
        "layout": "guest",
    }
    foreseen = modules.vmdk_mount(check_mode=True, **options)
    mounted = modules.vmdk_mount(**options, facts=True)
    again = modules.vmdk_mount(**options)
    assert foreseen["changed"]
    assert [mounted["changed"], again["changed"]] == [True, False]
    assert (tmp_path / "mnt/var/lib/file").read_text() == "in var"
    points = [part["mount_point"] for part in mounted["mount"]["volumes"]]
    assert points == [str(tmp_path / "mnt"), str(tmp_path / "mnt/var")]
    assert mounted["guest"]["id"] == "debian"
    (told,) = mounted["warnings"]
    assert "/opt of the guest (UUID=lost) was not mounted" in str(told)


@pytest.fixture
def encrypted(volume, tmp_path):
    """A LUKS volume that cryptsetup has made of an ext4 file system, and its key."""
    path, key = volume("luks.img", 8, {"greeting": "secret"}), tmp_path / "key"
    key.write_text(PASSPHRASE)
    os.truncate(path, 24 * MIB)
    fast = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000"]
    run("cryptsetup", "reencrypt", "--encrypt", "--type", "luks2", "--reduce-device-size", "16M",
        "-q", "--key-file", key, *fast, path)  # fmt: skip
    return path, key


def test_encrypted_volume_is_mounted_with_its_key(encrypted, tmp_path, modules):
    path, key = encrypted
    options = {"path": path, "mount_point": tmp_path / "mnt", "read_only": False}
    mounted = modules.vmdk_mount(**options, luks_key_file=key)
    assert (tmp_path / "mnt/greeting").read_text() == "secret"
    (tmp_path / "mnt/new").write_text("written")
    journal = "".join(file.read_text() for file in tmp_path.glob("run/mounts/*/*.*"))
    modules.vmdk_mount(mount_point=tmp_path / "mnt", state="unmounted")
    modules.vmdk_mount(**{**options, "read_only": True}, luks_key_file=key)
    assert (tmp_path / "mnt/new").read_text() == "written"
    assert mounted["mount"]["volume"]["fs"] == "ext4"
    assert PASSPHRASE not in json.dumps(mounted) + journal


def test_key_is_found_from_another_working_directory(encrypted, tmp_path, modules, monkeypatch):
    """That of the process which serves the disk."""
    path, key = encrypted
    monkeypatch.chdir(tmp_path)
    modules.vmdk_mount(path=path.name, mount_point="mnt", luks_key_file=key.name)
    assert (tmp_path / "mnt/greeting").read_text() == "secret"


def test_mounted_encrypted_volume_is_found_without_unlocking_it(encrypted, tmp_path, modules):
    path, key = encrypted
    options = {"path": path, "mount_point": tmp_path / "mnt", "luks_key_file": key}
    modules.vmdk_mount(**options)
    key.unlink()
    assert not modules.vmdk_mount(**options)["changed"]


def test_encrypted_volume_without_a_key_is_told(encrypted, tmp_path, modules):
    path, key = encrypted
    failed = modules.fail("vmdk_mount", path=path, mount_point=tmp_path / "mnt")
    assert "luks_key_file opens it" in failed["msg"]
    key.write_text("wrong")
    failed = modules.fail("vmdk_mount", path=path, mount_point=tmp_path / "mnt", luks_key_file=key)
    assert failed["error"]["kind"] == "WrongKey"


def test_managed_disk_is_read_from_its_datastore(
    volume, tmp_path, modules, start_vcenter, monkeypatch
):
    for name, value in start_vcenter().environment().items():
        monkeypatch.setenv(name, value)
    disk = "[datastore1] archive/mounted.vmdk"
    modules.vmdk_create(path="[datastore1] archive/other.vmdk", size="1MiB", disk_type="thick")
    raw = volume("a.img", 8, {"greeting": "from a datastore"})
    modules.vmdk_clone(src=raw, dest=disk, disk_type="thick")
    modules.vmdk_mount(path=disk, mount_point=tmp_path / "mnt")
    assert (tmp_path / "mnt/greeting").read_text() == "from a datastore"
    modules.vmdk_mount(mount_point=tmp_path / "mnt", state="unmounted")
    failed = modules.fail("vmdk_mount", path=disk, mount_point=tmp_path / "mnt", read_only=False)
    assert failed["error"]["kind"] == "ReadOnlyDisk"


@pytest.fixture
def over_two_disks(volume, tmp_path):
    """Two physical volumes, and the content of the logical volume that lies over both."""
    disks = [tmp_path / "one.img", tmp_path / "two.img"]
    for disk in disks:
        run("truncate", "--size", "16M", disk)
    devices = [run("losetup", "--find", "--show", disk).strip() for disk in disks]
    accepted = ",".join(f'"a|^{device}$|"' for device in devices)
    lvm = ["--driverloaded", "n", "--config", f'devices{{filter=[{accepted},"r|.*|"]}}']
    try:
        run("vgcreate", *lvm, "vg0", *devices)
        run("lvcreate", *lvm, "-an", "-Zn", "-Wn", "-n", "data", "-l", "6", "vg0")
    finally:
        run("losetup", "--detach", *devices)
    content = volume("content.img", 24, {"greeting": "over two"}).read_bytes()
    for disk, half in zip(disks, (content[: 12 * MIB], content[12 * MIB :]), strict=True):
        with open(disk, "r+b") as stream:  # three extents of 4 MiB, behind the first MiB
            stream.seek(MIB)
            stream.write(half)
    return disks


def test_volume_group_over_two_disks_is_mounted_and_written(over_two_disks, tmp_path, modules):
    one, two = map(str, over_two_disks)
    options = {"disks": [two], "mount_point": tmp_path / "mnt", "read_only": False}
    mounted = modules.vmdk_mount(path=one, volume="vg0/data", **options)
    assert (tmp_path / "mnt/greeting").read_text() == "over two"
    (tmp_path / "mnt/new").write_bytes(os.urandom(14 * MIB))
    (tmp_path / "mnt/last").write_text("written")
    failed = modules.fail("vmdk_data", path=two, offset=0, content="x" * 512)
    modules.vmdk_mount(mount_point=tmp_path / "mnt", state="unmounted")
    halves = [disk.read_bytes()[MIB : 13 * MIB] for disk in over_two_disks]
    (tmp_path / "joined").write_bytes(b"".join(halves))
    assert run("debugfs", "-R", "cat /last", tmp_path / "joined") == "written"
    run("e2fsck", "-fn", tmp_path / "joined")
    assert mounted["mount"]["volume"]["name"] == "vg0/data"
    assert "is in use" in failed["msg"]


def test_half_of_a_volume_group_is_told(over_two_disks, tmp_path, modules):
    failed = modules.fail(
        "vmdk_mount", path=over_two_disks[0], volume="vg0/data", mount_point=tmp_path / "mnt"
    )
    assert "vg0/data" in failed["msg"]
    assert "disks" in failed["msg"]
