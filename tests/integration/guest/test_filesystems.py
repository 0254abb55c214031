# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every file system, both ways, judged by the file system's own tools."""

import os
import pathlib
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    MissingTool,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session

pytestmark = pytest.mark.serial
MIB = 1 << 20

MAKERS = {
    "ext2": (32, ["mkfs.ext2", "-q"]),
    "ext3": (32, ["mkfs.ext3", "-q"]),
    "ext4": (64, ["mkfs.ext4", "-q"]),
    "xfs": (300, ["mkfs.xfs", "-q"]),
    "btrfs": (120, ["mkfs.btrfs", "-q"]),
    "ntfs": (32, ["mkfs.ntfs", "-q", "-F", "-Q"]),
    "exfat": (32, ["mkfs.exfat"]),
}
CHECKERS = {
    "ext2": ["e2fsck", "-fn"],
    "ext3": ["e2fsck", "-fn"],
    "ext4": ["e2fsck", "-fn"],
    "xfs": ["xfs_repair", "-n"],
    "btrfs": ["btrfs", "check", "--readonly"],
    "ntfs": ["ntfsfix", "-n"],
    "exfat": ["fsck.exfat", "-n"],
}
FATS = {
    "vfat 12": (4, ["mkfs.vfat", "-F", "12", "-s", "2"]),
    "vfat 16": (16, ["mkfs.vfat", "-F", "16"]),
    "vfat 32": (64, ["mkfs.vfat", "-F", "32"]),
}
if "\tvfat\n" in pathlib.Path("/proc/filesystems").read_text():
    MAKERS.update(FATS)  # for writing as well
    CHECKERS.update({kind: ["fsck.vfat", "-n"] for kind in FATS})
CONTENT = bytes(range(256)) * 4096 * 3 + b"the end"


@pytest.fixture(params=MAKERS)
def made(request, image, tool):
    """(kind, path) of an empty file system."""
    size, argv = MAKERS[request.param]
    path = image(size * MIB)
    tool(*argv, path)
    return request.param, path


def read_back(tool, kind, path, name, target):
    """A file of an image, without our code and, where there is a tool, without the kernel's."""
    if kind.startswith("ext"):
        tool("debugfs", "-R", f"dump /{name} {target}", path)
    elif kind.startswith("vfat"):
        tool("mcopy", "-i", path, f"::{name}", target)
    elif kind == "ntfs":
        with open(target, "wb") as stream:
            subprocess.run(["ntfscat", path, name], stdout=stream, check=True)
    elif kind == "btrfs":
        (target.parent / "restored").mkdir()
        tool("btrfs", "restore", path, target.parent / "restored")
        os.replace(target.parent / "restored" / name, target)
    else:
        copy_mounted(tool, kind, path, name, target)
    return target.read_bytes()


def copy_mounted(tool, kind, path, name, target):
    mounted = target.parent / "plain"
    mounted.mkdir()
    device = tool("losetup", "--find", "--show", "--read-only", path).strip()
    try:
        tool(*(["mount.exfat-fuse"] if kind == "exfat" else ["mount"]), "-o", "ro", device, mounted)
        target.write_bytes((mounted / name).read_bytes())
        tool("umount", mounted)
    finally:
        tool("losetup", "--detach", device)


def test_what_is_written_is_there_for_other_readers(made, way, ask, point, tool, tmp_path):
    kind, path = made
    session.mount(ask(path, way))
    (point / "file.bin").write_bytes(CONTENT)
    session.unmount(str(point))
    assert read_back(tool, kind, path, "file.bin", tmp_path / "out.bin") == CONTENT
    tool(*CHECKERS[kind], path)


def test_state_names_the_volume(made, way, ask, point):
    kind, path = made
    state = session.mount(ask(path, way, read_only=True))
    assert state.volume["fs"] == kind.split()[0]
    assert state == session.mounted(str(point))
    session.unmount(str(point))


def test_read_only_mount_cannot_be_written_and_changes_no_byte(made, way, ask, point, sha256):
    _kind, path = made
    before = sha256(path)
    session.mount(ask(path, way, read_only=True))
    with pytest.raises(OSError):
        (point / "file").write_bytes(b"x")
    os.listdir(point)
    session.unmount(str(point))
    assert sha256(path) == before


@pytest.fixture(params=["ext3", "ext4", "xfs", "btrfs"])
def dirty(request, image, tool, tmp_path):
    """(kind, path) of a file system as it is after a power cut: the journal must be replayed."""
    size, argv = MAKERS[request.param]
    path, cut, mounted = image(size * MIB), tmp_path / "cut.img", tmp_path / "plain"
    tool(*argv, path)
    mounted.mkdir()
    tool("mount", "-o", "loop", path, mounted)
    try:
        (mounted / "old").write_text("old")
        for step in ("-f", "-u"):  # this brings it from the journal to its place
            tool("fsfreeze", step, mounted)
        with open(mounted / "new", "w") as stream:
            stream.write("new")
            stream.flush()
            os.fsync(stream.fileno())
        tool("cp", "--sparse=always", path, cut)
    finally:
        tool("umount", mounted)
    return request.param, cut


def test_read_only_mount_leaves_a_dirty_journal_alone(dirty, way, ask, point, sha256):
    _kind, path = dirty
    before = sha256(path)
    session.mount(ask(path, way, read_only=True))
    assert (point / "old").read_text() == "old"
    session.unmount(str(point))
    assert sha256(path) == before


def test_the_dirty_journals_of_these_tests_really_are(image, tool, tmp_path, dirty, sha256):
    """Else the test above proved nothing: an ordinary mount does write."""
    _kind, path = dirty
    before = sha256(path)
    (tmp_path / "ordinary").mkdir()
    tool("mount", "-o", "loop", path, tmp_path / "ordinary")
    assert (tmp_path / "ordinary" / "new").read_text() == "new"
    tool("umount", tmp_path / "ordinary")
    assert sha256(path) != before


def test_writable_mount_replays_a_dirty_journal(dirty, way, ask, point):
    _kind, path = dirty
    session.mount(ask(path, way))
    assert (point / "new").read_text() == "new"
    session.unmount(str(point))


@pytest.mark.parametrize("kind", [kind for kind in ("vfat 32", "ntfs", "exfat") if kind in MAKERS])
def test_read_only_mount_of_what_was_pulled_out_changes_no_byte(
    kind, image, tool, way, ask, point, tmp_path, sha256
):
    """As it is on the disk while it is mounted: marked as dirty, by those that have such a mark."""
    size, argv = MAKERS[kind]
    path, cut = image(size * MIB), tmp_path / "cut.img"
    tool(*argv, path)
    session.mount(ask(path, way))
    with open(point / "file", "w") as stream:
        stream.write("written")
        stream.flush()
        os.fsync(stream.fileno())
    os.sync()
    tool("cp", "--sparse=always", path, cut)
    session.unmount(str(point))
    before = sha256(cut)
    session.mount(ask(cut, way, read_only=True))
    names = os.listdir(point)
    session.unmount(str(point))
    assert "file" in names
    assert sha256(cut) == before


@pytest.fixture(params=["squashfs", "iso9660"])
def pressed(request, tmp_path, tool):
    """(kind, path) of a file system that nobody writes to, with a file."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file.bin").write_bytes(CONTENT)
    path = tmp_path / "s.img"
    if request.param == "squashfs":
        tool("mksquashfs", tmp_path / "tree", path, "-quiet", "-no-progress")
    else:
        tool("genisoimage", "-quiet", "-R", "-V", "pressed", "-o", path, tmp_path / "tree")
    return request.param, path


def test_pressed_file_systems_are_read(pressed, way, ask, point, sha256):
    kind, path = pressed
    before = sha256(path)
    state = session.mount(ask(path, way, read_only=True))
    content = (point / "file.bin").read_bytes()
    session.unmount(str(point))
    assert (state.volume["fs"], content, sha256(path)) == (kind, CONTENT, before)


def test_pressed_file_systems_are_not_mounted_writable(pressed, way, ask, leftovers):
    kind, path = pressed
    with pytest.raises(InvalidRequest, match=f"can only be mounted read-only: it is {kind}"):
        session.mount(ask(path, way))
    assert leftovers() == []


@pytest.fixture(params=FATS)
def fat(request, image, tool):
    size, argv = FATS[request.param]
    path = image(size * MIB)
    tool(*argv, path)
    tool("mcopy", "-i", path, "/etc/hostname", "::HOSTNAME")
    return path


def test_fat_is_read(fat, way, ask, point, sha256):
    before = sha256(fat)
    session.mount(ask(fat, way, read_only=True))
    content = (point / "HOSTNAME").read_bytes()
    session.unmount(str(point))
    assert content == pathlib.Path("/etc/hostname").read_bytes()
    assert sha256(fat) == before


@pytest.mark.skipif("vfat 12" in MAKERS, reason="this kernel knows vfat")
def test_fat_is_not_given_to_fusefat_for_writing(fat, way, ask, sha256, leftovers):
    """It forgets what is written through a file that was read before."""
    before = sha256(fat)
    with pytest.raises(MissingTool, match="fusefat loses what is written"):
        session.mount(ask(fat, way))
    assert (sha256(fat), leftovers()) == (before, [])


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs"])
def test_clone_of_a_mounted_file_system_can_be_mounted_beside_it(
    kind, image, tool, ask, tmp_path, way
):
    size, argv = MAKERS[kind]
    path, clone = image(size * MIB), tmp_path / "clone.img"
    tool(*argv, path)
    session.mount(ask(path, way, at=tmp_path / "one"))
    (tmp_path / "one" / "where").write_text("original")
    session.unmount(str(tmp_path / "one"))
    tool("cp", "--sparse=always", path, clone)
    session.mount(ask(path, way, at=tmp_path / "one"))
    session.mount(ask(clone, way, at=tmp_path / "two"))
    (tmp_path / "two" / "where").write_text("clone")
    found = [(tmp_path / name / "where").read_text() for name in ("one", "two")]
    session.unmount(str(tmp_path / "two"))
    session.unmount(str(tmp_path / "one"))
    assert found == ["original", "clone"]


@pytest.fixture(scope="module")
def three_partitions(tool, tmp_path_factory):
    """A GPT disk: swap, ext4 "root", xfs "data"."""
    folder = tmp_path_factory.mktemp("partitioned")
    path, part = folder / "disk.img", folder / "part.img"
    tool("truncate", "-s", 500 * MIB, path)
    tool("sgdisk", "-n1:0:+16M", "-n2:0:+64M", "-n3:0:+320M", path)
    for start, size, argv in (
        (1, 16, ["mkswap"]),
        (17, 64, ["mkfs.ext4", "-q", "-L", "root"]),
        (81, 320, ["mkfs.xfs", "-q", "-L", "data"]),
    ):
        part.unlink(missing_ok=True)
        tool("truncate", "-s", size * MIB, part)
        tool(*argv, part)
        copy = f"if={part} of={path} bs=1M seek={start} conv=notrunc,sparse status=none"
        tool("dd", *copy.split())
    return path


@pytest.fixture
def partitioned(three_partitions, tool, tmp_path):
    tool("cp", "--sparse=always", three_partitions, tmp_path / "disk.img")
    return tmp_path / "disk.img"


@pytest.mark.parametrize(("wanted", "kind"), [("root", "ext4"), ("3", "xfs"), ("2", "ext4")])
def test_volume_of_a_partitioned_disk(partitioned, way, ask, point, wanted, kind, tool):
    state = session.mount(ask(partitioned, way, volume=wanted))
    (point / "mark").write_text("here")
    session.unmount(str(point))
    assert state.volume["fs"] == kind
    if kind == "ext4":
        at = f"{partitioned}?offset={17 * MIB}"
        assert tool("debugfs", "-R", "cat /mark", at) == "here"


def test_volume_that_is_not_there_leaves_nothing(partitioned, way, ask, point, leftovers):
    with pytest.raises(InvalidRequest, match=r"no volume 'home'.*number 1, swap"):
        session.mount(ask(partitioned, way, volume="home"))
    assert leftovers() == []
    assert not point.parent.exists()


def test_flat_extent_inside_a_file(ext4, tmp_path, point, tool):
    """As a flat VMDK extent with an offset is."""
    path = tmp_path / "flat.img"
    path.write_bytes(b"\xee" * MIB + ext4.read_bytes() + b"\xee" * MIB)
    source = session.FlatFile(str(path), MIB, 64 * MIB)
    session.mount(session.MountRequest(source, "flat", str(point), None, False))
    (point / "mark").write_text("here")
    session.unmount(str(point))
    content = path.read_bytes()
    assert content[:MIB] == content[-MIB:] == b"\xee" * MIB
    assert tool("debugfs", "-R", "cat /mark", f"{path}?offset={MIB}") == "here"


def test_trim_gives_space_back(ext4, way, ask, point, tool):
    session.mount(ask(ext4, way))
    (point / "big").write_bytes(os.urandom(20 * MIB))
    os.sync()
    full = os.stat(ext4).st_blocks
    (point / "big").unlink()
    os.sync()
    tool("fstrim", point)
    session.unmount(str(point))
    assert os.stat(ext4).st_blocks * 512 < full * 512 - 15 * MIB
    tool("e2fsck", "-fn", ext4)


def test_image_brings_no_devices_and_no_setuid_programs(ext4, way, ask, point, tool):
    session.mount(ask(ext4, way))
    options = tool("findmnt", "-no", "OPTIONS", point).strip().split(",")
    session.unmount(str(point))
    assert {"nodev", "nosuid", "errors=remount-ro"} <= set(options)
