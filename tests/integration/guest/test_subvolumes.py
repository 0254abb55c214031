# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Subvolumes of btrfs, named by the user or by the fstab of a guest."""

import dataclasses
import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    MountFailed,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session

pytestmark = pytest.mark.serial
MIB = 1 << 20


def inside(found, point):
    """Where the parts are, as the guest would say."""
    return [part["mount_point"].removeprefix(str(point)) or "/" for part in found.parts]


@pytest.fixture
def btrfs(image, tool, tmp_path):
    """As installers leave one: the root in @, /home in @home, the default is the top."""
    path, mounted = image(120 * MIB), tmp_path / "plain"
    tool("mkfs.btrfs", "-q", "-L", "system", path)
    mounted.mkdir()
    tool("mount", "-o", "loop", path, mounted)
    try:
        for name in ("@", "@home", "@home/deep"):
            tool("btrfs", "subvolume", "create", mounted / name)
        (mounted / "@/etc").mkdir()
        (mounted / "@/home").mkdir()
        lines = ["LABEL=system / btrfs subvol=@", "LABEL=system /home btrfs noatime,subvol=/@home"]
        (mounted / "@/etc/fstab").write_text("\n".join(lines))
        (mounted / "@home/me").write_text("home")
    finally:
        tool("umount", mounted)
    return path


@pytest.mark.parametrize("read_only", [True, False])
def test_guest_on_btrfs_is_found_and_mounted_by_subvolumes(
    btrfs, way, ask_guest, point, read_only, sha256, tool
):
    before = sha256(btrfs)
    found = session.mount(ask_guest(btrfs, way, read_only=read_only))
    content = (point / "home" / "me").read_text()
    if not read_only:
        (point / "home" / "new").write_text("x")
        (point / "etc" / "new").write_text("y")
    session.unmount(str(point))
    assert (inside(found, point), content) == (["/", "/home"], "home")
    assert (sha256(btrfs) == before) == read_only
    tool("btrfs", "check", "--readonly", btrfs)


def test_subvolume_of_btrfs(btrfs, way, ask, point):
    request = dataclasses.replace(ask(btrfs, way, read_only=True), subvolume="@home")
    session.mount(request)
    assert set(os.listdir(point)) == {"me", "deep"}
    assert session.find(request).healthy
    with pytest.raises(MountFailed, match="something else is mounted there"):
        session.find(dataclasses.replace(request, subvolume="@"))
    session.unmount(str(point))


def test_wrong_subvolume_is_told_with_what_there_is(btrfs, way, ask, leftovers):
    request = dataclasses.replace(ask(btrfs, way, read_only=True), subvolume="@var")
    with pytest.raises(InvalidRequest, match=r"no subvolume '@var'.* has: @, @home, @home/deep"):
        session.mount(request)
    assert leftovers() == []


@pytest.mark.parametrize("name", ["@,rw", 'a"b', "a\\b", "", "a\nb"])
def test_subvolume_cannot_bring_options(btrfs, ask, name):
    with pytest.raises(InvalidRequest, match="is no subvolume"):
        session.mount(dataclasses.replace(ask(btrfs, "flat", read_only=True), subvolume=name))


def test_subvolume_of_what_has_none(ext4, ask, leftovers):
    with pytest.raises(InvalidRequest, match="ext4 has no subvolumes"):
        session.mount(dataclasses.replace(ask(ext4, "flat", read_only=True), subvolume="@"))
    assert leftovers() == []
