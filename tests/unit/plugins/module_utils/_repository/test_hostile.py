# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository that an enemy has written, or can write to: no bombs, no paths, no downgrade."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import tracemalloc
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    RepositoryDamaged,
    WrongKey,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import (
    manifest,
    tomb,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.pack import (
    LARGEST,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.sealed import seal
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.subkeys import (
    checksum,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.retention import (
    Rules,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.read.late import (
    read_point,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.verify.verify import Wish

MUCH = 40 << 30  # bytes of a file with holes; more than there is memory


@pytest.fixture(autouse=True)
def in_time():
    """Whoever waits for ever is woken up, and fails."""

    def wake(*_arguments):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, wake)
    signal.alarm(20)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def victim(tmp_path, helpers):
    """Without encryption, anybody can write what is well-formed."""
    victim = helpers.Helper(str(tmp_path / "repository"), "none")
    victim.create()
    victim.point = victim.back_up(helpers.content(3 * helpers.CHUNK)).point
    return victim


def forge(victim, **changes):
    """Another manifest that is signed as it should be."""
    access = victim.open()._access
    point = dataclasses.replace(read_point(access, victim.point), **changes)
    access.store.put(point.key, manifest.encode(point, access.config, access.subkeys))
    return point.key


def use_all(victim):
    """What a user does in a week; only DiskErrors may come out of it."""
    for go in (
        lambda: victim.open().points(),
        lambda: victim.back_up(b"new"),
        lambda: victim.open().verify(Wish("restore")),
        lambda: victim.open().prune(PruneRequest(Rules(last=1, weekly=1, within=99))).run(),
    ):
        try:
            go()
        except DiskError:
            continue


def test_an_encrypted_repository_that_was_exchanged_is_not_written_to(tmp_path, helpers):
    ours = helpers.Helper(str(tmp_path / "repository"), "aes-256-gcm")
    ours.create()
    shutil.rmtree(ours.url)
    helpers.Helper(ours.url, "none").create()
    for secret in (helpers.PASSPHRASE, (b"k" * 32,)):
        with pytest.raises(WrongKey, match=r"not encrypted.*do not write to it"):
            Repository.open(ours.url, secret)


def test_what_is_tried_otherwise_does_not_ask_for_encryption(victim):
    """A copy from an encrypted repository to one that is not."""
    for nothing in (None, (), ("",)):
        assert Repository.open(victim.url, nothing, ("secret of the source",)).points()


def test_a_key_that_takes_for_ever_is_refused(encrypted):
    for path in Path(encrypted.url).glob("**/keys/*.json"):
        facts = json.loads(path.read_bytes())
        del facts["signature"]
        path.write_bytes(seal({**facts, "n": 1 << 20, "r": 8, "p": 64}, checksum))
    with pytest.raises(RepositoryDamaged, match="scrypt cost"):
        encrypted.open()


@pytest.mark.parametrize("key", ["repo.json", "backups/web/20260101T000000Z-00000000"])
def test_an_endless_object_is_not_read(victim, key):
    path = Path(victim.url, key)
    path.parent.mkdir(exist_ok=True)
    with path.open("wb") as file:
        file.truncate(MUCH)
    tracemalloc.start()
    try:
        use_all(victim)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 200 << 20
    assert victim.restore(victim.point.id)


def test_a_pack_without_end_is_not_read(victim):
    name = "ab" * 32
    path = Path(victim.url, "packs", "ab", name)
    path.parent.mkdir(exist_ok=True)
    length = 16 + 41 * (99 << 20)  # of its table, 4 GiB
    with path.open("wb") as file:
        file.write(b"VBP1")
        file.truncate(MUCH)
        file.seek(MUCH - 4)
        file.write(length.to_bytes(4, "little"))
    (finding,) = victim.open().verify(Wish("data")).findings
    assert finding.object.endswith(name) and "no pack is that large" in finding.message
    with pytest.raises(RepositoryDamaged, match="no pack is that large"):
        victim.open()._access.packs.raw_table(bytes.fromhex(name), LARGEST + 1)
    use_all(victim)


def test_a_pipe_does_not_hold_a_reader(victim):
    os.unlink(Path(victim.url, "repo.json"))
    os.mkfifo(Path(victim.url, "repo.json"))
    os.mkfifo(Path(victim.url, victim.point.key + "0"))
    for pack in Path(victim.url).glob("packs/*/*"):
        os.unlink(pack)
        os.mkfifo(pack)
    use_all(victim)
    with pytest.raises(DiskError):
        victim.restore(victim.point.id)


@pytest.mark.parametrize("source", ["..", ".", "", "a b", "a\n", ".hidden"])
def test_the_id_of_a_source_is_no_path(victim, source):
    """Else a copy to another repository would write beside its folders."""
    access = victim.open()._access
    point = dataclasses.replace(read_point(access, victim.point), source_id=source)
    data = manifest.encode(point, access.config, access.subkeys)
    with pytest.raises(RepositoryDamaged, match="such an id"):
        manifest.decode(point.key, data, access.config, access.subkeys, victim.url)


@pytest.mark.parametrize(
    "changes",
    [
        {"exact": "2026-02-30T00:00:00.000000Z"},
        {"exact": "9999-99-99T99:99:99.999999Z"},
        {"exact": "9999-12-31T23:59:59.999999Z"},
        {"exact": "0001-01-01T00:00:00.000000Z"},
        {"own_clock": "2026-13-01T00:00:00.000000Z"},
        {"retain_until": "2026-13-01T00:00:00Z"},
        {"retain_until": "9999-12-31T23:59:59Z"},
    ],
)
def test_days_that_never_come(victim, changes):
    forge(victim, id="20260230T000000Z-00000001", **changes)
    use_all(victim)


@pytest.mark.parametrize("written", ["2026-02-30T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_tombs_of_days_that_never_come(victim, written):
    access = victim.open()._access
    made = tomb.Tomb("ab" * 16, written, frozenset((b"x" * 32,)))
    access.store.put(made.key, tomb.encode_tomb(made, access.config, access.subkeys))
    use_all(victim)
    use_all(victim)
