# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Retained points: until their day nobody can take them away. Seen with another program's eyes."""

from __future__ import annotations

import datetime
import json
import random
import sys
import types

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskIOError,
    InvalidRequest,
    MissingLibrary,
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.memory import MemoryDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.prune import (
    PruneRequest,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.prune.retention import (
    Rules,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.immutable import (
    object_lock,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.retain import (
    Retention,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.write.source import (
    DiskSource,
    Source,
)
from ansible_collections.vdisk.lifecycle.tests.integration.repository import faults

CHUNK = 256 << 10
DAY = 86400
MONTH = Retention(30 * DAY)
DATA = random.Random(1).randbytes(5 * CHUNK)


def new(url):
    return create_repository(
        url, passphrase="correct horse", encryption="aes-256-gcm", chunk_size=CHUNK
    )


def back_up(url, data, retain, device=None):
    repository = Repository.open(url, "correct horse")
    disk = DiskSource("disk0", "disk0.vmdk", device or MemoryDevice(data), "u", "/srv/web01.vmdk")
    return repository.back_up([disk], Source("disk", "web", "web01"), retain=retain).point


def restore(url, point_id):
    repository = Repository.open(url, "correct horse")
    device = repository.open_disk(repository.find(point_id).point)
    return bytes(read(device, 0, device.size))


class Room:
    """The bucket behind a URL, as botocore sees it."""

    def __init__(self, client, url):
        self.client = client
        _scheme, _empty, self.bucket, self.prefix = url.split("/", 3)

    def versions(self, kind="Versions"):
        found = self.client.list_object_versions(Bucket=self.bucket, Prefix=self.prefix + "/")
        return [(entry["Key"], entry["VersionId"]) for entry in found.get(kind, [])]

    def locks(self):
        """Key below the prefix: mode, and until when."""
        found = {}
        for key, _version in self.versions():
            try:
                lock = self.client.get_object_retention(Bucket=self.bucket, Key=key)["Retention"]
            except self.client.exceptions.ClientError:
                continue
            until = lock["RetainUntilDate"].astimezone(datetime.timezone.utc)
            found[key[len(self.prefix) + 1 :]] = (lock["Mode"], until)
        return found


@pytest.fixture
def room(s3_client, locked_url):
    new(locked_url)
    return Room(s3_client, locked_url)


def test_all_that_a_retained_point_needs_is_locked(room, locked_url):
    point = back_up(locked_url, DATA, MONTH)
    locks = room.locks()
    needed = {
        stored.key
        for prefix in ("repo.json", "keys/", "spare/", "packs/", "backups/")
        for stored in open_store(locked_url).list("")
        if stored.key.startswith(prefix)
    }
    assert len(needed) >= 4 and set(locks) == needed
    until = datetime.datetime.fromisoformat(point.retain_until.replace("Z", "+00:00"))
    assert {mode for mode, _until in locks.values()} == {"COMPLIANCE"}
    assert locks[point.key][1] == until
    assert min(day for _mode, day in locks.values()) == until
    expected = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=30)
    assert abs((until - expected).total_seconds()) < 120


def test_what_a_thief_deleted_and_overwrote_comes_back(room, locked_url):
    point = back_up(locked_url, DATA, MONTH)
    good = room.versions()
    for key, version in good:
        name = key[len(room.prefix) + 1 :]
        if name.startswith(("sessions/", "tmp/")):
            continue
        with pytest.raises(room.client.exceptions.ClientError, match="AccessDenied"):
            room.client.delete_object(Bucket=room.bucket, Key=key, VersionId=version)
        room.client.put_object(Bucket=room.bucket, Key=key, Body=b"give me money")
        room.client.delete_object(Bucket=room.bucket, Key=key)
    assert list(open_store(locked_url).list("packs/")) == []
    # docs/object-stores.md, "After an attack": away with everything that came later
    later = [one for one in room.versions() if one not in good] + room.versions("DeleteMarkers")
    for key, version in later:
        room.client.delete_object(Bucket=room.bucket, Key=key, VersionId=version)
    assert restore(locked_url, point.id) == DATA


def test_a_point_that_is_not_retained_locks_nothing(room, locked_url):
    back_up(locked_url, DATA, None)
    assert room.locks() == {}


def test_packs_that_are_used_again_stay_locked_as_long_as_the_new_point(room, locked_url):
    first = back_up(locked_url, DATA, Retention(2 * DAY))
    second = back_up(locked_url, DATA + DATA[:CHUNK], MONTH)
    locks = room.locks()
    packs = {key: until for key, (_mode, until) in locks.items() if key.startswith("packs/")}
    until = datetime.datetime.fromisoformat(second.retain_until.replace("Z", "+00:00"))
    # The map of the first point is not used again; its chunks are.
    assert sorted(packs.values())[1] >= until > locks[first.key][1]
    assert min(packs.values()) >= locks[first.key][1]


def test_a_longer_lock_is_never_shortened(room, locked_url):
    back_up(locked_url, DATA, MONTH)
    before = room.locks()
    back_up(locked_url, DATA, Retention(DAY, "governance"))
    assert before.items() <= room.locks().items()


def test_a_lock_of_the_other_mode_is_extended_as_it_is(room, locked_url):
    back_up(locked_url, DATA, Retention(2 * DAY, "governance"))
    before = room.locks()
    back_up(locked_url, DATA, MONTH)
    after = room.locks()
    data_pack = next(key for key in before if key.startswith("packs/"))
    assert after[data_pack][0] == "GOVERNANCE" and after[data_pack][1] > before[data_pack][1]


def test_the_next_night_asks_for_few_locks(room, locked_url, proxy):
    back_up(locked_url, DATA, MONTH)
    proxy.done.clear()
    second = back_up(locked_url, DATA, MONTH)
    asked = [request.path for _fault, request in proxy.done if "retention" in request.path]
    assert [path for path in asked if "/packs/" in path] == []
    assert second.locked_until >= second.retain_until


def test_a_bucket_without_object_lock_is_refused_before_anything_is_read(s3_url):
    class Untouchable(MemoryDevice):
        def readinto(self, offset, buffer):
            raise AssertionError("it was read")

    new(s3_url)
    with pytest.raises(InvalidRequest, match="retain needs a bucket with object lock"):
        back_up(s3_url, b"", MONTH, Untouchable(DATA))
    assert Repository.open(s3_url, "correct horse").points() == []


@pytest.mark.parametrize("url", ["gs://bucket/x", "az://container/x"])
def test_other_clouds_are_refused_with_words(url):
    with pytest.raises(InvalidRequest, match="retain works in S3 and in directories only"):
        object_lock(types.SimpleNamespace(url=url), "compliance")


def test_in_a_directory_the_manifest_says_it(tmp_path):
    url = str(tmp_path / "repository")
    new(url)
    point = back_up(url, DATA, MONTH)
    (found,) = Repository.open(url, "correct horse").points()
    assert found.retain_until is not None
    assert found.retain_until == point.retain_until
    assert found.as_dict()["retain_until"] == found.retain_until
    assert found.locked_until is None


@pytest.mark.parametrize("seconds", [0, -1, 11 * 366 * DAY])
def test_impossible_times_are_refused(tmp_path, seconds):
    url = str(tmp_path / "repository")
    new(url)
    with pytest.raises(InvalidRequest, match="retain"):
        back_up(url, DATA, Retention(seconds))


def test_a_mode_that_is_none_is_refused(room, locked_url):
    with pytest.raises(InvalidRequest, match="compliance or governance"):
        back_up(locked_url, DATA, Retention(DAY, "forever"))


def test_without_botocore_it_is_told_how_to_get_it(room, locked_url, monkeypatch):
    monkeypatch.setitem(sys.modules, "botocore.config", None)
    with pytest.raises(MissingLibrary, match="pip install botocore"):
        back_up(locked_url, DATA, MONTH)


def test_who_may_not_lock_is_told_so(room, locked_url):
    """No lock is there to be seen: it is a matter of rights."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:PutObjectRetention"],
        "Resource": [f"arn:aws:s3:::{room.bucket}/{room.prefix}/*"],
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    room.client.put_bucket_policy(Bucket=room.bucket, Policy=policy)
    try:
        with pytest.raises(TransportUnavailable, match="rights of these credentials"):
            back_up(locked_url, DATA, MONTH)
    finally:
        room.client.delete_bucket_policy(Bucket=room.bucket)
    assert Repository.open(locked_url, "correct horse").points() == []


def test_prune_lets_a_retained_point_be(room, locked_url):
    points = [back_up(locked_url, DATA[number * CHUNK :], MONTH) for number in range(3)]
    manifests = {point.key: open_store(locked_url).get(point.key) for point in points}
    request = PruneRequest(rules=Rules(last=1), grace=0, compact=90)
    for _phase in range(3):
        Repository.open(locked_url, "correct horse").prune(request).run()
    for number, point in enumerate(points):
        assert open_store(locked_url).get(point.key) == manifests[point.key]
        assert restore(locked_url, point.id) == DATA[number * CHUNK :]


def test_a_session_lives_and_ends_in_a_bucket_with_versions(locked_url):
    store = open_store(locked_url)
    session = store.begin_session()
    store.touch(session.key)
    assert store.sessions() == (session.key,)
    session.end()
    store.touch(session.key)
    assert store.sessions() == () and not session.is_alive()


def test_a_store_that_refuses_the_lock_gets_no_point(room, locked_url, proxy):
    proxy.plan = faults.always(faults.Fault.ERROR_500, "PUT", "retention")
    with pytest.raises(DiskIOError, match="cannot lock it"):
        back_up(locked_url, DATA, MONTH)
    proxy.plan = lambda request: None
    assert Repository.open(locked_url, "correct horse").points() == []
