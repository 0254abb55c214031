# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The journal and its lock."""

import json
import multiprocessing
import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.processes import Process
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.session import (
    MountRequest,
    MountState,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._guest.state import (
    Journal,
    StateFolder,
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("VDISK_RUN_DIR", str(tmp_path / "run"))
    return StateFolder.of("/mnt/web01")


def a_journal():
    return Journal("/mnt/web01", "web01@latest", "root", True, daemon=Process(7, 4711))


def test_what_is_saved_is_loaded(folder):
    with folder.locked():
        folder.save(a_journal())
    assert folder.load() == a_journal()


def test_journal_of_a_newer_version_is_understood(folder):
    with folder.locked():
        folder.save(a_journal())
        path = os.path.join(folder.path, "state.json")
        with open(path) as stream:
            facts = json.load(stream)
        with open(path, "w") as stream:
            json.dump({**facts, "overlay": "new"}, stream)
    assert folder.load() == a_journal()


def test_nothing_saved_is_none(folder):
    assert folder.load() is None


def test_folder_without_a_journal_goes_with_the_lock(folder):
    with folder.locked():
        assert os.path.isdir(folder.path)
    assert not os.path.exists(folder.path)


def test_clearing_leaves_nothing(folder):
    with folder.locked():
        folder.save(a_journal())
        os.mkdir(folder.fuse)
        folder.clear()
    assert StateFolder.all() == []


def test_every_mount_point_has_its_own_folder(folder):
    assert folder.path != StateFolder.of("/mnt/web02").path
    assert folder.path == StateFolder.of("/mnt/web01").path


def test_folder_is_for_its_owner_only(folder):
    with folder.locked():
        assert os.stat(folder.path).st_mode & 0o077 == 0


def test_locked_folder_is_not_given_to_another(folder):
    with folder.locked(), folder.locked(wait=False) as ours:
        assert not ours


def count_up(path, rounds):
    """A race without a lock: read, then write one more."""
    folder = StateFolder.of("/mnt/web01")
    for _round in range(rounds):
        with folder.locked():
            with open(path) as stream:
                number = int(stream.read())
            with open(path, "w") as stream:
                stream.write(str(number + 1))


def test_lock_holds_although_the_folder_comes_and_goes(folder, tmp_path):
    path = tmp_path / "counter"
    path.write_text("0")
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=count_up, args=(path, 50)) for _worker in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    assert path.read_text() == "200"


@pytest.mark.parametrize(
    ("wanted", "fits"),
    [("ROOT", True), ("root", False), ("2", True), ("ABCD", True), ("abcd", True), ("None", False)],
)
def test_volume_that_is_mounted_is_the_one_that_is_wanted(wanted, fits):
    """Labels are told apart by their case, as where a volume is chosen."""
    volume = {"number": 2, "name": None, "label": "ROOT", "uuid": "abcd"}
    state = MountState("disk", "/mnt/web01", True, volume, None, None, paths=("disk",))
    request = MountRequest(lambda: None, "disk", "/mnt/web01", wanted)
    assert state.satisfies(request) is fits
