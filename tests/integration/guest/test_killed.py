# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes killed at the worst moments, and what the next run makes of it."""

import contextlib
import functools
import json
import os
import pathlib
import signal
import threading
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import MountFailed
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import (
    daemon,
    mountables,
    parts,
    session,
    state,
)

pytestmark = pytest.mark.serial


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def in_child(action):
    """Run it in a process of its own; how that ended."""
    pid = os.fork()
    if pid == 0:
        try:
            action()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


def die(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def mount_and_die(request, step, moment, monkeypatch_target):
    """Mount, but be killed at the journal's entry number `step`: before or after it is made."""
    owner, name = monkeypatch_target
    original, calls = getattr(owner, name), iter(range(100))

    def counted(*arguments, **options):
        number = next(calls)
        if number == step and moment == "before":
            die()
        result = original(*arguments, **options)
        if number == step:
            die()
        return result

    setattr(owner, name, counted)
    session.mount(request)


FLAT_STEPS, SERVED_STEPS = 3, 5


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(
    ("way", "step"),
    [("flat", n) for n in range(FLAT_STEPS)] + [("served", n) for n in range(SERVED_STEPS)],
)
def test_mounting_killed_at_each_journal_entry(ext4, ask, point, way, step, moment, leftovers):
    request = ask(ext4, way)
    target = (state.StateFolder, "save")
    status = in_child(lambda: mount_and_die(request, step, moment, target))
    assert os.WTERMSIG(status) == signal.SIGKILL
    complete = moment == "after" and step == {"flat": FLAT_STEPS, "served": SERVED_STEPS}[way] - 1
    if complete:
        assert session.mounted(str(point)).healthy
        session.unmount(str(point))
    session.sweep()
    # A daemon that was never told to go on ends by itself.
    wait_for(lambda: leftovers() == [])
    assert not point.parent.exists()


def test_there_are_no_more_journal_entries_than_these(ext4, ask, point, way, monkeypatch):
    entries, save = [], state.StateFolder.save

    def counted(folder, journal):
        entries.append(1)
        save(folder, journal)

    monkeypatch.setattr(state.StateFolder, "save", counted)
    session.mount(ask(ext4, way))
    session.unmount(str(point))
    assert len(entries) == {"flat": FLAT_STEPS, "served": SERVED_STEPS}[way]


AROUND = {
    "mounting": (parts, "mount_volume"),
    "looking": (mountables, "straight"),
    "serving": (daemon, "start"),
}


@pytest.mark.parametrize(
    ("way", "target"),
    [("flat", "mounting"), ("flat", "looking"), ("served", "mounting"), ("served", "serving")],
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_mounting_killed_around_its_work(ext4, ask, point, way, target, moment, leftovers):
    in_child(lambda: mount_and_die(ask(ext4, way), 0, moment, AROUND[target]))
    assert session.mounted(str(point)).problem == "it was never finished"
    assert session.sweep() == [str(point)]
    assert leftovers() == []


PROGRAMS = {
    "vfat": ["mkfs.vfat", "-F", "12", "-s", "2"],
    "exfat": ["mkfs.exfat"],
    "ntfs": ["mkfs.ntfs", "-qFQ"],
}


@pytest.mark.parametrize("kind", PROGRAMS)
def test_what_a_program_has_mounted_is_known_before_it_is_written_down(
    kind, image, tool, ask, point, way, leftovers
):
    path = image(4 << 20)
    tool(*PROGRAMS[kind], path)
    request = ask(path, way, read_only=kind == "vfat")  # that can be read everywhere
    in_child(lambda: mount_and_die(request, 0, "after", AROUND["mounting"]))
    assert os.path.ismount(point)
    assert session.sweep() == [str(point)]
    wait_for(lambda: leftovers() == [])


def test_half_made_mount_is_replaced_by_the_next(ext4, ask, point, way):
    in_child(lambda: mount_and_die(ask(ext4, way), 0, "after", (parts, "mount_volume")))
    assert session.mount(ask(ext4, way)).healthy
    session.unmount(str(point))


@pytest.mark.parametrize("step", ["_take_down", "_let_go_of_loops", "_stop_daemon"])
def test_unmounting_killed_half_way_is_finished_by_the_next(ext4, ask, point, step, tool):
    from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import undo

    session.mount(ask(ext4, "served"))
    (point / "mark").write_text("here")

    def unmount_and_die():
        original = getattr(undo, step)
        setattr(undo, step, lambda *arguments: (original(*arguments), die()))
        session.unmount(str(point))

    in_child(unmount_and_die)
    session.unmount(str(point))
    assert tool("debugfs", "-R", "cat /mark", ext4) == "here"


@pytest.fixture
def killed(ext4, ask, point):
    """A mounted ext4 with an open file, whose daemon was killed."""
    state = session.mount(ask(ext4, "served"))
    with open(point / "open", "w") as stream:
        stream.write("lost")
        stream.flush()
        os.kill(state.daemon, signal.SIGKILL)
        wait_for(lambda: not session.mounted(str(point)).healthy)
        yield stream


def close_quietly(stream):
    try:
        stream.close()
    except OSError:
        pass


def test_dead_daemon_is_seen(killed, point):
    assert session.mounted(str(point)).problem == "the process that serves its disk is gone"
    session.sweep()
    close_quietly(killed)


def test_dead_daemon_under_open_files_is_swept(killed, point, leftovers):
    assert session.sweep() == [str(point)]
    close_quietly(killed)
    wait_for(lambda: leftovers() == [])


def test_dead_daemon_is_replaced_by_the_next_mount(killed, ext4, ask, point, tool):
    assert session.mount(ask(ext4, "served")).healthy
    (point / "after").write_text("works")
    session.unmount(str(point))
    close_quietly(killed)
    assert tool("debugfs", "-R", "cat /after", ext4) == "works"


def test_unmounting_after_a_dead_daemon_cleans_up_and_complains(killed, point, leftovers):
    with pytest.raises(MountFailed, match="its server died while it was mounted"):
        session.unmount(str(point))
    close_quietly(killed)
    wait_for(lambda: leftovers() == [])


def served_by_a_tool(point):
    """The process of a FUSE tool that mounted there."""
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):  # it has ended
            words = path.read_bytes()
            if words.startswith(b"/usr/bin/ntfs-3g") and bytes(point) in words:
                return int(path.parent.name)
    pytest.skip("the kernel mounted it itself")


def test_dead_file_system_program_is_seen_and_cleaned(image, ask, point, tool, way, leftovers):
    path = image(16 << 20)
    tool("mkfs.ntfs", "-q", "-F", "-Q", path)
    session.mount(ask(path, way))
    os.kill(served_by_a_tool(point), signal.SIGKILL)
    gone = "the program that serves its file system is gone"
    wait_for(lambda: session.mounted(str(point)).problem == gone)
    assert session.sweep() == [str(point)]
    assert leftovers() == []


class Marked(RawDevice):
    """Leaves word when it is closed in order, after its last flush."""

    def flush(self):
        super().flush()
        self.flushed = True

    def write(self, offset, data):
        self.flushed = False
        super().write(offset, data)

    def close(self):
        if getattr(self, "flushed", False):
            pathlib.Path(self.name + ".closed").touch()
        super().close()


@pytest.fixture
def marked(ext4, point):
    source = functools.partial(Marked.open, ext4, writable=True)
    return session.mount(session.MountRequest(source, "x", str(point), None, False))


def test_unmounting_flushes_and_closes_the_device(marked, ext4, point):
    (point / "mark").write_text("here")
    session.unmount(str(point))
    assert os.path.exists(f"{ext4}.closed")


def test_daemon_told_to_stop_unmounts_and_closes_first(marked, ext4, point, tool, leftovers):
    (point / "mark").write_text("not synced")
    os.kill(marked.daemon, signal.SIGTERM)
    wait_for(lambda: not os.path.ismount(point) and os.path.exists(f"{ext4}.closed"))
    wait_for(lambda: not session.mounted(str(point)).healthy)
    assert tool("debugfs", "-R", "cat /mark", ext4) == "not synced"
    tool("e2fsck", "-fn", ext4)
    assert session.sweep() == [str(point)]


def test_daemon_told_to_stop_waits_for_the_users(marked, ext4, point):
    with open(point / "file", "w") as stream:
        os.kill(marked.daemon, signal.SIGTERM)
        time.sleep(0.5)
        stream.write("still works")
        stream.flush()
        os.fsync(stream.fileno())
    wait_for(lambda: os.path.exists(f"{ext4}.closed"))
    session.sweep()


class Threaded(Marked):
    """Keeps a thread, as a session with a vCenter or an object store does."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        threading.Thread(target=threading.Event().wait, daemon=True).start()


def test_threads_of_the_disk_do_not_take_the_signal_to_stop(ext4, point):
    source = functools.partial(Threaded.open, ext4, writable=True)
    session.mount(session.MountRequest(source, "x", str(point), None, False))
    (point / "mark").write_text("here")
    begun = time.monotonic()
    session.unmount(str(point))
    assert time.monotonic() - begun < 60
    assert os.path.exists(f"{ext4}.closed")


def open_for_ever():
    time.sleep(1000)


def test_daemon_that_still_opens_its_disk_ends_at_once(point):
    def mount():
        session.mount(session.MountRequest(open_for_ever, "x", str(point)))

    pid = os.fork()
    if pid == 0:
        try:
            mount()
        finally:
            os._exit(0)
    wait_for(lambda: (found := session.mounted(str(point))) is not None and found.daemon)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    begun = time.monotonic()
    assert session.sweep() == [str(point)]
    assert time.monotonic() - begun < 60


def test_state_of_an_earlier_boot_is_forgotten(ext4, ask, point, leftovers, tmp_path):
    """What the journal names may belong to others by now."""
    session.mount(ask(ext4, "flat"))
    (path,) = (tmp_path / "run").glob("mounts/*/state.json")
    journal = path.read_text()
    session.unmount(str(point))
    path.parent.mkdir()
    facts = json.loads(journal)
    daemon = [os.getpid(), 1]
    path.write_text(json.dumps({**facts, "boot": "earlier", "served": True, "daemon": daemon}))
    point.mkdir(parents=True)
    assert session.mounted(str(point)).problem == "the machine was started again since"
    assert session.sweep() == [str(point)]
    assert not point.parent.exists()
