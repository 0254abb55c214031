# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Passphrases: the right one opens, any other is told at once."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    InvalidRequest,
    RepositoryDamaged,
    WrongKey,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.sealed import seal
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.format.subkeys import (
    checksum,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
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


def test_a_damaged_key_file_does_not_hide_a_good_one(encrypted, tmp_path):
    encrypted.open().add_key("second")
    first, _second = sorted((tmp_path / "repository/keys").iterdir())
    first.write_bytes(b"junk")
    opened = []
    for passphrase in (encrypted.passphrase, "second"):
        try:
            opened.append(Repository.open(encrypted.url, passphrase))
        except WrongKey as error:
            assert "1 damaged key files could not be tried" in str(error)
    assert len(opened) == 1


def test_a_repository_without_key_files_says_so(encrypted, tmp_path):
    for file in (tmp_path / "repository/keys").iterdir():
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
    (file,) = (tmp_path / "repository/keys").iterdir()
    facts = json.loads(file.read_bytes())
    del facts["signature"]
    file.write_bytes(seal({**facts, "n": 1 << 40}, checksum))
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
