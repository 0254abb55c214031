# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""File systems that were damaged at random: mounted with facts, or refused, but never for long.

The damage is the same on every run, so that a kernel that stood it once will stand it again. XFS
and btrfs are damaged in their superblocks only. VDISK_SEEDS=20:40 tries others.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts.guest import facts_of

pytestmark = pytest.mark.serial
MIB = 1 << 20
BLOCK = 4096
SEEDS = range(*map(int, os.environ.get("VDISK_SEEDS", "0:4").split(":")))
SECONDS = 60  # for one of them, on a busy machine
MAKERS = {
    "ext2": (8, ["mke2fs", "-q", "-t", "ext2", "-d", "{tree}", "{path}"]),
    "ext4": (16, ["mke2fs", "-q", "-t", "ext4", "-d", "{tree}", "{path}"]),
    "squashfs": (0, ["mksquashfs", "{tree}", "{path}", "-quiet", "-no-progress", "-noappend"]),
    "iso9660": (0, ["genisoimage", "-quiet", "-R", "-o", "{path}", "{tree}"]),
    "vfat": (40, ["mkfs.vfat", "-F", "32", "{path}"]),
    "ntfs": (8, ["mkntfs", "-q", "-F", "-s", "512", "-p", "0", "-H", "0", "-S", "0", "{path}"]),
    "xfs": (300, ["mkfs.xfs", "-q", "{path}"]),
    "btrfs": (110, ["mkfs.btrfs", "-q", "--rootdir", "{tree}", "{path}"]),
}
FILLED = ("vfat", "ntfs")
SUPERBLOCKS = {"xfs": (0, 512), "btrfs": (1 << 16, BLOCK)}  # where alone these are damaged


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A small guest, for facts to be looked for."""
    folder = tmp_path_factory.mktemp("tree")
    (folder / "etc").mkdir()
    (folder / "etc/os-release").write_text("ID=debian\n")
    (folder / "etc/hostname").write_text("web01\n")
    (folder / "var/lib/dpkg").mkdir(parents=True)
    entry = "Package: p{0}\nStatus: install ok installed\nVersion: {0}\nArchitecture: all\n\n"
    text = "".join(entry.format(number) for number in range(2000))
    (folder / "var/lib/dpkg/status").write_text(text)
    for number in range(60):
        (folder / f"etc/file{number}").write_text("x" * number)
    return folder


@pytest.fixture(scope="module", params=MAKERS)
def sound(request, tree, tmp_path_factory, tool):
    """The kind, and an image as the real tool makes it."""
    mib, argv = MAKERS[request.param]
    path = tmp_path_factory.mktemp(request.param) / "disk.img"
    if mib:
        with open(path, "wb") as stream:
            stream.truncate(mib * MIB)
    tool(*(each.format(tree=tree, path=path) for each in argv))
    if request.param in FILLED:
        fill(request.param, tree, path, tool)
    return request.param, path


def fill(kind, tree, path, tool):
    """Where mkfs cannot."""
    if kind == "vfat":
        tool("mcopy", "-s", "-i", path, tree / "etc", tree / "var", "::")
        return
    point = path.with_name("mnt")
    point.mkdir()
    tool("ntfs-3g", path, point)
    tool("cp", "-r", "--no-preserve=all", tree / "etc", tree / "var", point)
    tool("umount", point)


def damage(kind, path, seed):
    """Some bytes of blocks that hold something, the first of them among them."""
    noise = random.Random(f"{kind} {seed}")
    start, length = SUPERBLOCKS.get(kind, (0, path.stat().st_size))
    with open(path, "r+b") as stream:
        places = [at for at in range(start, start + length, BLOCK) if any(read(stream, at))]
        chosen = [places[0], *noise.choices(places, k=noise.choice((0, 3, 30)))]
        for at in chosen[seed % 2 :] or chosen:
            for _flip in range(noise.choice((1, 4, 16))):
                stream.seek(at + noise.randrange(min(BLOCK, length)))
                stream.write(bytes([noise.choice((0, 0xFF, 1 << noise.randrange(8)))]))


def read(stream, at):
    stream.seek(at)
    return stream.read(BLOCK)


@pytest.mark.parametrize("seed", SEEDS)
def test_damaged_file_system_is_mounted_or_refused(
    sound, seed, ask, point, tool, tmp_path, sha256, leftovers
):
    kind, original = sound
    path = tmp_path / "disk.img"
    tool("cp", "--sparse=always", original, path)
    damage(kind, path, seed)
    before, begin = sha256(path), time.monotonic()
    try:
        session.mount(ask(path, "served", read_only=True))
        facts_of(str(point))
    except DiskError:
        pass
    session.unmount(str(point))
    assert leftovers() == []
    assert not point.exists()
    assert sha256(path) == before
    assert time.monotonic() - begin < SECONDS


def test_the_sound_ones_are_not_refused(sound, ask, point):
    """Else the damage of the others would show nothing."""
    kind, path = sound
    try:
        session.mount(ask(path, "served", read_only=True))
    except DiskError as error:
        assert "cannot mount" in str(error)  # this kernel, and no tool is here
        return
    found = facts_of(str(point))
    session.unmount(str(point))
    if kind != "xfs":  # that is empty
        assert (found["hostname"], len(found["packages"])) == ("web01", 2000)
