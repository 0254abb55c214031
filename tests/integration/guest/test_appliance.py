# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Volumes mounted by libguestfs: the kernel of this machine parses no file system.

Without KVM each start of its virtual machine takes half a minute.
"""

from __future__ import annotations

import os
import pathlib
import shutil
import signal
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    MissingTool,
    MountFailed,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import appliance, session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.state import StateFolder

MIB = 1 << 20
START = 20 * MIB

pytestmark = [pytest.mark.serial, pytest.mark.slow]
real = pytest.mark.skipif(
    not (shutil.which("guestmount") and list(pathlib.Path("/boot").glob("vmlinuz-*"))),
    reason="guestmount (libguestfs-tools), or a kernel for its appliance, is not installed",
)


@pytest.fixture
def disk(image, tool):
    """The volume that is meant is the second of two partitions."""
    path = image(64 * MIB)
    table = f"start=2048, size=4M\nstart={START // 512}, size=40M\n"
    tool("sfdisk", "--quiet", "--label", "gpt", path, text=table)
    tool("mkfs.ext4", "-q", "-L", "root", "-E", f"offset={START}", path, "40M")
    return path


@pytest.fixture
def request_for(disk, ask, point):
    """request_for(read_only): by label, through the appliance."""

    def make(read_only):
        plain = ask(disk, "served", volume="root", read_only=read_only)
        return session.MountRequest(
            plain.source,
            plain.reference,
            plain.mount_point,
            volume="root",
            read_only=read_only,
            isolation="appliance",
        )

    return make


@real
def test_what_is_written_through_the_appliance_is_on_the_disk(
    request_for, disk, point, tool, leftovers
):
    state = session.mount(request_for(False))
    assert state.healthy and state.device is None  # no loop device: nothing for this kernel
    (point / "etc").mkdir()
    (point / "etc/hostname").write_text("web01\n")
    assert session.mount(request_for(False)) == state
    session.unmount(str(point))
    assert leftovers() == []
    assert tool("debugfs", "-R", "cat /etc/hostname", f"{disk}?offset={START}") == "web01\n"
    tool("e2fsck", "-fn", f"{disk}?offset={START}")


@real
def test_a_killed_appliance_is_swept_and_has_written_nothing(
    request_for, disk, point, sha256, leftovers
):
    before = sha256(disk)
    session.mount(request_for(True))
    assert os.listdir(point) == ["lost+found"]
    with pytest.raises(OSError, match="Read-only file system"):
        (point / "mark").write_text("x")
    os.kill(appliance_of(point), signal.SIGKILL)
    end = time.monotonic() + 60
    while session.mounted(str(point)).healthy:
        assert time.monotonic() < end
        time.sleep(0.1)
    session.sweep()
    assert leftovers() == []
    assert not point.exists()
    assert sha256(disk) == before
    assert not appliance_of(point)


def appliance_of(point):
    """The number of the guestmount that serves it."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text().split("\0")
        except OSError:
            continue
        if words[0].endswith(("guestmount", "qemu-system-x86_64")) and str(point) in words:
            return int(path.parent.name)
    return 0


def test_what_an_appliance_has_lost_is_told(request_for, point, monkeypatch, leftovers):
    """As if it had been there and had died: with a program that mounts something else."""
    monkeypatch.setattr(appliance, "require", lambda: "/bin/true")
    monkeypatch.setattr(appliance, "_await_mount", lambda *_arguments: None)
    session.mount(request_for(False))
    assert StateFolder.of(str(point)).load().appliance.wait(10)
    told = []
    assert session.sweep(told.append) == [str(point)]
    assert len(told) == 1 and "may be lost" in told[0]
    assert leftovers() == []


def test_it_is_told_that_guestmount_is_missing(request_for, point, monkeypatch, leftovers):
    monkeypatch.setattr(appliance, "find", lambda _program: None)
    with pytest.raises(MissingTool, match=r"guestmount.*libguestfs-tools"):
        session.mount(request_for(True))
    assert leftovers() == []


def test_an_appliance_that_does_not_start_ends_in_a_message(
    request_for, point, tmp_path, monkeypatch, leftovers
):
    stubborn = tmp_path / "guestmount"
    stubborn.write_text("#!/bin/sh\necho no way >&2\nexec sleep 1000\n")
    stubborn.chmod(0o755)
    monkeypatch.setattr(appliance, "find", lambda _program: str(stubborn))
    monkeypatch.setattr(appliance, "START_SECONDS", 1)
    monkeypatch.setattr(appliance, "_STOP_SECONDS", 1)
    with pytest.raises(MountFailed, match=r"within 1 seconds.*no way"):
        session.mount(request_for(True))
    assert leftovers() == []
