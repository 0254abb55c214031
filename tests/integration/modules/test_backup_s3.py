# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The modules against a repository in a real S3 server."""

from __future__ import annotations

import json

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def there(modules, s3_url):
    modules.vmdk_repository(url=s3_url, passphrase=PASSPHRASE)
    return {"repository": s3_url, "passphrase": PASSPHRASE}


def test_creating_it_again_changes_nothing(modules, s3_url, there):
    assert not modules.vmdk_repository(url=s3_url, passphrase=PASSPHRASE)["changed"]


def test_check_mode_writes_nothing(modules, s3_url):
    result = modules.vmdk_repository(url=s3_url, passphrase=PASSPHRASE, check_mode=True)
    assert result["changed"]
    assert list(open_store(s3_url).list("")) == []


def test_what_was_backed_up_is_restored(modules, make_disk, there, tmp_path, content_by_qemu):
    source = make_disk()
    made = modules.vmdk_backup(path=source, name="monday", **there)
    assert made["changed"]
    assert not modules.vmdk_backup(path=source, name="monday", **there)["changed"]
    dest = tmp_path / "back.vmdk"
    modules.vmdk_restore(restore_point="web01@monday", dest=dest, **there)
    assert content_by_qemu(dest) == content_by_qemu(source)


def test_a_repository_with_points_is_not_removed(modules, make_disk, s3_url, there, tmp_path):
    modules.vmdk_backup(path=make_disk(), **there)
    failed = modules.fail("vmdk_repository", url=s3_url, passphrase=PASSPHRASE, state="absent")
    assert "1 restore point" in failed["msg"]


def test_an_empty_repository_is_removed_whole(modules, s3_url, there):
    modules.vmdk_repository(url=s3_url, passphrase=PASSPHRASE, state="absent")
    assert list(open_store(s3_url).list("")) == []


def test_nothing_in_the_store_shows_plain_text(modules, there, tmp_path):
    disk = tmp_path / "web01.vmdk"
    modules.vmdk_create(path=disk, size="8MiB")
    modules.vmdk_data(path=disk, offset=0, content="a secret of the guest" * 100)
    modules.vmdk_backup(path=disk, **there)
    store = open_store(there["repository"])
    for stored in store.list("packs/"):
        assert b"a secret of the guest" not in store.get(stored.key)


def test_a_wrong_secret_is_told_and_not_shown(modules, there, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-the-right-one")
    failed = modules.fail("vmdk_backup_info", **there)
    assert "credentials" in failed["msg"]
    assert "not-the-right-one" not in json.dumps(failed)
