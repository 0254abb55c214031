# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the repository asks of an object store, asked of a real one."""

from __future__ import annotations

import time

import obstore
import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    DiskIOError,
    InvalidRequest,
    ObjectLocked,
    TransportUnavailable,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store import objects
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)
from ansible_collections.vdisk.lifecycle.tests.integration.repository import faults
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository import (
    contract,
)


@pytest.fixture
def store(s3_url):
    return open_store(s3_url)


class TestContract(contract.StoreContract):
    """Of a bucket."""


def test_put_if_absent_of_the_same_again_is_our_own_second_try(store):
    assert store.put("key", b"same", if_absent=True)
    assert store.put("key", b"same", if_absent=True)


def test_a_pack_of_full_size_goes_through(store):
    upload = store.upload()
    for number in range(64):
        upload.write(bytes([number]) * (1 << 20))
    assert upload.commit("packs/big")
    assert store.size("packs/big") == 64 << 20
    assert store.get("packs/big", 63 << 20, 1 << 20) == bytes([63]) * (1 << 20)


def test_a_listing_of_several_pages_is_whole(store, monkeypatch):
    monkeypatch.setattr(objects, "_PAGE", 4)
    keys = {f"packs/{number:02}" for number in range(21)}
    for key in keys:
        store.put(key, b"x")
    assert {stored.key for stored in store.list("packs/")} == keys


def test_a_store_that_keeps_its_objects_says_so(s3_url, proxy):
    store = open_store(s3_url)
    store.put("packs/1", b"x")
    proxy.plan = faults.always(faults.Fault.KEPT, "POST")
    with pytest.raises(ObjectLocked, match="packs/1"):
        store.delete("packs/1")
    assert len([1 for fault, _request in proxy.done if fault]) == 1


def test_a_session_that_was_not_heard_of_is_swept(store, monkeypatch):
    session = store.begin_session()
    monkeypatch.setattr(objects, "GRACE", 0)
    store.sweep()
    assert not session.is_alive() and store.sessions() == ()


def test_a_session_is_renewed_by_the_clock_of_the_server(store):
    session = store.begin_session()
    (before,) = store._listing("sessions/")
    time.sleep(1.1)  # the server counts seconds
    store.touch(session.key)
    (after,) = store._listing("sessions/")
    assert after["last_modified"] > before["last_modified"]
    session.end()


def test_a_session_that_was_swept_does_not_come_back(store):
    session = store.begin_session()
    head = store._library.head

    class Suspended:
        """Between its two requests the writer sleeps until it is taken for dead."""

        def __getattr__(self, name):
            return getattr(obstore, name)

        def head(self, *arguments):
            facts = head(*arguments)
            open_store(store.url).delete(session.key)
            return facts

    store._library = Suspended()
    store.touch(session.key)
    store._library = obstore
    assert not session.is_alive()


def test_what_a_dead_writer_left_is_swept(store, monkeypatch):
    store.put("tmp/clock-1", b"")
    store.sweep()
    assert store.size("tmp/clock-1") == 0
    monkeypatch.setattr(objects, "GRACE", 0)
    store.sweep()
    assert store.size("tmp/clock-1") is None


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
    monkeypatch.setattr(objects, "RETRY", {"max_retries": 1})
    with pytest.raises(DiskIOError, match="cannot read it"):
        open_store(s3_url).get("key")


def test_a_repository_lives_there(s3_url):
    create_repository(s3_url, passphrase="correct horse", encryption="aes-256-gcm")
    assert Repository.open(s3_url, "correct horse").points() == []
    with pytest.raises(DiskError, match="already"):
        create_repository(s3_url, passphrase="correct horse", encryption="aes-256-gcm")
