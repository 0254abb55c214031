# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks mounted by somebody who is not root, by programs alone."""

import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session

pytestmark = pytest.mark.serial
MIB = 1 << 20
NOBODY = 65534
PYTHON = "/usr/bin/python3"  # others may not read those that are root's own
CONTENT = bytes(range(256)) * 4096 + b"the end"
PACKAGE = "ansible_collections.vdisk.lifecycle.plugins.module_utils"
CODE = f"""
import functools, json, sys
sys.path.insert(0, sys.argv[1])
from {PACKAGE}._device.errors import DiskError
from {PACKAGE}._device.raw import RawDevice
from {PACKAGE}._guest import session
what, path, point, options = sys.argv[2], sys.argv[3], sys.argv[4], json.loads(sys.argv[5])
try:
    if what == "mount":
        source = functools.partial(RawDevice.open, path)
        state = session.mount(session.MountRequest(source, path, point, **options))
        print(json.dumps([state.healthy, state.volume["fs"]]))
    elif what == "unmount":
        print(json.dumps(session.unmount(point)))
    elif what == "sweep":
        print(json.dumps(session.sweep()))
except DiskError as error:
    print(json.dumps(str(error)))
"""


@pytest.fixture(scope="module")
def library():
    """Our code and mfusepy where everybody can read them."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vdisk-without-root-"))
    utils = folder / PACKAGE.replace(".", "/")
    for room in ("_device", "_guest"):
        source = pathlib.Path(session.__file__).parents[1] / room
        shutil.copytree(source, utils / room, ignore=shutil.ignore_patterns("__pycache__"))
    # Not imported here: it would take libfuse 2, for all tests, if nobody had said otherwise.
    shutil.copy(importlib.util.find_spec("mfusepy").origin, folder / "mfusepy.py")
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def home():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="vdisk-home-"))
    os.chown(folder, NOBODY, NOBODY)
    yield folder
    table = pathlib.Path("/proc/self/mountinfo").read_text().splitlines()
    left = [line.split()[4] for line in table if str(folder) in line]
    for point in reversed(left):
        subprocess.run(["umount", "-l", point], check=False)
    state = [str(path) for path in folder.glob("vdisk-lifecycle/mounts/*")]
    shutil.rmtree(folder)
    assert (left, state) == ([], [])


@pytest.fixture
def as_nobody(home):
    """Run a program as a user who may nothing."""

    def run(*argv):
        drop = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        environment = {"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(home)}
        words = [*drop, *map(str, argv)]
        return subprocess.run(
            words, capture_output=True, env=environment, cwd="/", timeout=60, check=False
        )

    return run


@pytest.fixture
def session_of(as_nobody, library, home):
    def call(what, path=None, **options):
        argv = [PYTHON, "-c", CODE, library, what, path, home / "mnt", json.dumps(options)]
        done = as_nobody(*argv)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout)

    return call


def make_ext4(tool, folder, tree):
    tool("mkfs.ext4", "-q", "-d", tree, folder / "disk", "16M")


def make_vfat(tool, folder, tree):
    tool("truncate", "-s", "16M", folder / "disk")
    tool("mkfs.vfat", folder / "disk")
    tool("mcopy", "-i", folder / "disk", tree / "file.bin", "::file.bin")


def make_ntfs(tool, folder, tree):
    tool("truncate", "-s", "16M", folder / "disk")
    tool("mkfs.ntfs", "-q", "-F", "-Q", folder / "disk")
    tool("ntfscp", "-f", folder / "disk", tree / "file.bin", "file.bin")


def make_iso9660(tool, folder, tree):
    tool("genisoimage", "-quiet", "-R", "-o", folder / "disk", tree)


def make_squashfs(tool, folder, tree):
    tool("mksquashfs", tree, folder / "disk", "-quiet", "-no-progress")


MAKERS = {
    "ext4": make_ext4,
    "vfat": make_vfat,
    "ntfs": make_ntfs,
    "iso9660": make_iso9660,
    "squashfs": make_squashfs,
}
PROGRAMS = {
    "ext4": "fuse2fs",
    "vfat": "fusefat",
    "ntfs": "ntfs-3g",
    "iso9660": "fuseiso",
    "squashfs": "squashfuse",
}


@pytest.fixture
def disk(tool, tmp_path, home):
    """A disk that is one file system of a kind, with a file."""

    def make(kind):
        if not shutil.which(PROGRAMS[kind], path="/usr/sbin:/usr/bin"):
            pytest.skip(f"{PROGRAMS[kind]} is not installed")
        (tmp_path / "tree").mkdir()
        (tmp_path / "tree" / "file.bin").write_bytes(CONTENT)
        MAKERS[kind](tool, tmp_path, tmp_path / "tree")
        shutil.copy(tmp_path / "disk", home / "disk")
        (home / "disk").chmod(0o644)
        return home / "disk"

    return make


@pytest.fixture
def users_may_share(tmp_path, tool):
    """As an administrator may have decided for all users."""
    (tmp_path / "fuse.conf").write_text("# comment\nuser_allow_other\n")
    tool("mount", "--bind", tmp_path / "fuse.conf", "/etc/fuse.conf")
    yield
    tool("umount", "/etc/fuse.conf")


def test_ntfs_is_read_without_root_where_users_may_share(
    disk, session_of, as_nobody, home, users_may_share, sha256
):
    path = disk("ntfs")
    before = sha256(path)
    assert session_of("mount", path) == [True, "ntfs"]
    read = as_nobody("cat", home / "mnt" / "file.bin").stdout
    assert session_of("unmount") is True
    assert (read, sha256(path)) == (CONTENT, before)


def test_right_to_share_is_asked_for(disk, session_of):
    assert "Put the line user_allow_other into /etc/fuse.conf" in session_of("mount", disk("ntfs"))


@pytest.mark.parametrize("kind", sorted(MAKERS.keys() - {"ntfs"}))
def test_files_are_read_without_root(kind, disk, session_of, as_nobody, home, sha256):
    path = disk(kind)
    os.chown(path, NOBODY, NOBODY)  # he might write to it, if we let him
    before = sha256(path)
    assert session_of("mount", path) == [True, kind]
    read = as_nobody("cat", home / "mnt" / "file.bin").stdout
    written = as_nobody("touch", home / "mnt" / "new").returncode
    assert session_of("unmount") is True
    assert read == CONTENT
    assert written != 0
    assert sha256(path) == before


def test_partition_is_read_without_root(guest_pattern, home, session_of, as_nobody):
    shutil.copy(guest_pattern, home / "disk")
    (home / "disk").chmod(0o644)
    assert session_of("mount", home / "disk", volume="2") == [True, "ext4"]
    read = as_nobody("cat", home / "mnt" / "vmlinuz").stdout
    assert session_of("unmount") is True
    assert read == b"kernel"


@pytest.mark.parametrize("kind", ["xfs", "btrfs", "exfat"])
def test_what_only_root_can_mount_is_told(kind, tool, home, session_of):
    tool("truncate", "-s", "310M", home / "disk")
    tool(f"mkfs.{kind}", home / "disk")
    (home / "disk").chmod(0o644)
    said = session_of("mount", home / "disk")
    assert f"only root can mount {kind}" in said
    assert "isolation: appliance" in said


@pytest.mark.parametrize("options", [{"read_only": False}, {"layout": "guest"}])
def test_what_needs_root_is_told(options, disk, session_of):
    assert "only one volume can be mounted, and only read-only" in session_of(
        "mount", disk("ext4"), **options
    )


def test_killed_programs_are_swept_without_root(disk, session_of, home):
    session_of("mount", disk("ext4"))
    (path,) = home.glob("vdisk-lifecycle/mounts/*/state.json")
    os.kill(json.loads(path.read_text())["daemon"][0], 9)
    assert session_of("sweep") == [str(home / "mnt")]
