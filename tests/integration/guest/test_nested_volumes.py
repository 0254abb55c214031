# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes inside of volumes, made by the real tools: LUKS in LVM in LUKS on a partition."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    WrongKey,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.discover import find_volumes
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.luks.secret import Secret
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.session import (
    FlatFile,
    MountRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.volumes import choose

pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(os.geteuid() != 0, reason="loop devices want root"),
    pytest.mark.skipif(not shutil.which("vgcreate"), reason="lvm2 is not installed"),
    pytest.mark.skipif(not shutil.which("cryptsetup"), reason="cryptsetup is not installed"),
]
MIB = 1 << 20
FIRST, SECOND = Secret(b"the disk"), Secret(b"the volume")


def run(*command, text=None):
    words = [str(word) for word in command]
    quiet = {**os.environ, "LVM_SUPPRESS_FD_WARNINGS": "1", "LC_ALL": "C"}
    done = subprocess.run(
        words, input=text, capture_output=True, text=True, env=quiet, timeout=60, check=False
    )
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@pytest.fixture
def content(tmp_path):
    path = tmp_path / "content.img"
    path.write_bytes(os.urandom(4 * MIB))
    run("mkfs.ext4", "-q", "-L", "inside", "-E", "nodiscard", path)
    return path


def encrypt(path, secret):
    """In place; it takes 16 MiB more then."""
    os.truncate(path, path.stat().st_size + 16 * MIB)
    key = path.with_suffix(".key")
    key.write_bytes(secret.variants()[0])
    fast = ["--pbkdf", "pbkdf2", "--pbkdf-force-iterations", "1000", "--key-file", key]
    fixed = ["--type", "luks2", "--reduce-device-size", "16M", "-q"]
    run("cryptsetup", "reencrypt", "--encrypt", *fixed, *fast, path)
    return path


def in_lvm(tmp_path, volume):
    """A physical volume with a logical one, vg0/secret, that holds this."""
    path = tmp_path / "physical.img"
    with open(path, "wb") as stream:
        stream.truncate(32 * MIB)
    loop = run("losetup", "--find", "--show", path).strip()
    try:
        config = ["--driverloaded", "n", "--config", f'devices{{filter=["a|^{loop}$|","r|.*|"]}}']
        run("pvcreate", *config, loop)
        run("vgcreate", *config, "vg0", loop)
        make = ["-an", "-Zn", "-Wn", "-n", "secret", "-L", f"{volume.stat().st_size}b"]
        run("lvcreate", *config, *make, "vg0")
        units = ["--noheadings", "--nosuffix", "--units", "b", "-o", "pe_start"]
        start = int(run("pvs", *config, *units, loop))
    finally:
        run("losetup", "--detach", loop)
    with open(path, "r+b") as stream:
        stream.seek(start)
        stream.write(volume.read_bytes())
    return path


def on_partition(tmp_path, volume):
    path = tmp_path / "disk.img"
    with open(path, "wb") as stream:
        stream.truncate(volume.stat().st_size + 4 * MIB)
        stream.seek(2 * MIB)
        stream.write(volume.read_bytes())
    sectors = volume.stat().st_size // 512
    run("sfdisk", "-q", path, text=f"label: gpt\n2: start=4096,size={sectors},name=data\n")
    return path


def test_luks_in_lvm_in_luks_on_a_partition(tmp_path, content):
    expected = content.read_bytes()
    outer = encrypt(in_lvm(tmp_path, encrypt(content, SECOND)), FIRST)
    with RawDevice.open(on_partition(tmp_path, outer), writable=True) as disk:
        volumes = find_volumes([disk], [FIRST, SECOND])
        partition, outer, inner, logical = volumes
        assert [v.filesystem.kind for v in (partition, outer)] == ["crypto_LUKS", "LVM2_member"]
        assert [v.filesystem.kind for v in (logical, inner)] == ["crypto_LUKS", "ext4"]
        for name in (None, "vg0/secret", "inside", inner.name, logical.filesystem.uuid):
            assert choose(volumes, name) is inner
        device = inner.open([disk])
        assert read(device, 0, len(expected)) == expected
        device.write(12_345, b"written through all of it")
        again = choose(find_volumes([disk], [SECOND, FIRST]), "vg0/secret").open([disk])
        assert read(again, 12_345, 25) == b"written through all of it"


def test_with_some_of_the_keys_the_rest_is_locked(tmp_path, content):
    outer = encrypt(in_lvm(tmp_path, encrypt(content, SECOND)), FIRST)
    with RawDevice.open(outer) as disk:
        volumes = find_volumes([disk], [FIRST])
        assert [v.problem for v in volumes] == ["", "", "locked, and not by this key"]
        assert volumes[2].name == "vg0/secret"
        with pytest.raises(WrongKey):
            find_volumes([disk], [SECOND])


def test_volumes_of_further_disks_go_by_the_number_of_the_disk(tmp_path, content):
    first = on_partition(tmp_path, content)
    first.rename(tmp_path / "first.img")
    second = on_partition(tmp_path, encrypt(content, SECOND))
    opened = [RawDevice.open(path) for path in (tmp_path / "first.img", content, second)]
    volumes = find_volumes(opened, [SECOND])
    names = [(v.number, v.name and v.name.split("-")[0]) for v in volumes]
    inside = [(None, "luks"), (None, "luks")]
    assert names == [(2, "data"), (None, "disk1"), (None, "disk2/2"), *inside]
    assert choose(volumes, "disk2/2").source.container.place == (2, 2 * MIB)
    assert volumes[2].partition.name == "data"
    assert choose(volumes, "disk1").source.container.place == (1, 0)
    with pytest.raises(InvalidRequest, match="more than one volume answers"):
        choose(volumes, volumes[3].name)  # one is a copy of the other
    assert choose(volumes, "2").place == (0, 2 * MIB)
    for disk in opened:
        disk.close()


@pytest.fixture
def files(tmp_path):
    """What the real mkfs puts into a file system."""
    folder = tmp_path / "files"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "hostname").write_text("web01\n")
    (folder / "blob").write_bytes(os.urandom(3 * MIB))
    (folder / "link").symlink_to("etc/hostname")
    return folder


def require_same_files(files, mounted):
    run("diff", "-r", "--no-dereference", "--exclude", "lost+found", files, mounted)


@pytest.mark.skipif(not os.path.exists("/dev/fuse"), reason="FUSE is not there")
def test_files_inside_of_everything_are_read_and_written(tmp_path, files, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    content = tmp_path / "content.img"
    with open(content, "wb") as stream:
        stream.truncate(8 * MIB)
    run("mkfs.ext4", "-q", "-b", "4096", "-d", files, content)
    disk = on_partition(tmp_path, encrypt(in_lvm(tmp_path, content), FIRST))
    (tmp_path / "key").write_bytes(FIRST.variants()[0])
    point = tmp_path / "mnt"

    def mounted(**settings):
        source = FlatFile(str(disk), 0, disk.stat().st_size)
        settings = {"volume": "vg0/secret", "key_file": str(tmp_path / "key"), **settings}
        return session.mount(MountRequest(source, "disk.img", str(point), **settings))

    assert mounted(read_only=False).volume["name"] == "vg0/secret"
    try:
        require_same_files(files, point)
        for folder in (files, point):
            (folder / "new").write_text("written by the kernel, through LVM and LUKS\n")
    finally:
        session.unmount(str(point))
    before = disk.read_bytes()
    mounted()
    try:
        require_same_files(files, point)
    finally:
        session.unmount(str(point))
    assert disk.read_bytes() == before
