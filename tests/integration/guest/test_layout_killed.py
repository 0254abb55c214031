# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whole guests, whose mounting or serving process is killed."""

import os
import pathlib
import signal
import time
import traceback

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest import session, state

pytestmark = pytest.mark.serial
MIB = 1 << 20


def die(*_arguments):
    os.kill(os.getpid(), signal.SIGKILL)


def saves(request):
    """How many entries the journal gets."""
    entries, save = [], state.StateFolder.save

    def counted(folder, journal):
        entries.append(1)
        save(folder, journal)

    state.StateFolder.save = counted
    try:
        session.mount(request)
        session.unmount(request.mount_point)
    finally:
        state.StateFolder.save = save
    return len(entries)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_any_entry_of_the_journal_nothing_is_left(
    guest, way, ask_guest, point, moment, leftovers
):
    request = ask_guest(guest, way, read_only=False)
    for step in range(saves(request)):
        assert os.WTERMSIG(killed_at(request, step, moment)) == signal.SIGKILL
        session.unmount(str(point))  # what happens to be complete
        session.sweep()
        wait_for_nothing(leftovers)
        assert not point.parent.exists()


def killed_at(request, step, moment):
    save, calls = state.StateFolder.save, iter(range(100))

    def counted(folder, journal):
        number = next(calls)
        if (number, moment) == (step, "before"):
            die()
        save(folder, journal)
        if number == step:
            die()

    pid = os.fork()
    if pid == 0:
        try:
            state.StateFolder.save = counted
            session.mount(request)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


def wait_for_nothing(leftovers):
    end = time.monotonic() + 60
    while leftovers():
        assert time.monotonic() < end, leftovers()
        time.sleep(0.02)


def test_dead_daemon_under_a_guest_is_swept(guest, ask_guest, point, leftovers):
    found = session.mount(ask_guest(guest, "served"))
    os.kill(found.daemon, signal.SIGKILL)
    end = time.monotonic() + 60
    while session.mounted(str(point)).healthy:
        assert time.monotonic() < end
        time.sleep(0.02)
    assert session.sweep() == [str(point)]
    wait_for_nothing(leftovers)


def test_daemon_of_a_guest_told_to_stop_unmounts_all_of_it(guest, ask_guest, point, tool):
    found = session.mount(ask_guest(guest, "served", read_only=False))
    (point / "boot" / "new").write_text("not synced")
    os.kill(found.daemon, signal.SIGTERM)
    end = time.monotonic() + 60
    while os.path.exists(f"/proc/{found.daemon}"):
        assert time.monotonic() < end
        time.sleep(0.02)
    assert session.sweep() == [str(point)]
    assert tool("debugfs", "-R", "cat /new", f"{guest}?offset={5 * MIB}") == "not synced"


def test_guest_of_an_earlier_boot_is_forgotten(guest, ask_guest, point, monkeypatch, leftovers):
    """What the journal names may belong to others by now."""
    session.mount(ask_guest(guest, "flat"))
    (path,) = pathlib.Path(os.environ["VDISK_RUN_DIR"]).glob("mounts/*/state.json")
    journal = path.read_text()
    session.unmount(str(point))
    path.parent.mkdir()
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    path.write_text(journal.replace(boot, "earlier"))
    assert session.mounted(str(point)).problem == "the machine was started again since"
    assert session.sweep() == [str(point)]
    assert leftovers() == []
