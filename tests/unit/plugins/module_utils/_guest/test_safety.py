# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Broken journals, impossible mount points, and secrets that must not stay."""

import json
import os
import pathlib
import subprocess
import sys

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import environment, session
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.state import StateFolder


@pytest.fixture(autouse=True)
def run_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))


def request_for(mount_point):
    return session.MountRequest(lambda: MemoryDevice(bytes(512)), "x", str(mount_point))


@pytest.mark.parametrize("call", [session.find, session.mount])
@pytest.mark.parametrize("mount_point", ["", "/", "//", "/..", "."])
def test_impossible_mount_points_are_refused(call, mount_point, monkeypatch):
    monkeypatch.chdir("/")
    with pytest.raises(InvalidRequest, match="mount point"):
        call(request_for(mount_point))


@pytest.mark.parametrize("call", [session.mounted, session.unmount])
def test_nothing_is_never_the_working_directory(call):
    with pytest.raises(InvalidRequest, match="the mount point is empty"):
        call("")


@pytest.mark.parametrize("call", [session.find, session.mount])
@pytest.mark.parametrize("name", ["file", "link", "file/below"])
def test_a_file_is_no_mount_point(call, name, tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("file")
    with pytest.raises(InvalidRequest, match="not a directory") as caught:
        call(request_for(tmp_path / name))
    assert caught.value.path == str(tmp_path / "file")


DAMAGED = [b"", b"{", b"{}", b"[]", b"null", b'{"daemon": 5}', b'{"daemon": null}', b"\xff\xfe"]


def break_journal(point, content):
    folder = pathlib.Path(StateFolder.of(str(point)).path)
    folder.mkdir(parents=True)
    (folder / "state.json").write_bytes(content)
    return folder


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_journal_is_a_half_made_mount(content, tmp_path):
    folder = break_journal(tmp_path / "mnt", content)
    assert session.mounted(str(tmp_path / "mnt")).problem == "it was never finished"
    assert session.find(request_for(tmp_path / "mnt")) is None
    assert session.dead() == [str(folder)]


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize("way", ["sweep", "unmount"])
def test_damaged_journal_is_cleaned_up(content, way, tmp_path):
    folder = break_journal(tmp_path / "mnt", content)
    (folder / "fuse").mkdir()
    (folder / "daemon.log").write_text("log")
    if way == "sweep":
        assert session.sweep() == [str(folder)]
    else:
        assert session.unmount(str(tmp_path / "mnt")) is True
    assert not folder.exists()


def test_the_environment_can_be_hidden_from_others():
    """What the kernel shows comes from where it put it when the program began."""
    code = f"""
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("environment", {environment.__file__!r})
module = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
module.hide()
with open("/proc/self/environ", "rb") as stream:
    shown = stream.read()
os.environ["NEW"] = "works"
print([shown.strip(b"\\0").decode(), os.environ["SECRET"], os.popen("echo $SECRET$NEW").read()])
"""
    argv = [sys.executable, "-I", "-c", code]
    done = subprocess.run(argv, env={"SECRET": "horse"}, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout.replace("'", '"')) == ["", "horse", "works\n"]
    assert os.path.exists("/proc/self/environ")
