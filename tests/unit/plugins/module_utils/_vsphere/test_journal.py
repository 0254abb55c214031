# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run makes is on record before it is made, and is found when the run is dead."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots import (
    journal as journals,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.snapshots.journal import (
    Journal,
    abandoned,
    at_work_on,
    known_runs,
)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    path = tmp_path / "state" / "jobs"
    monkeypatch.setenv("VDISK_STATE_DIR", str(path))
    return path


def die(entries: str = "j.note('snapshot', vm='vm-1')") -> None:
    """A run that writes down something and is killed."""
    code = (
        "import os, signal\n"
        f"from {journals.__name__} import Journal\n"
        "j = Journal.begin('backup', 'a')\n"
        f"{entries}\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL


def left() -> list[tuple[str, dict]]:
    return [(entry.kind, entry.facts) for each in abandoned() for entry in each.open_entries()]


def test_an_entry_is_durable_when_it_is_noted(folder, monkeypatch):
    synced = []
    with Journal.begin("backup") as journal:
        monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.pread(fd, 10_000, 0)))
        journal.done(journal.note("snapshot", vm="vm-1"))

    assert b'"vm-1"' in synced[0]


def test_of_two_runs_on_the_same_machine_each_sees_the_other():
    with Journal.begin("backup of a", "a") as one, Journal.begin("backup of a", "a") as two:
        assert at_work_on("a", one.run) == two.run
        assert at_work_on("a", two.run) == one.run
        assert at_work_on("b", one.run) is None
    assert at_work_on("a", "another") is None


def test_the_dead_are_at_work_on_nothing():
    die()
    (run,) = known_runs()
    with Journal.begin("backup", "a") as journal:
        assert at_work_on("a", journal.run) is None
        assert run != journal.run


def test_only_its_user_reads_it(folder):
    with Journal.begin("backup") as journal:
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        assert stat.S_IMODE(os.stat(journal.path).st_mode) == 0o600


def test_nothing_is_left_of_a_run_that_cleaned_up(folder):
    with Journal.begin("backup") as journal:
        journal.done(journal.note("snapshot", vm="vm-1"))

    assert os.listdir(folder) == []


def test_what_is_not_done_stays(folder):
    with Journal.begin("backup") as journal:
        journal.note("snapshot", vm="vm-1")
        journal.done(journal.note("attach", vm="vm-2"))

    assert left() == [("snapshot", {"vm": "vm-1"})]
    assert len(os.listdir(folder)) == 1


def test_the_youngest_comes_first(folder):
    with Journal.begin("backup") as journal:
        journal.note("snapshot")
        journal.note("attach")
        assert [entry.kind for entry in journal.open_entries()] == ["attach", "snapshot"]


def test_a_dead_run_is_found_and_known(folder):
    die()

    assert left() == [("snapshot", {"vm": "vm-1"})]
    assert len(known_runs()) == 1
    assert [journal.head()["purpose"] for journal in abandoned()] == ["backup"]


def test_a_living_run_is_not_abandoned(folder):
    with Journal.begin("backup") as journal:
        journal.note("snapshot")
        assert list(abandoned()) == []
        assert known_runs() == {journal.run}


def test_while_one_sweeps_no_other_does(folder):
    die()

    for _journal in abandoned():
        assert list(abandoned()) == []


def test_what_was_swept_is_forgotten(folder):
    die()
    for journal in abandoned():
        journal.done(journal.open_entries()[0].number)

    assert os.listdir(folder) == []


def test_a_torn_line_is_no_line(folder):
    die("j.note('snapshot', vm='vm-1'); os.write(j._fd, b'{\"number\": 2, \"ki')")

    assert left() == [("snapshot", {"vm": "vm-1"})]


def test_what_follows_a_torn_line_is_read(folder):
    die('os.write(j._fd, b\'{"number": 2, "ki\')')
    for journal in abandoned():
        journal.note("snapshot", vm="vm-3")

    assert left() == [("snapshot", {"vm": "vm-3"})]


def test_a_run_killed_before_its_first_line_leaves_nothing(folder):
    os.makedirs(folder)
    (folder / "20260101T000000-00000000.journal").write_bytes(b"")

    assert left() == []
    assert os.listdir(folder) == []


def test_other_files_are_left_alone(folder):
    os.makedirs(folder)
    (folder / "README").write_text("mine")

    assert list(abandoned()) == []
    assert os.listdir(folder) == ["README"]


def test_there_is_no_folder_yet(folder):
    assert list(abandoned()) == []
    assert known_runs() == set()


def test_a_folder_that_cannot_be_is_told(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VDISK_STATE_DIR", str(tmp_path / "file" / "jobs"))

    with pytest.raises(DiskError, match="VDISK_STATE_DIR"):
        Journal.begin("backup")


def test_many_threads_get_numbers_of_their_own(folder):
    with Journal.begin("backup") as journal:
        threads = [threading.Thread(target=journal.note, args=("snapshot",)) for _n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        numbers = [entry.number for entry in journal.open_entries()]

    assert sorted(numbers) == list(range(1, 21))


def test_a_journal_that_a_sweep_takes_away_before_it_is_locked_is_made_again(folder, monkeypatch):
    lock = fcntl.flock
    taken = []

    def late(fd, how):
        if not taken and how == fcntl.LOCK_EX:
            taken.append(fd)
            for path in os.listdir(folder):
                os.unlink(folder / path)
        lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Journal.begin("a backup") as journal:
        assert taken and os.path.exists(journal.path)


def test_a_line_that_is_written_by_half_is_an_error(folder, monkeypatch):
    write = os.write
    with Journal.begin("a backup") as journal:
        monkeypatch.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))
        with pytest.raises(DiskError):
            journal.note("snapshot", vm="vm-1")
