# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Disks and file systems whose servers live but never answer: everything ends in a message."""

from __future__ import annotations

import faulthandler
import functools
import os
import pathlib
import signal
import threading
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import MountFailed
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import (
    command,
    detached,
    limits,
    loopset,
    mount,
    session,
    undo,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts import guest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.facts.guest import facts_of

pytestmark = pytest.mark.serial
MIB = 1 << 20


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Seconds instead of minutes."""
    for module, name, seconds in (
        (mount, "MOUNT_SECONDS", 2),
        (mount, "UNMOUNT_SECONDS", 2),
        (mount, "_SHORT_SECONDS", 2),
        (undo, "_LOOP_SECONDS", 1),
        (undo, "_STOP_SECONDS", 2),
        (undo, "_KILL_SECONDS", 2),
        (detached, "START_SECONDS", 5),
        (guest, "SECONDS", 2),
        (command, "_DIE_SECONDS", 0.5),
        (limits, "_REAP_SECONDS", 0.5),
        (loopset, "_FREE_SECONDS", 0.5),
        (session, "_ANSWER_SECONDS", 1),
    ):
        monkeypatch.setattr(module, name, seconds)


def within(seconds, action, *arguments):
    """What it gives. When it takes longer, everything ends: nobody could wake it."""
    faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        return action(*arguments)
    finally:
        faulthandler.cancel_dump_traceback_later()


class Silent(RawDevice):
    """Answers those who look for volumes, but never the kernel."""

    def readinto(self, offset, buffer):
        if threading.current_thread() is not threading.main_thread():
            time.sleep(1000)
        super().readinto(offset, buffer)


class Mute(RawDevice):
    """Answers nobody."""

    def readinto(self, offset, buffer):
        time.sleep(1000)


@pytest.mark.parametrize(
    ("kind", "words"),
    [(Silent, "did not end within 2 seconds"), (Mute, "not open after 5 seconds")],
)
def test_a_disk_that_never_answers(ext4, kind, words, point, leftovers):
    source = functools.partial(kind.open, ext4)
    request = session.MountRequest(source, str(ext4), str(point))
    with pytest.raises(MountFailed, match=words):
        within(60, session.mount, request)
    assert leftovers() == []
    assert not point.exists()


def process_of(name, wanted):
    """The one of that name that has a word among its arguments, if any."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
            if words[0].endswith(name) and wanted in words:
                return int(folder.name)
        except OSError:
            continue
    return None


@pytest.fixture
def stopped():
    """stopped(pid): it does not answer until the test is over."""
    pids = []

    def stop(pid):
        os.kill(pid, signal.SIGSTOP)
        pids.append(pid)

    yield stop
    for pid in pids:
        resume(pid)


def resume(pid):
    try:
        os.kill(pid, signal.SIGCONT)
    except ProcessLookupError:
        pass


@pytest.fixture
def ntfs(image, tool):
    path = image(16 * MIB)
    tool("mkntfs", "-q", "-F", path)
    return path


def test_a_file_system_tool_that_stops_to_answer(ntfs, ask, point, stopped):
    request = ask(ntfs, "flat")
    state = session.mount(request)
    pid = process_of("ntfs-3g", state.device)
    if pid is None:
        session.unmount(str(point))
        pytest.skip("this kernel mounts NTFS by itself")
    stopped(pid)
    time.sleep(1.1)  # what the kernel remembers of it is too old now
    assert within(60, session.mounted, str(point)).healthy  # slow is not dead
    assert within(60, session.mount, request) == state
    assert within(60, session.dead) == []
    assert "did not answer within 2 seconds" in str(within(60, facts_of, str(point))["problems"])
    with pytest.raises(MountFailed, match=rf"ntfs-3g \({pid}\)"):
        within(60, session.unmount, str(point))
    resume(pid)
    within(60, session.unmount, str(point))


def test_a_server_of_ours_that_stops_to_answer(ext4, ask, point, stopped, tool):
    (tree := point.parent.parent / "tree").mkdir()
    (tree / "etc").mkdir()
    (tree / "etc/hostname").write_text("web01\n")
    tool("mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, ext4)
    state = session.mount(ask(ext4, "served", read_only=True))
    stopped(state.daemon)
    assert within(60, session.mounted, str(point)).healthy
    pathlib.Path("/proc/sys/vm/drop_caches").write_text("3")
    assert "did not answer within 2 seconds" in str(within(60, facts_of, str(point))["problems"])
    resume(state.daemon)
    assert facts_of(str(point))["hostname"] == "web01"
    session.unmount(str(point))
