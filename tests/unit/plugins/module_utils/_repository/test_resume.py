# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a backup takes over from others: from killed ones too, but nothing that is about to go."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskInUse
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import pack
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.quarantine import (
    pack_of,
    quarantine_key,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.tomb import (
    Tomb,
    encode_tomb,
    encode_witnesses,
    witnesses_key,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import locked
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.local import (
    LocalStore,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import Source

CHILD = """
import sys, time
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import keys, pack
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import *
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import *
keys.COST = (16, 8, 1)
pack.LARGEST = 1 << 20
url, path = sys.argv[1:]
class Endless(MemoryDevice):
    def readinto(self, offset, buffer):
        if offset >= 12 << 20:
            time.sleep(60)  # it is killed before
        super().readinto(offset, buffer)
disk = DiskSource("disk0", "disk0", Endless(open(path, "rb").read()), "", path)
Repository.open(url, "correct horse").back_up([disk], Source("disk", "killed", "killed"))
"""


def packs_of(helper):
    return {path for path in (Path(helper.url) / "packs").rglob("*") if path.is_file()}


@pytest.mark.parametrize("catalog_is_lost", [False, True])
def test_after_sigkill_finished_packs_are_used_again(
    encrypted, helpers, tmp_path, monkeypatch, catalog_is_lost
):
    monkeypatch.setattr(pack, "LARGEST", 1 << 20)
    monkeypatch.setattr(locked, "UNLOCKED_GRACE", -1)
    data = helpers.content(16 << 20)
    (tmp_path / "disk").write_bytes(data)
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, encrypted.url, str(tmp_path / "disk")],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    while len(packs_of(encrypted)) < 5:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = sum(path.stat().st_size for path in packs_of(encrypted))
    assert encrypted.open().points() == [] and 5 << 18 < finished < 15 << 20
    if catalog_is_lost:
        for path in (tmp_path / "cache").iterdir():
            path.unlink()
    made = encrypted.back_up(data, Source("disk", "killed", "killed"))
    assert made.transfer.bytes_written < len(data) - finished + (1 << 18)
    assert encrypted.restore("killed@latest") == data


def test_the_chunks_of_a_running_backup_are_used_by_another(either, helpers, monkeypatch):
    monkeypatch.setattr(pack, "LARGEST", 2 * helpers.CHUNK)
    data, sizes = helpers.content(60 * helpers.CHUNK), []

    class Meanwhile(MemoryDevice):
        def readinto(self, offset, buffer):
            if offset == 59 * helpers.CHUNK:
                other = either.back_up(data[: 2 * helpers.CHUNK], Source("disk", "b", "b"))
                sizes.append(other.point.disks[0].bytes_new)
            super().readinto(offset, buffer)

    either.back_up(Meanwhile(data))
    assert sizes == [0]
    assert either.restore("b@latest") == data[: 2 * helpers.CHUNK]


def condemn(helper, packs, tomb_id="0" * 32):
    access = helper.open()._access
    tomb = Tomb(tomb_id, "2026-11-22T02:00:00Z", frozenset(packs))
    access.store.put(tomb.key, encode_tomb(tomb, access.config, access.subkeys))
    return tomb


def bury(helper, tomb_id="0" * 32, witnesses=()):
    access = helper.open()._access
    data = encode_witnesses(tomb_id, frozenset(witnesses), access.config, access.subkeys)
    access.store.put(witnesses_key(tomb_id), data)


def all_packs(helper):
    return {bytes.fromhex(path.name) for path in packs_of(helper)}


@pytest.mark.parametrize("how", ["tomb", "quarantine"])
def test_what_is_condemned_or_in_quarantine_is_stored_again(either, helpers, how):
    data = helpers.content(3 * helpers.CHUNK)
    either.back_up(data)
    old = all_packs(either)
    if how == "tomb":
        condemn(either, old)
    else:
        for name in old:  # a document that nobody can read holds as well
            either.open()._access.store.put(quarantine_key(name), b"")
    made = either.back_up(data, unchanged_ok=True)
    assert made.created and made.point.disks[0].bytes_new == len(data)
    for path in packs_of(either):
        if bytes.fromhex(path.name) in old:
            path.unlink()
    assert either.restore("web01@latest") == data


def test_with_a_tomb_that_nobody_can_read_nothing_is_used_again(either, helpers):
    data = helpers.content(3 * helpers.CHUNK)
    either.back_up(data)
    tomb = condemn(either, [])
    either.open()._access.store.put(tomb.key, b"junk")
    made = either.back_up(data)
    assert made.point.disks[0].bytes_new == len(data)
    assert any("cannot be read" in warning for warning in made.warnings)


class Meddled(MemoryDevice):
    """Something happens while it is read."""

    def __init__(self, data, action):
        super().__init__(data)
        self._action = action

    def readinto(self, offset, buffer):
        action, self._action = self._action, None
        if action:
            action()
        super().readinto(offset, buffer)


def test_a_collection_that_does_not_know_of_the_backup_stops_it(either, helpers):
    data = helpers.content(3 * helpers.CHUNK)
    either.back_up(data)

    def collect():
        condemn(either, all_packs(either))
        bury(either)

    with pytest.raises(DiskInUse, match="run it again"):
        either.back_up(Meddled(data, collect))
    assert len(either.open().points()) == 1


def test_a_collection_that_knows_of_the_backup_does_not(either, helpers):
    data = helpers.content(3 * helpers.CHUNK)
    either.back_up(data)

    def collect():
        condemn(either, all_packs(either))
        bury(either, witnesses=either.open()._access.store.sessions())

    assert either.back_up(Meddled(data, collect)).created


def end_sessions(helper):
    for path in (Path(helper.url) / "sessions").iterdir():
        path.unlink()


def test_a_backup_that_was_taken_for_dead_does_not_commit(either, helpers):
    data = helpers.content(helpers.CHUNK)
    with pytest.raises(DiskInUse, match="taken for dead"):
        either.back_up(Meddled(data, lambda: end_sessions(either)))
    assert either.open().points() == []
    made = either.back_up(data)
    assert made.transfer.bytes_written < 1000 and either.restore("web01@latest") == data


def test_a_backup_that_was_taken_for_dead_at_the_last_moment_takes_its_point_back(either, helpers):
    class Late(LocalStore):
        def put(self, key, data, *, if_absent=False):
            done = super().put(key, data, if_absent=if_absent)
            if key.startswith("backups/"):
                end_sessions(either)
            return done

    repository = Repository.from_store(Late(either.url), either.passphrase)
    with pytest.raises(DiskInUse, match="taken for dead"):
        repository.back_up([helpers.disk(b"data")], helpers.WEB)
    assert either.open().points() == []


def test_every_host_keeps_away_from_damage_that_a_full_backup_met(either, helpers, tmp_path):
    data = helpers.content(3 * helpers.CHUNK) * 2
    point = either.back_up(data).point
    where = either.open().open_disk(point)._where(1)
    path = Path(either.url) / pack.pack_key(where.pack)
    changed = bytearray(path.read_bytes())
    changed[where.offset + 5] ^= 1
    path.write_bytes(changed)
    made = either.back_up(data, mode="full")
    assert where not in list(either.open()._access.load_map(made.point.disks[0], 0))
    assert any(path.name in warning for warning in made.warnings)
    keys = [stored.key for stored in either.open()._access.store.list("quarantine/")]
    assert [pack_of(key) for key in keys] == [where.pack]
    for catalog in (tmp_path / "cache").iterdir():  # another host knows nothing
        catalog.unlink()
    either.back_up(data, Source("disk", "b", "b"))
    path.unlink()
    assert either.restore("b@latest") == data


class Counting(LocalStore):
    """What was read of which objects."""

    def __init__(self, path):
        super().__init__(path)
        self.read = []

    def get(self, key, offset=0, length=None):
        self.read.append(key.partition("/")[0])
        return super().get(key, offset, length)


def test_on_a_host_that_knows_it_an_unchanged_backup_reads_no_pack(either, helpers):
    data = helpers.content(3 * helpers.CHUNK)
    either.back_up(data)
    either.back_up(data)
    store = Counting(either.url)
    repository = Repository.from_store(store, either.passphrase)
    assert not repository.back_up([helpers.disk(data)], helpers.WEB, unchanged_ok=True).created
    assert "packs" not in store.read and store.read.count("backups") <= 2
