# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that an image holds to hurt the machine that mounts it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts import guest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts.guest import facts_of

pytestmark = pytest.mark.serial
MIB = 1 << 20
NOBODY = 65534
CANARY = "the host's own secret"


@pytest.fixture
def tree(tmp_path):
    """What shall be in the image."""
    folder = tmp_path / "tree"
    folder.mkdir()
    folder.chmod(0o755)
    return folder


@pytest.fixture
def packed(tree, tmp_path, tool, image):
    """packed(kind): the tree as an image of that kind."""

    def make(kind):
        if kind == "squashfs":
            path = tmp_path / "tree.squashfs"
            tool("mksquashfs", tree, path, "-quiet", "-no-progress")
            return path
        path = image(64 * MIB)
        tool("mke2fs", "-q", "-t", kind, "-L", "root", "-d", tree, path)
        return path

    return make


@pytest.mark.parametrize("kind", ["ext2", "ext4", "squashfs"])
def test_a_setuid_program_gives_nobody_any_rights(kind, tree, packed, way, ask, point, tmp_path):
    """By an attempt: it is run by a user who has none."""
    os.chmod(shutil.copy("/usr/bin/id", tree / "id"), 0o6755)
    for folder in (tmp_path, *tmp_path.parents):  # that the user reaches it at all
        if os.stat(folder).st_uid == os.geteuid() and folder.is_relative_to("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o111)
    session.mount(ask(packed(kind), way, read_only=True))
    assert (point / "id").stat().st_mode & stat.S_ISUID
    run = subprocess.run(
        [point / "id", "-u"], user=NOBODY, group=NOBODY, capture_output=True, text=True, check=False
    )
    session.unmount(str(point))
    assert (run.returncode, run.stdout) == (0, f"{NOBODY}\n"), run.stderr


@pytest.mark.parametrize("kind", ["ext2", "ext4", "squashfs"])
def test_a_device_node_opens_no_device(kind, tree, packed, way, ask, point):
    os.mknod(tree / "memory", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    os.mknod(tree / "disk", stat.S_IFBLK | 0o666, os.makedev(7, 0))  # a loop device
    session.mount(ask(packed(kind), way, read_only=True))
    errors = []
    for name in ("memory", "disk"):
        try:
            os.close(os.open(point / name, os.O_RDONLY))
        except PermissionError as error:
            errors.append(error)
    session.unmount(str(point))
    assert len(errors) == 2


LINKED = ("etc/hostname", "etc/os-release", "etc/passwd", "etc/shadow", "etc/machine-id",
          "var/lib/dpkg/status", "lib/apk/db/installed", "var/lib/rpm/rpmdb.sqlite",
          "Windows/System32/config/SOFTWARE", "etc/timezone")  # fmt: skip


@pytest.mark.parametrize("form", ["absolute", "relative", "folder"])
def test_links_lead_no_facts_out_of_the_image(form, tree, packed, ask, point, tmp_path):
    outside = tmp_path / "outside"
    for name in LINKED:
        inside = tree / name
        victim = outside / name
        for path in (inside, victim):
            path.parent.mkdir(parents=True, exist_ok=True)
        victim.write_text(
            f"P:{CANARY}\nPackage: {CANARY}\nStatus: install ok installed\nID={CANARY}\n"
        )
        up = "../" * 40
        if form == "folder":
            shutil.rmtree(tree / name.partition("/")[0], ignore_errors=True)
    if form == "folder":
        for name in {each.partition("/")[0] for each in LINKED}:
            os.symlink(outside / name, tree / name)
    else:
        for name in LINKED:
            target = outside / name
            os.symlink(target if form == "absolute" else f"{up}{target}", tree / name)
    session.mount(ask(packed("ext4"), "flat", read_only=True))
    found = facts_of(str(point))
    session.unmount(str(point))
    assert CANARY not in str(found)
    assert found["packages"] == found["users"] == []


@pytest.mark.parametrize("kind", ["fifo", "device", "socket", "folder", "huge", "endless"])
def test_facts_wait_for_nothing_that_is_no_plain_file(kind, tree, packed, ask, point):
    for name in LINKED:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "folder":
            path.mkdir()
        elif kind == "huge":
            with open(path, "wb") as stream:
                stream.truncate(1 << 37)  # 128 GiB of zeros
        elif kind == "endless":
            os.symlink(path.name, path)
        else:
            mode = {"fifo": stat.S_IFIFO, "device": stat.S_IFCHR, "socket": stat.S_IFSOCK}[kind]
            os.mknod(path, mode | 0o666, os.makedev(1, 5) if kind == "device" else 0)
    session.mount(ask(packed("ext4"), "flat", read_only=True))
    begin = time.monotonic()
    found = facts_of(str(point))
    taken = time.monotonic() - begin
    session.unmount(str(point))
    assert found["packages"] == found["users"] == [] and found["hostname"] is None
    assert taken < 60


def test_a_reader_that_never_ends_is_told_of(tree, packed, ask, point, monkeypatch):
    """What was read before is there, the rest is in the problems, and nobody reads on."""
    (tree / "etc").mkdir()
    (tree / "etc/hostname").write_text("web01\n")
    readers = dict(guest._READERS)
    readers["services"] = lambda _root: time.sleep(1000)
    monkeypatch.setattr(guest, "_READERS", tuple(readers.items()))
    monkeypatch.setattr(guest, "SECONDS", 2)
    session.mount(ask(packed("ext4"), "flat", read_only=True))
    begin = time.monotonic()
    found = facts_of(str(point))
    assert time.monotonic() - begin < 60
    session.unmount(str(point))  # it is not busy
    assert found["hostname"] == "web01" and found["services"] == []
    assert len(found["problems"]) == 1 and "within 2 seconds" in found["problems"][0]
