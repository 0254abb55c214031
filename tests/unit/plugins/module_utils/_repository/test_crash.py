# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A backup may end anywhere: what was there stays, half a point is never seen."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskIOError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import pack
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import locked
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import Source
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository.dying import (
    Cut,
    DyingStore,
)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_backup_cut_at_every_operation(helpers, encrypted, tmp_path, monkeypatch, after):
    monkeypatch.setattr(pack, "LARGEST", 3 * helpers.CHUNK)  # several packs
    monkeypatch.setattr(locked, "UNLOCKED_GRACE", -1)
    old = helpers.content(4 * helpers.CHUNK)
    new = helpers.content(3 * helpers.CHUNK, 1) + old[-helpers.CHUNK :]
    first = encrypted.back_up(old).point
    for operation in range(1, 100):
        helper = helpers.Helper(str(tmp_path / f"copy{operation}"), encrypted.encryption)
        shutil.copytree(encrypted.url, helper.url)
        finished = back_up_until(operation, after, helper, helpers.disk(new), helpers.WEB)

        points = helper.open().points()
        made = [point for point in points if point.id != first.id]
        assert not any(point.problem for point in points)
        assert helper.restore(first.id) == old
        assert not made or finished or after  # after: the very last operation was the commit
        for point in made:
            assert helper.restore(point.id) == new
        if finished:
            break
        assert helper.back_up(new).created
        assert helper.restore("web01@latest") == new
        assert list((Path(helper.url) / "tmp").iterdir()) == []
        shutil.rmtree(helper.url)
    assert finished and operation > 15


def back_up_until(operation, after, helper, disk, source):
    """Whether the backup came to its end before that operation."""
    store = DyingStore(helper.url)
    repository = Repository.from_store(store, helper.passphrase)
    store.arm(operation, after)
    try:
        repository.back_up([disk], source)
    except Cut:
        return False
    return True


CHILD = """
import sys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.raw import RawDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import pack
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import *
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import *
keys.COST = (16, 8, 1)
pack.LARGEST = 1 << 20
url, path, source_id = sys.argv[1:]
disk = DiskSource("disk0", "disk0", RawDevice.open(path), "", path)
repository = Repository.open(url, "correct horse")
print("begun", flush=True)
repository.back_up([disk], Source("disk", source_id, source_id))
"""


def child(url, path, source_id):
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, url, str(path), source_id],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def test_sigkill_in_the_middle_harms_nothing(encrypted, helpers, tmp_path, monkeypatch):
    monkeypatch.setattr(locked, "UNLOCKED_GRACE", -1)
    first = encrypted.back_up(b"the first" * 100_000).point
    path = tmp_path / "disk.img"
    path.write_bytes(helpers.content(48 << 20))
    for delay in (0.01, 0.05, 0.1):
        process = child(encrypted.url, path, "killed")
        process.stdout.readline()
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert encrypted.restore(first.id) == b"the first" * 100_000
        assert not any(point.problem for point in encrypted.open().points())
    encrypted.back_up(path.read_bytes(), Source("disk", "killed", "killed"))
    assert encrypted.restore("killed@latest") == path.read_bytes()
    assert list((Path(encrypted.url) / "tmp").iterdir()) == []


def test_two_processes_at_once_both_succeed(encrypted, helpers, tmp_path):
    disks = {}
    for name in ("one", "two"):
        path = tmp_path / name
        path.write_bytes(helpers.content(8 << 20, "shared") + helpers.content(4 << 20, name))
        disks[name] = path
    processes = [child(encrypted.url, path, name) for name, path in disks.items()]
    for process in processes:
        process.stdout.read()
        process.stdout.close()
        assert process.wait() == 0
    for name, path in disks.items():
        assert encrypted.restore(f"{name}@latest") == path.read_bytes()


def test_two_backups_of_one_source_at_once_both_succeed(encrypted, helpers):
    contents = [helpers.content(3 * helpers.CHUNK, number) for number in range(4)]
    made = {}

    def run(number):
        made[number] = encrypted.back_up(contents[number]).point

    threads = [threading.Thread(target=run, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(encrypted.open().points()) == 4
    for number, point in made.items():
        assert encrypted.restore(point.id) == contents[number]


def test_a_disk_that_cannot_be_read_leaves_nothing(either, helpers, snapshot):
    class BadDisk(helpers.disk(b"").device.__class__):
        def readinto(self, offset, buffer):
            if offset:
                raise DiskIOError("cannot read: Input/output error", path="/dev/sdz")
            super().readinto(offset, buffer)

    before = snapshot(either.url)
    with pytest.raises(DiskIOError, match="/dev/sdz"):
        either.back_up(BadDisk(helpers.content(5 * helpers.CHUNK)))
    assert snapshot(either.url) == before
