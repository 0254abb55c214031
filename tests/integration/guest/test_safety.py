# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets of the daemon, lost data that is told, broken journals, other mount namespaces."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import MountFailed
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session, undo
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.grow_filesystem import (
    grow_mounted,
)

pytestmark = pytest.mark.serial


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def state_file(tmp_path):
    (path,) = (tmp_path / "run").glob("mounts/*/state.json")
    return path


def kill_daemon(state):
    os.kill(state.daemon, signal.SIGKILL)
    wait_for(lambda: not session.mounted(state.mount_point).healthy)


def test_passphrase_does_not_stay_in_the_environment_of_the_daemon(ext4, point):
    code = f"""
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session
source = lambda: RawDevice.open({str(ext4)!r})
print(session.mount(session.MountRequest(source, "x", {str(point)!r})).daemon)
"""
    environment = {**os.environ, "VDISK_PASSPHRASE": "correct horse"}
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    shown = pathlib.Path(f"/proc/{int(done.stdout)}/environ").read_bytes()
    session.unmount(str(point))
    assert shown.strip(b"\0") == b""


def test_other_volume_is_named_in_words(ext4, ask, point):
    session.mount(ask(ext4, "flat"))
    with pytest.raises(
        MountFailed, match=r"found volume number 0, ext4, label root, uuid [-0-9a-f]+ of"
    ):
        session.find(ask(ext4, "flat", read_only=True))
    session.unmount(str(point))


@pytest.mark.parametrize("how", ["sweep", "mount"])
def test_lost_data_is_told_by_who_cleans_up(ext4, ask, point, how):
    kill_daemon(session.mount(ask(ext4, "served")))
    told = []
    if how == "sweep":
        session.sweep(told.append)
    else:
        session.mount(ask(ext4, "served"), told.append)
        session.unmount(str(point))
    assert len(told) == 1
    assert f"died while it was mounted read-write at {point}" in told[0] and str(ext4) in told[0]


def test_nothing_is_lost_of_a_read_only_mount(ext4, ask, point):
    kill_daemon(session.mount(ask(ext4, "served", read_only=True)))
    told = []
    assert session.sweep(told.append) == [str(point)]
    assert told == []


def test_what_cannot_be_cleaned_up_is_told_and_stops_nobody(ext4, ask, point, tmp_path):
    session.mount(ask(ext4, "flat"))
    path = state_file(tmp_path)
    path.write_text(path.read_text().replace('"complete": true', '"complete": false'))
    told = []
    with open(point / "file", "w"):
        assert session.sweep(told.append) == []
    assert len(told) == 1 and "still in use" in told[0]
    assert session.dead() == [str(point)]
    assert session.sweep() == [str(point)]


@pytest.mark.parametrize("content", ["", "{", "{}"])
@pytest.mark.parametrize("alive", [True, False])
def test_mount_with_a_damaged_journal_is_taken_down(ext4, ask, point, tmp_path, content, alive):
    state = session.mount(ask(ext4, "served"))
    (point / "mark").write_text("here")
    os.sync()
    if not alive:
        kill_daemon(state)
    state_file(tmp_path).write_text(content)
    assert session.sweep() == [str(point)]
    wait_for(lambda: not os.path.exists(f"/proc/{state.daemon}/fd/0"))
    point.rmdir()  # that it was ours, only the journal knew
    point.parent.rmdir()


def test_damaged_journal_does_not_stop_another_mount(ext4, ask, point, tmp_path, image, tool):
    other = image(16 << 20, "other.img")
    tool("mkfs.ext4", "-q", other)
    session.mount(ask(ext4, "served"))
    state_file(tmp_path).write_text("")
    assert session.mount(ask(other, "served", at=tmp_path / "second")).healthy
    session.unmount(str(tmp_path / "second"))
    session.unmount(str(point))
    point.rmdir()
    point.parent.rmdir()


@contextlib.contextmanager
def other_namespace():
    """A process that keeps a copy of everything that is mounted."""
    if shutil.which("unshare") is None:
        pytest.skip("unshare is not installed")
    argv = ["unshare", "--mount", "--propagation", "private", "sleep", "100"]
    with subprocess.Popen(argv) as process:
        comm = pathlib.Path(f"/proc/{process.pid}/comm")
        wait_for(lambda: comm.read_text() == "sleep\n")
        yield process
        process.kill()


def test_other_namespace_that_keeps_the_mount_is_named(ext4, ask, point, way, monkeypatch):
    monkeypatch.setattr(undo, "_LOOP_SECONDS", 0.2)
    session.mount(ask(ext4, way))
    with other_namespace() as process:
        expected = rf"sleep \({process.pid}\) at {re.escape(str(point))} in another mount namespace"
        with pytest.raises(MountFailed, match=expected):
            session.unmount(str(point))
    assert session.unmount(str(point)) is True


def test_growing_waits_for_a_namespace_that_keeps_the_mount_a_while(ext4, ask, point):
    state = session.mount(ask(ext4, "flat"))
    with other_namespace() as process:
        threading.Timer(1, process.kill).start()
        grow_mounted("ext4", state)
    assert session.unmount(str(point)) is True


def test_process_that_keeps_the_loop_device_open_is_named(ext4, ask, point, way, monkeypatch):
    monkeypatch.setattr(undo, "_LOOP_SECONDS", 0.2)
    device = session.mount(ask(ext4, way)).device
    with open(device, "rb"), pytest.raises(MountFailed, match=rf"{device}.*\({os.getpid()}\)"):
        session.unmount(str(point))
    assert session.unmount(str(point)) is True


def test_device_that_frees_itself_later_is_no_failure(ext4, ask, point, monkeypatch):
    """Whoever holds it cannot be seen: another PID namespace, or a look by udev."""
    monkeypatch.setattr(undo, "_LOOP_SECONDS", 0.2)
    monkeypatch.setattr(undo, "holders", lambda _path: [])
    device = session.mount(ask(ext4, "flat")).device
    with open(device, "rb"):
        assert session.unmount(str(point)) is True
        assert session.mounted(str(point)) is None
    attached = pathlib.Path("/sys/block", os.path.basename(device), "loop")
    wait_for(lambda: not attached.exists())
