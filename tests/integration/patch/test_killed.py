# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Windows killed at any moment: the disk is as before or as after, and the next window succeeds."""

from __future__ import annotations

import contextlib
import os
import pathlib
import random
import signal
import time

import pytest

from ansible_collections.vdisk.lifecycle.tests.examples import examples

pytestmark = pytest.mark.serial
TIMES = int(os.environ.get("VDISK_KILLS", examples(2)))
STEPS = {
    "ansible.builtin.raw": "for n in 1 2 3 4 5 6 7 8; do "
    "[ -e /var/data$n ] || dd if=/dev/urandom of=/var/data$n bs=64k count=8; done 2>/dev/null; "
    "echo patched > /etc/app"
}


def family(pid):
    """A process and all below it; none of them can get away meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    children = []
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if stat.read_text().rpartition(")")[2].split()[1] == str(pid):
                children.append(int(stat.parent.name))
    return [pid, *(each for child in children for each in family(child))]


def kill(process, daemons):
    doomed = family(process.pid)
    if random.random() < 0.5:  # the host has crashed, and not Ansible alone
        doomed += map(int, daemons())
    for pid in doomed:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def seconds(window, small_guest, tasks):
    """How long a window takes here."""
    began = time.monotonic()
    window.run(**patch(small_guest("measured"), tasks))
    return time.monotonic() - began


def patch(disk, tasks):
    settings = {"gather_facts": False, "safe_mode": False, "tasks": [tasks(STEPS)]}
    return {"disks": [{"path": str(disk)}], **settings}


@pytest.mark.parametrize("number", range(TIMES))
def test_killed_the_disk_is_as_before_or_as_after(
    window, small_guest, tasks, sha256, content, daemons, seconds, number
):
    disk = small_guest(f"disk{number}")
    before = sha256(disk)
    process = window.start(**patch(disk, tasks))
    time.sleep(random.uniform(0.2, 1.0) * seconds)
    kill(process, daemons)
    if number % 2:  # the other half goes on at once
        window.discard(disk)
        if sha256(disk) != before:
            assert content(disk, "/etc/app") == "patched\n"
            assert len(content(disk, "/var/data8")) > 0
    (result,), _printed = window.run(**patch(disk, tasks))
    assert result["state"] in ("patched", "unchanged")
    assert content(disk, "/etc/app") == "patched\n"
