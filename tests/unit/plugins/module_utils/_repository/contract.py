# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every store has to do; a test file of a store makes a class of this one."""

from __future__ import annotations

import threading

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskNotFound,
    TruncatedDisk,
)


class StoreContract:
    """Asked of the fixture `store`, a new and empty one."""

    def test_what_was_put_is_got(self, store):
        assert store.put("a/b/c", b"content")
        assert store.get("a/b/c") == b"content"

    def test_a_part_can_be_got(self, store):
        store.put("key", b"0123456789")
        assert (store.get("key", 3, 4), store.get("key", 8)) == (b"3456", b"89")

    def test_a_part_can_be_read_into_a_buffer(self, store):
        store.put("key", b"0123456789")
        buffer = bytearray(b"......")
        store.read_into("key", 3, memoryview(buffer)[1:5])
        assert buffer == b".3456."

    def test_a_part_beyond_the_end_is_an_error(self, store):
        store.put("key", b"0123456789")
        with pytest.raises(TruncatedDisk, match="3 more bytes"):
            store.get("key", 8, 5)
        with pytest.raises(TruncatedDisk, match="3 more bytes"):
            store.read_into("key", 8, memoryview(bytearray(5)))

    def test_a_missing_object_is_an_error(self, store):
        with pytest.raises(DiskNotFound, match="no/such"):
            store.get("no/such")
        with pytest.raises(DiskNotFound, match="no/such"):
            store.read_into("no/such", 0, memoryview(bytearray(5)))
        assert store.size("no/such") is None

    def test_an_empty_object_is_one(self, store):
        store.put("key", b"")
        assert (store.get("key"), store.size("key")) == (b"", 0)

    def test_put_replaces(self, store):
        store.put("key", b"old")
        store.put("key", b"new")
        assert store.get("key") == b"new"

    def test_put_if_absent_keeps_what_is_there(self, store):
        assert store.put("key", b"old", if_absent=True)
        assert not store.put("key", b"new", if_absent=True)
        assert store.get("key") == b"old"

    def test_replace_takes_what_is_as_it_was(self, store):
        store.put("key", b"old")
        assert store.replace("key", b"old", b"new")
        assert store.get("key") == b"new"

    def test_replace_leaves_alone_what_is_not_as_it_was(self, store):
        store.put("key", b"another")
        assert not store.replace("key", b"old", b"new")
        assert store.get("key") == b"another"

    def test_replace_does_not_bring_back_what_is_gone(self, store):
        assert not store.replace("key", b"old", b"new")
        assert store.size("key") is None

    def test_of_many_writers_one_gets_the_key(self, store):
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

    def test_an_upload_is_seen_only_when_it_is_committed(self, store):
        upload = store.upload()
        upload.write(b"one")
        upload.write(memoryview(b"two"))
        assert store.size("packs/x") is None
        assert upload.commit("packs/x")
        assert store.get("packs/x") == b"onetwo"

    def test_an_upload_does_not_take_a_key_that_is_taken(self, store):
        store.put("packs/x", b"old")
        upload = store.upload()
        upload.write(b"new")
        assert not upload.commit("packs/x")
        assert store.get("packs/x") == b"old"

    def test_an_aborted_upload_leaves_nothing(self, store):
        upload = store.upload()
        upload.write(b"x")
        upload.abort()
        upload.abort()
        assert list(store.list("")) == []

    def test_list_gives_keys_below_a_folder_only(self, store):
        for key in ("packs/aa/1", "packs/bb/2", "packs2/3", "backups/3"):
            store.put(key, b"xyz")
        found = sorted((stored.key, stored.size) for stored in store.list("packs/"))
        assert found == [("packs/aa/1", 3), ("packs/bb/2", 3)]

    def test_list_of_nothing_gives_everything(self, store):
        for key in ("repo.json", "packs/aa/1"):
            store.put(key, b"xyz")
        assert {stored.key for stored in store.list("")} == {"repo.json", "packs/aa/1"}

    def test_list_of_a_missing_folder_is_empty(self, store):
        assert list(store.list("packs/")) == []

    def test_what_was_listed_can_be_deleted_meanwhile(self, store):
        for number in range(30):
            store.put(f"packs/{number}", b"x")
        for stored in store.list("packs/"):
            store.delete(stored.key)
        assert list(store.list("packs/")) == []

    def test_the_version_changes_when_an_object_is_written_again(self, store):
        store.put("key/1", b"a")
        (first,) = store.list("key/")
        store.put("key/1", b"b")
        (second,) = store.list("key/")
        assert first.size == second.size and first.version != second.version

    def test_delete_twice_is_fine(self, store):
        store.put("key", b"x")
        store.delete("key")
        store.delete("key")
        assert store.size("key") is None

    def test_foreign_objects_are_seen(self, store):
        store.put("repo.json", b"x")
        store.put("packs/aa/1", b"x")
        assert store.foreign(frozenset(("repo.json", "packs", "tmp"))) is None
        assert store.foreign(frozenset(("repo.json", "tmp"))) == "packs"

    def test_a_session_is_seen_until_it_ends(self, store):
        assert store.sessions() == ()
        session = store.begin_session()
        assert store.sessions() == (session.key,)
        store.sweep()
        assert store.sessions() == (session.key,) and session.is_alive()
        session.end()
        assert store.sessions() == ()

    def test_a_deleted_session_is_dead(self, store):
        session = store.begin_session()
        store.delete(session.key)
        assert not session.is_alive()
        session.end()
