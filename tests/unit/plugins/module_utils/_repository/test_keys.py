# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passphrases: the right one opens, any other is told at once."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    RepositoryDamaged,
    WrongKey,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format import (
    keys,
    times,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.keys import NewKey
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.sealed import seal
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.subkeys import (
    checksum,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.local import (
    LocalStore,
)


def test_a_wrong_passphrase_is_told_with_the_keys_tried(encrypted):
    with pytest.raises(WrongKey, match="none of its 1 keys"):
        Repository.open(encrypted.url, "wrong")


def test_no_passphrase_is_told_with_the_way_to_give_one(encrypted):
    with pytest.raises(WrongKey, match=r"passphrase.*VDISK_PASSPHRASE"):
        Repository.open(encrypted.url)


def test_a_passphrase_may_be_bytes(encrypted, helpers):
    assert Repository.open(encrypted.url, helpers.PASSPHRASE.encode()).points() == []


def test_every_passphrase_that_was_added_opens(encrypted, helpers):
    encrypted.back_up(b"secret" * 1000)
    encrypted.open().add_key("second")
    encrypted.open().add_key("third")
    for passphrase in (helpers.PASSPHRASE, "second", "third"):
        assert len(Repository.open(encrypted.url, passphrase).points()) == 1
    with pytest.raises(WrongKey, match="none of its 3 keys"):
        Repository.open(encrypted.url, "fourth")


def key_objects(folder):
    """Every key file with its spare copy."""
    return [
        (file, folder / "spare/keys" / file.name) for file in sorted((folder / "keys").iterdir())
    ]


def test_a_damaged_key_file_does_not_hide_a_good_one(encrypted, tmp_path):
    encrypted.open().add_key("second")
    for file in key_objects(tmp_path / "repository")[0]:
        file.write_bytes(b"junk")
    opened = []
    for passphrase in (encrypted.passphrase, "second"):
        try:
            opened.append(Repository.open(encrypted.url, passphrase))
        except WrongKey as error:
            assert "1 damaged key files could not be tried" in str(error)
    assert len(opened) == 1


def test_a_repository_without_key_files_says_so(encrypted, tmp_path):
    for pair in key_objects(tmp_path / "repository"):
        for file in pair:
            file.unlink()
    with pytest.raises(RepositoryDamaged, match="no key of this repository"):
        encrypted.open()


def test_a_key_file_of_a_creation_that_was_cut_off_is_ignored(encrypted, tmp_path, helpers):
    other = helpers.Helper(str(tmp_path / "other"), "aes-256-gcm")
    other.create()
    (stray,) = (tmp_path / "other/keys").iterdir()
    (tmp_path / "repository/keys" / stray.name).write_bytes(stray.read_bytes())
    encrypted.back_up(b"x")
    assert encrypted.restore("web01@latest") == b"x"


def test_an_empty_passphrase_is_refused(encrypted):
    with pytest.raises(InvalidRequest, match="empty"):
        encrypted.open().add_key("")


def test_bytes_of_the_environment_that_are_no_text_open(encrypted):
    """Python shows a passphrase in Latin-1 as lone surrogates; restore.py takes its bytes."""
    encrypted.open().add_key(os.fsdecode(b"caf\xe9"))
    assert Repository.open(encrypted.url, b"caf\xe9").points() == []


def test_a_passphrase_that_is_no_text_is_refused(encrypted):
    with pytest.raises(InvalidRequest, match="not a text"):
        Repository.open(encrypted.url, "\ud800")


def test_an_unencrypted_repository_takes_no_key(tmp_path, helpers):
    helper = helpers.Helper(str(tmp_path / "r"), "none")
    helper.create()
    with pytest.raises(InvalidRequest, match="not encrypted"):
        helper.open().add_key("x")


def test_the_real_cost_is_sane(helpers):
    n, r, p = helpers.REAL_COST  # the fixture cheap_keys made it cheap
    assert n >= 1 << 15 and r == 8 and n * p >= 1 << 17
    assert 128 * n * r <= 128 << 20


def test_a_cost_that_would_eat_the_memory_is_refused(encrypted, tmp_path):
    ((file, spare),) = key_objects(tmp_path / "repository")
    facts = json.loads(file.read_bytes())
    del facts["signature"]
    for path in (file, spare):
        path.write_bytes(seal({**facts, "n": 1 << 40}, checksum))
    with pytest.raises(RepositoryDamaged, match="scrypt cost"):
        encrypted.open()


def test_nothing_of_the_content_or_the_passphrase_is_on_disk(encrypted, helpers, snapshot):
    needle = b"the launch code is 0000"
    encrypted.back_up(needle + helpers.content(1 << 20) + needle * 1000)
    for data in snapshot(encrypted.url).values():
        assert needle not in data
        assert helpers.PASSPHRASE.encode() not in data


def test_two_repositories_have_no_id_in_common(tmp_path, helpers):
    ids = []
    for name in ("one", "two"):
        helper = helpers.Helper(str(tmp_path / name), "aes-256-gcm")
        helper.create()
        ids.append(helper.back_up(helpers.content(helpers.CHUNK)).point.disks[0].root)
    assert ids[0] != ids[1]


def keys_of(helper):
    return [(key["id"], key["name"]) for key in helper.open().list_keys()]


def provide(helper, *wanted, purge=False):
    repository = helper.open()
    plan = repository.plan_keys([NewKey(name, secret) for name, secret in wanted], purge=purge)
    repository.change_keys(plan)
    return plan


def opens(helper, secret):
    try:
        return Repository.open(helper.url, secret) is not None
    except WrongKey:
        return False


def test_a_key_file_opens_like_a_passphrase(encrypted, helpers):
    data = helpers.content(4096)
    provide(encrypted, ("nightly", data))
    assert opens(encrypted, data)
    assert not opens(encrypted, data[:-1])


def test_one_of_several_secrets_is_enough(encrypted, helpers):
    assert opens(encrypted, ("wrong", b"wrong too", helpers.PASSPHRASE))
    assert not opens(encrypted, ("wrong", b"wrong too"))


def test_keys_are_tried_newest_first(encrypted, monkeypatch):
    provide(encrypted, ("new", "new"))
    tried = []
    unwrap = keys._unwrap
    monkeypatch.setattr(keys, "_unwrap", lambda key, s: tried.append(key.name) or unwrap(key, s))
    tomorrow = times.now() + datetime.timedelta(days=1)
    monkeypatch.setattr(times, "now", lambda: tomorrow)
    provide(encrypted, ("newest", "newest"))
    tried.clear()
    assert opens(encrypted, "newest")
    assert tried == ["newest"]


def test_a_key_that_is_there_and_opens_stays(encrypted):
    provide(encrypted, ("a", "one"), ("b", "two"))
    before = keys_of(encrypted)
    assert not provide(encrypted, ("a", "one"), ("b", "two")).changes
    assert keys_of(encrypted) == before


def test_a_key_with_another_secret_replaces_the_one_of_its_name(encrypted, helpers):
    provide(encrypted, ("a", "one"), ("b", "two"))
    plan = provide(encrypted, ("a", "three"))
    assert [new.name for new in plan.add] == ["a"] and len(plan.remove) == 1
    assert [opens(encrypted, s) for s in ("one", "two", "three")] == [False, True, True]
    assert opens(encrypted, helpers.PASSPHRASE)
    assert sorted(name or "" for _id, name in keys_of(encrypted)) == ["", "a", "b"]


def test_purge_removes_what_is_not_listed_and_nothing_else(encrypted, helpers):
    provide(encrypted, ("a", "one"), ("b", "two"))
    stays = [key for key in keys_of(encrypted) if key[1] == "b"]
    repository = encrypted.open()
    repository.change_keys(repository.plan_keys([NewKey("b", "two")], purge=True))
    assert [
        (k["id"], k["name"]) for k in Repository.open(encrypted.url, "two").list_keys()
    ] == stays
    assert not opens(encrypted, "one") and not opens(encrypted, helpers.PASSPHRASE)


def test_purge_removes_damaged_keys_too(encrypted, tmp_path):
    provide(encrypted, ("a", "one"))
    for folder in ("keys", "spare/keys"):
        (tmp_path / "repository" / folder / "0123456789abcdef.json").write_bytes(b"junk")
    listed = Repository.open(encrypted.url, "one").list_keys()
    assert [key["id"] for key in listed if "problem" in key] == ["0123456789abcdef"]
    repository = Repository.open(encrypted.url, "one")
    repository.change_keys(repository.plan_keys([NewKey("a", "one")], purge=True))
    assert [key["name"] for key in Repository.open(encrypted.url, "one").list_keys()] == ["a"]
    assert not repository.plan_keys([NewKey("a", "one")], purge=True).changes


def test_purging_everything_is_refused(encrypted):
    with pytest.raises(InvalidRequest, match="every key"):
        encrypted.open().plan_keys([], purge=True)


def test_two_keys_of_one_name_become_one(encrypted):
    repository = encrypted.open()
    for secret in ("same", "same", "old"):
        repository.add_key(secret, "a")
    provide(encrypted, ("a", "same"))
    assert [name for _id, name in keys_of(encrypted)].count("a") == 1
    assert opens(encrypted, "same") and not opens(encrypted, "old")


@pytest.mark.parametrize("name", ["", "x" * 101, "a\nb", "\x1b[31m"])
def test_a_name_that_nobody_can_read_is_refused(encrypted, name):
    with pytest.raises(InvalidRequest, match="name of a key"):
        encrypted.open().plan_keys([NewKey(name, "x")], purge=False)


def test_a_name_twice_is_refused(encrypted):
    with pytest.raises(InvalidRequest, match="two keys"):
        encrypted.open().plan_keys([NewKey("a", "x"), NewKey("a", "y")], purge=False)


def test_rotation_touches_keys_only(encrypted, helpers, snapshot):
    encrypted.back_up(helpers.content(1 << 20))
    before = {path: data for path, data in snapshot(encrypted.url).items() if "/keys/" not in path}
    provide(encrypted, ("a", "one"))
    repository = encrypted.open()
    repository.change_keys(repository.plan_keys([NewKey("a", "two")], purge=True))
    after = {path: data for path, data in snapshot(encrypted.url).items() if "/keys/" not in path}
    assert after == before


def test_a_secret_is_in_no_repr(encrypted):
    plan = encrypted.open().plan_keys([NewKey("a", "hunter2")], purge=False)
    assert "hunter2" not in repr(plan)


class Cut(Exception):
    """The process dies here."""


class DyingStore(LocalStore):
    """Dies at the n-th write: before it, or right after it took effect."""

    left, after = 10_000, False

    def _step(self, operation):
        self.left -= 1
        if self.left < 0 or (self.left == 0 and not self.after):
            raise Cut
        done = operation()
        if self.left == 0:
            raise Cut
        return done

    def put(self, *arguments, **options):
        return self._step(lambda: LocalStore.put(self, *arguments, **options))

    def delete(self, key):
        return self._step(lambda: LocalStore.delete(self, key))


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_rotation_cut_at_every_write_leaves_a_key_that_opens(encrypted, tmp_path, helpers, after):
    provide(encrypted, ("a", "one"), ("b", "two"))
    encrypted.back_up(b"x" * 1000)
    wanted = [NewKey("a", "three"), NewKey("b", "four")]
    for writes in range(1, 50):
        url = str(tmp_path / f"copy{writes}")
        shutil.copytree(encrypted.url, url)
        store = DyingStore(url)
        repository = Repository.from_store(store, encrypted.passphrase)
        plan = repository.plan_keys(wanted, purge=True)
        store.left, store.after = writes, after
        try:
            repository.change_keys(plan)
            done = True
        except Cut:
            done = False
        reopened = Repository.open(url, ("three", "four", "one", "two", helpers.PASSPHRASE))
        assert len(reopened.points()) == 1
        reopened.change_keys(reopened.plan_keys(wanted, purge=True))
        for secret in ("three", "four"):
            assert len(Repository.open(url, secret).points()) == 1
        for secret in ("one", "two", helpers.PASSPHRASE):
            with pytest.raises(WrongKey):
                Repository.open(url, secret)
        assert {key["name"] for key in reopened.list_keys()} == {"a", "b"}
        spares = {path.name for path in Path(url, "spare/keys").iterdir()}
        assert spares <= {path.name for path in Path(url, "keys").iterdir()}
        if done:
            break
        shutil.rmtree(url)
    assert done and writes > 8


def test_a_new_repository_has_the_keys_that_were_asked_for(tmp_path):
    url = str(tmp_path / "new")
    new_keys = [NewKey("a", "one"), NewKey("b", b"two" * 20)]
    made = create_repository(url, encryption="aes-256-gcm", new_keys=new_keys)
    assert sorted(key["name"] for key in made.list_keys()) == ["a", "b"]
    assert Repository.open(url, "one").has_master_key_of(Repository.open(url, b"two" * 20))


def test_a_master_key_can_be_taken_over(encrypted, tmp_path, helpers):
    url = str(tmp_path / "second")
    of = encrypted.open()
    made = create_repository(url, passphrase="other", encryption="aes-256-gcm", master_of=of)
    assert made.has_master_key_of(encrypted.open())
    assert made.config.repository_id != encrypted.open().config.repository_id
    with pytest.raises(WrongKey):
        Repository.open(url, helpers.PASSPHRASE)


def test_the_master_key_of_a_plain_repository_cannot_be_taken_over(tmp_path, helpers):
    plain = helpers.Helper(str(tmp_path / "plain"), "none").create()
    with pytest.raises(InvalidRequest, match="same encryption"):
        create_repository(
            str(tmp_path / "r"), passphrase="x", encryption="aes-256-gcm", master_of=plain
        )
