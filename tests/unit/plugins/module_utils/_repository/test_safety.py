# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wrong clocks, damaged packs, and two who use a repository at the same time."""

from __future__ import annotations

import dataclasses
import datetime
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskExists,
    DiskInUse,
    RepositoryNotFound,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import times
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.keep import removal
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import local
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write import (
    moment,
)


@pytest.fixture
def clock_says(monkeypatch):
    """Set the clock that backups go by."""

    def say(*when):
        time = datetime.datetime(*when, tzinfo=datetime.timezone.utc)
        monkeypatch.setattr(times, "now", lambda: time)

    return say


def test_a_clock_that_ran_ahead_does_not_hide_newer_points(either, clock_says):
    clock_says(2031, 1, 1)
    either.back_up(b"old")
    clock_says(2026, 11, 22, 2)
    for number in range(3):
        data = b"new %d" % number
        point = either.back_up(data).point
        assert either.restore("web01@latest") == data
        assert either.open().points()[-1] == point


def test_the_time_on_the_clock_is_kept_beside_the_order(either, clock_says):
    clock_says(2031, 1, 1)
    assert either.back_up(b"old").point.clock == "2031-01-01T00:00:00.000000Z"
    clock_says(2026, 11, 22, 2)
    either.back_up(b"new")
    point = either.open().points()[-1]
    assert (point.exact, point.clock) == (
        "2031-01-01T00:00:00.000001Z",
        "2026-11-22T02:00:00.000000Z",
    )


def test_another_source_goes_by_the_clock(either, helpers, clock_says):
    clock_says(2031, 1, 1)
    either.back_up(b"old")
    clock_says(2026, 11, 22, 2)
    other = dataclasses.replace(helpers.WEB, id="db", name="db01")
    assert either.back_up(b"new", other).point.exact == "2026-11-22T02:00:00.000000Z"


def test_a_right_clock_needs_no_second_time(either, clock_says):
    clock_says(2026, 11, 22, 2)
    point = either.back_up(b"old").point
    assert b'"clock"' not in (Path(either.url) / point.key).read_bytes()


def test_a_damaged_point_of_the_future_does_not_stay_the_latest(either, clock_says):
    clock_says(2031, 1, 1, 0, 0, 0, 5)
    point = either.back_up(b"old").point
    (Path(either.url) / point.key).write_bytes(b"")
    clock_says(2026, 11, 22, 2)
    either.back_up(b"new")
    assert either.restore("web01@latest") == b"new"


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([], "2026-11-22T02:00:00.000000Z"),
        (["2026-11-22T01:59:59.999999Z"], "2026-11-22T02:00:00.000000Z"),
        (["2026-11-22T02:00:00.000000Z"], "2026-11-22T02:00:00.000001Z"),
        (["2026-11-22T02:00:00.999999Z"], "2026-11-22T02:00:01.000000Z"),
        (["9999-99-99T99:99:99.999999Z"], "2026-11-22T02:00:00.000000Z"),
        (["9999-12-31T23:59:59.999999Z"], "2026-11-22T02:00:00.000000Z"),
        (
            ["2027-01-01T00:00:00.000000Z", "2027-99-01T00:00:00.999999Z"],
            "2027-01-01T00:00:00.000001Z",
        ),
    ],
)
def test_time_only_goes_forward(known, expected):
    assert moment.after("2026-11-22T02:00:00.000000Z", known) == expected


def damage(helper, point, number):
    """Change a byte of a chunk in its pack."""
    where = helper.open().open_disk(point)._where(number)
    path = Path(helper.url) / "packs" / where.pack.hex()[:2] / where.pack.hex()
    changed = bytearray(path.read_bytes())
    changed[where.offset + where.length // 2] ^= 1
    path.write_bytes(changed)


def test_a_full_backup_stores_damaged_chunks_again(either, helpers):
    data = helpers.content(3 * helpers.CHUNK) * 2
    damage(either, either.back_up(data).point, 1)
    made = either.back_up(data, mode="full")
    assert made.point.disks[0].bytes_new == helpers.CHUNK  # though the disk has it twice
    assert either.restore("web01@latest") == data


def test_a_full_backup_uses_good_chunks_again(either, helpers):
    data = helpers.content(3 * helpers.CHUNK) * 2
    either.back_up(data)
    assert either.back_up(data, mode="full").point.disks[0].bytes_new == 0


def test_the_backup_after_a_repair_uses_the_repaired_chunk(either, helpers):
    data = helpers.content(3 * helpers.CHUNK)
    damage(either, either.back_up(data).point, 1)
    either.back_up(data, mode="full")
    # New are the changed chunk, and the third, whose pack is in quarantine; not the repaired one.
    assert either.back_up(b"x" + data[1:]).point.disks[0].bytes_new == 2 * helpers.CHUNK
    assert either.restore("web01@latest") == b"x" + data[1:]


def test_a_full_backup_of_damaged_content_is_not_unchanged(either, helpers):
    data = helpers.content(helpers.CHUNK)
    damage(either, either.back_up(data).point, 0)
    assert either.back_up(data, mode="full", unchanged_ok=True).created


@pytest.mark.parametrize("damage_done", [False, True])
def test_prediction_and_backup_agree_on_a_missing_pack(either, helpers, damage_done):
    data = helpers.content(2 * helpers.CHUNK)
    point = either.back_up(data).point
    if damage_done:
        where = either.open().open_disk(point)._where(0)
        (Path(either.url) / "packs" / where.pack.hex()[:2] / where.pack.hex()).unlink()
    same = either.open().same_as(point, [helpers.disk(data)])
    assert same is not damage_done
    assert either.back_up(data, unchanged_ok=True).created is not same


class Meanwhile(MemoryDevice):
    """A disk during whose reading something else happens once."""

    def __init__(self, data, action):
        super().__init__(data)
        self._actions = [action]

    def readinto(self, offset, buffer):
        while self._actions:
            self._actions.pop()()
        super().readinto(offset, buffer)


def test_the_loser_of_two_backups_learns_the_id_of_the_winner(either):
    won = []
    disk = Meanwhile(b"mine", lambda: won.append(either.back_up(b"theirs", name="nightly")))
    with pytest.raises(DiskExists) as caught:
        either.back_up(disk, name="nightly")
    assert caught.value.found == won[0].point.id
    assert [point.id for point in either.open().points()] == [won[0].point.id]


def test_a_repository_is_not_removed_under_a_backup(either):
    refused = []

    def remove():
        with pytest.raises(DiskInUse, match="a backup into this repository is running"):
            removal.remove_repository(either.url)
        refused.append(True)

    either.back_up(Meanwhile(b"data", remove))
    assert refused and either.restore("web01@latest") == b"data"


def test_a_repository_is_not_removed_under_a_backup_of_another_process(either):
    code = f"""
import fcntl, sys
file = open({str(Path(either.url) / "sessions" / "x")!r}, "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.read()
"""
    (Path(either.url) / "sessions").mkdir(exist_ok=True)
    argv = [sys.executable, "-c", code]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with pytest.raises(DiskInUse, match=re.escape(either.url)):
            removal.remove_repository(either.url)
        assert either.open().points() == []
        other.stdin.close()
    # A session that is not locked may be about to be, for a minute.
    os.utime(Path(either.url) / "sessions" / "x", (time.time() - 61,) * 2)
    removal.remove_repository(either.url)
    assert not Path(either.url).exists()


def test_a_backup_that_begins_during_the_removal_is_seen(either, monkeypatch):
    delete, sessions = local.LocalStore.delete, []

    def deleted(store, key):
        delete(store, key)
        sessions.append(store.begin_session())  # as the first thing that a backup does

    with monkeypatch.context() as patched:
        patched.setattr(local.LocalStore, "delete", deleted)
        with pytest.raises(DiskInUse):
            removal.remove_repository(either.url)
    sessions[0].end()
    assert either.back_up(b"data").created


def test_a_backup_into_a_removed_repository_is_no_success(either):
    disk = Meanwhile(b"data", (Path(either.url) / "repo.json").unlink)
    with pytest.raises(RepositoryNotFound, match="removed while the backup ran"):
        either.back_up(disk)
