# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repository asks of an object store, asked of a real one."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    DiskIOError,
    DiskNotFound,
    InvalidRequest,
    TransportUnavailable,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import objects
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)


@pytest.fixture
def store(s3_url):
    return open_store(s3_url)


def test_what_was_put_is_got(store):
    assert store.put("a/b/c", b"content")
    assert store.get("a/b/c") == b"content"


def test_a_part_can_be_got(store):
    store.put("key", b"0123456789")
    assert (store.get("key", 3, 4), store.get("key", 8)) == (b"3456", b"89")


def test_a_part_beyond_the_end_is_an_error(store):
    store.put("key", b"0123456789")
    with pytest.raises(TruncatedDisk, match="3 more bytes"):
        store.get("key", 8, 5)


def test_a_missing_object_is_an_error(store):
    with pytest.raises(DiskNotFound, match="no/such"):
        store.get("no/such")
    assert store.size("no/such") is None


def test_put_replaces(store):
    store.put("key", b"old")
    store.put("key", b"new")
    assert store.get("key") == b"new"


def test_put_if_absent_keeps_what_is_there(store):
    assert store.put("key", b"old", if_absent=True)
    assert not store.put("key", b"new", if_absent=True)
    assert store.get("key") == b"old"


def test_put_if_absent_of_the_same_again_is_our_own_second_try(store):
    assert store.put("key", b"same", if_absent=True)
    assert store.put("key", b"same", if_absent=True)


def test_of_many_writers_one_gets_the_key(store):
    won = []

    def write(number):
        if store.put("key", b"%d" % number, if_absent=True):
            won.append(number)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [b"%d" % number for number in won] == [store.get("key")]


def test_an_upload_is_seen_only_when_it_is_committed(store):
    upload = store.upload()
    upload.write(b"one")
    upload.write(memoryview(b"two"))
    assert store.size("packs/x") is None
    assert upload.commit("packs/x")
    assert store.get("packs/x") == b"onetwo"


def test_a_pack_of_full_size_goes_through(store):
    upload = store.upload()
    for number in range(64):
        upload.write(bytes([number]) * (1 << 20))
    assert upload.commit("packs/big")
    assert store.size("packs/big") == 64 << 20
    assert store.get("packs/big", 63 << 20, 1 << 20) == bytes([63]) * (1 << 20)


def test_list_gives_keys_below_a_folder_only(store):
    for key in ("packs/aa/1", "packs/bb/2", "packs2/3", "backups/3"):
        store.put(key, b"xyz")
    assert sorted(store.list("packs/"))[0][:2] == ("packs/aa/1", 3)
    assert sorted(store.list("packs/"))[1][:2] == ("packs/bb/2", 3)
    assert len(list(store.list(""))) == 4


def test_the_version_changes_when_an_object_is_written_again(store):
    store.put("key/1", b"a")
    (first,) = store.list("key/")
    store.put("key/1", b"b")
    (second,) = store.list("key/")
    assert first.size == second.size and first.version != second.version


def test_delete_twice_is_fine(store):
    store.put("key", b"x")
    store.delete("key")
    store.delete("key")
    assert store.size("key") is None


def test_foreign_objects_are_seen(store):
    store.put("repo.json", b"x")
    store.put("packs/aa/1", b"x")
    assert store.foreign(frozenset(("repo.json", "packs"))) is None
    assert store.foreign(frozenset(("repo.json",))) == "packs"


def test_a_session_is_seen_until_it_ends(store):
    assert store.sessions() == ()
    session = store.begin_session()
    assert store.sessions() == (session.key,)
    store.sweep()
    assert store.sessions() == (session.key,) and session.is_alive()
    session.end()
    assert store.sessions() == ()


def test_a_session_that_was_not_heard_of_is_swept(store, monkeypatch):
    session = store.begin_session()
    monkeypatch.setattr(objects, "GRACE", 0)
    store.sweep()
    assert not session.is_alive() and store.sessions() == ()


def test_wrong_credentials_are_told_without_showing_them(store, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another-secret")
    with pytest.raises(TransportUnavailable, match="credentials") as caught:
        open_store(store.url).get("repo.json")
    assert "another-secret" not in str(caught.value)


def test_credentials_come_from_the_files_of_the_aws_tools(store, s3, tmp_path, monkeypatch):
    store.put("key", b"x")
    own = s3.environment()
    for name in own:
        monkeypatch.delenv(name)
    (tmp_path / "credentials").write_text(
        f"[backup]\naws_access_key_id = {own['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {own['AWS_SECRET_ACCESS_KEY']}\n"
    )
    (tmp_path / "config").write_text(
        f"[profile backup]\nregion = us-east-1\nendpoint_url = {own['AWS_ENDPOINT_URL']}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "backup")
    assert open_store(store.url).get("key") == b"x"
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(InvalidRequest, match="nobody"):
        open_store(store.url)


def test_a_bucket_that_is_not_there_is_told(s3):
    with pytest.raises(DiskError, match="NoSuchBucket"):
        list(open_store("s3://no-such-bucket/x").list(""))


def test_nobody_at_home_is_told(s3_url, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr(objects, "_RETRY", {"max_retries": 1})
    with pytest.raises(DiskIOError, match="cannot read it"):
        open_store(s3_url).get("key")


def test_a_repository_lives_there(s3_url):
    create_repository(s3_url, passphrase="correct horse", encryption="aes-256-gcm")
    assert Repository.open(s3_url, "correct horse").points() == []
    with pytest.raises(DiskError, match="already"):
        create_repository(s3_url, passphrase="correct horse", encryption="aes-256-gcm")
