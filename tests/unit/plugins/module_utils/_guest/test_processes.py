# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes and mounts as the kernel tells them, and programs with a time limit."""

import os
import signal
import subprocess
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    MissingTool,
    MountFailed,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import command, mountinfo
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.processes import (
    Process,
    holders,
    started,
)


@pytest.fixture
def sleeper(tmp_path):
    process = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    yield process
    process.kill()
    process.wait()


def test_process_is_alive_until_it_is_killed(sleeper):
    process = Process(sleeper.pid, started(sleeper.pid))
    assert process.alive
    process.send(signal.SIGKILL)
    assert process.wait(5)  # also while nobody has reaped it


def test_another_process_with_the_same_number_is_not_the_one(sleeper):
    impostor = Process(sleeper.pid, started(sleeper.pid) - 1)
    impostor.send(signal.SIGKILL)
    assert not impostor.alive
    assert sleeper.poll() is None


def test_no_process_has_not_started():
    assert started(2**22 + 1) is None


def test_holder_of_a_working_directory_is_named(sleeper, tmp_path):
    assert f"sleep ({sleeper.pid})" in holders(str(tmp_path))


def test_holder_of_an_open_file_is_named(tmp_path):
    with open(tmp_path / "file", "w"):
        assert any(f"({os.getpid()})" in name for name in holders(str(tmp_path)))


def test_neighbour_with_a_longer_name_is_no_holder(tmp_path):
    (tmp_path / "ab").mkdir()
    with open(tmp_path / "ab" / "file", "w"):
        assert holders(str(tmp_path / "a")) == []


def test_proc_is_mounted():
    assert mountinfo.mounted_at("/proc").fs == "proc"


def test_octal_escapes_of_mountinfo():
    line = r"36 35 98:0 /sub /mnt/a\040b\134c rw,noatime master:1 - ext3 /dev/a\040b rw"
    expected = mountinfo.Mount(36, "/mnt/a b\\c", "ext3", "/dev/a b", "98:0")
    assert mountinfo._parse(line) == expected


def test_program_that_is_missing_is_named_with_its_package():
    with pytest.raises(MissingTool, match=r"no-such-tool is not installed.*apt-get install some"):
        command.run(["no-such-tool"], 1, package="some")


def test_program_that_fails_is_quoted():
    with pytest.raises(MountFailed, match=r"code 3.*: out err"):
        command.run(["sh", "-c", "echo -n out; echo -n ' err' >&2; exit 3"], 5, package="dash")


def test_program_that_hangs_is_killed():
    begin = time.monotonic()
    with pytest.raises(MountFailed, match=r"did not end within 0\.2 seconds"):
        command.run(["sleep", "60"], 0.2, package="coreutils")
    assert time.monotonic() - begin < 30


def test_program_that_goes_to_the_background_is_not_waited_for():
    begin = time.monotonic()
    command.run(["sh", "-c", "sleep 20 & exit 0"], 30, package="dash")
    assert time.monotonic() - begin < 15
