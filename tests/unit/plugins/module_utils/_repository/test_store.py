# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""The local store: whole objects, taken names, leftovers, and places that are no place."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import time

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskError,
    DiskExists,
    DiskIOError,
    DiskNotFound,
    InvalidRequest,
    NoSpace,
    RepositoryNotFound,
    TruncatedDisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.repository import (
    Repository,
    create_repository,
    repository_exists,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.local import (
    LocalStore,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.store.open import (
    open_store,
)
from ansible_collections.vdisk.lifecycle.tests.unit.plugins.module_utils._repository import (
    contract,
)


@pytest.fixture
def store(tmp_path):
    return LocalStore(str(tmp_path / "store"))


class TestContract(contract.StoreContract):
    """Of a directory."""


def test_put_if_absent_without_hard_links(store, monkeypatch):
    def refuse(_source, _target):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    assert store.put("key", b"old", if_absent=True)
    assert not store.put("key", b"new", if_absent=True)
    assert (store.get("key"), list(store.list("tmp/"))) == (b"old", [])


def test_a_name_that_was_got_though_nfs_says_it_is_taken(store, monkeypatch):
    link = os.link

    def twice(source, target):
        link(source, target)
        link(source, target)

    monkeypatch.setattr(os, "link", twice)
    assert store.put("key", b"ours", if_absent=True)
    assert not store.put("key", b"another's", if_absent=True)
    assert (store.get("key"), list(store.list("tmp/"))) == (b"ours", [])


@pytest.mark.parametrize("code", [errno.EINVAL, errno.EIO])
def test_a_share_that_cannot_flush_folders_is_used_and_a_sick_one_is_not(store, monkeypatch, code):
    flush = os.fsync

    def of_files_only(fd):
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(code, os.strerror(code))
        flush(fd)

    monkeypatch.setattr(os, "fsync", of_files_only)
    if code == errno.EINVAL:
        assert store.put("packs/key", b"data", if_absent=True)
        assert store.get("packs/key") == b"data"
    else:
        with pytest.raises(DiskIOError):
            store.put("packs/key", b"data", if_absent=True)


def test_list_passes_over_files_that_nfs_hides(store):
    store.put("packs/.nfs0001", b"x")
    assert list(store.list("packs/")) == []


def test_a_file_that_cannot_be_looked_at_is_told(store, monkeypatch):
    store.put("packs/aa", b"x")

    def stale(path):
        raise OSError(errno.ESTALE, "Stale file handle", path)

    with monkeypatch.context() as patch, pytest.raises(DiskError, match="packs/aa"):
        patch.setattr(os, "lstat", stale)
        list(store.list("packs/"))


def leave_behind(store, age):
    upload = store.upload()
    os.utime(upload._path, (time.time() - age,) * 2)
    return upload


def test_sweep_removes_what_a_dead_writer_left(store):
    os.close(leave_behind(store, 120)._fd)
    store.sweep()
    assert list(store.list("tmp/")) == []


def test_sweep_leaves_living_writers_alone(store):
    upload = leave_behind(store, 30 * 24 * 3600)
    store.sweep()
    assert upload.commit("key")


def test_sweep_leaves_fresh_files_alone(store):
    os.close(leave_behind(store, 5)._fd)
    store.sweep()
    assert len(list(store.list("tmp/"))) == 1


def test_a_session_whose_writer_died_is_swept(store):
    session = store.begin_session()
    os.utime(store.path(session.key), (time.time() - 120,) * 2)
    os.close(session._fd)
    assert store.sessions() == ()
    store.sweep()
    assert list(store.list("sessions/")) == []


def test_who_died_while_a_clock_ran_ahead_does_not_live_on(store):
    session = store.begin_session()
    os.utime(store.path(session.key), (time.time() + 10 * 365 * 86400,) * 2)
    assert store.sessions() == (session.key,)
    os.close(session._fd)
    assert store.sessions() == ()
    store.sweep()
    assert list(store.list("sessions/")) == []


@pytest.mark.parametrize("url", ["s3://", "ftp://host", "file://", ""])
def test_urls_that_name_no_store_are_refused(url):
    with pytest.raises(InvalidRequest, match="path of a directory"):
        open_store(url)


def test_a_file_url_is_a_path(tmp_path):
    assert open_store(f"file://{tmp_path}").url == str(tmp_path)


def plain(path):
    return create_repository(str(path), passphrase=None, encryption="none")


def test_a_repository_can_be_made_in_an_empty_directory(tmp_path):
    plain(tmp_path)
    assert repository_exists(str(tmp_path))


def test_a_new_directory_is_for_its_owner_only(tmp_path):
    plain(tmp_path / "new" / "deep")
    assert (tmp_path / "new" / "deep").stat().st_mode & 0o777 == 0o700


def test_a_second_creation_is_refused(tmp_path):
    plain(tmp_path / "r")
    with pytest.raises(DiskExists, match="already"):
        plain(tmp_path / "r")


def test_a_foreign_directory_is_not_taken_over(tmp_path):
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(DiskExists, match=r"holiday\.jpg"):
        plain(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.jpg"]


def test_a_creation_that_was_cut_off_can_be_repeated(tmp_path, helpers, monkeypatch):
    helper = helpers.Helper(str(tmp_path / "r"), "aes-256-gcm")
    with monkeypatch.context() as patch:
        patch.setattr(LocalStore, "put", cut_at("repo.json", LocalStore.put))
        with pytest.raises(KeyboardInterrupt):
            helper.create()
    assert not repository_exists(helper.url)
    helper.create()
    helper.back_up(b"x")
    assert helper.restore("web01@latest") == b"x"


def cut_at(key, put):
    def wrapper(self, name, *arguments, **options):
        if name == key:
            raise KeyboardInterrupt
        return put(self, name, *arguments, **options)

    return wrapper


def test_a_file_is_no_place_for_a_repository(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(DiskExists, match="found a file"):
        plain(tmp_path / "file")
    with pytest.raises(RepositoryNotFound):
        Repository.open(str(tmp_path / "file"))
    assert not repository_exists(str(tmp_path / "file"))


@pytest.mark.parametrize("path", ["missing", "."])
def test_no_repository_is_told(tmp_path, path):
    with pytest.raises(RepositoryNotFound, match=r"repo\.json"):
        Repository.open(str(tmp_path / path))


def test_a_directory_that_cannot_be_written_is_told():
    with pytest.raises(DiskError, match="/sys/vdisk-test"):  # not even root may
        plain("/sys/vdisk-test")


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"passphrase": None, "encryption": "aes-256-gcm"}, "VDISK_PASSPHRASE"),
        ({"passphrase": "", "encryption": "aes-256-gcm"}, "empty"),
        ({"passphrase": "x", "encryption": "none"}, "does nothing"),
        ({"passphrase": "x", "encryption": "rot13"}, "aes-256-gcm or none"),
        ({"passphrase": None, "encryption": "none", "chunk_size": 1000}, "power of two"),
        ({"passphrase": None, "encryption": "none", "chunk_size": 8 << 20}, "power of two"),
    ],
)
def test_impossible_wishes_make_nothing(tmp_path, options, match):
    with pytest.raises(InvalidRequest, match=match):
        create_repository(str(tmp_path / "r"), **options)
    assert not (tmp_path / "r" / "repo.json").exists()


@pytest.fixture
def small(tmp_path):
    """A file system of 2 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_no_space_is_told_and_harms_nothing(small, helpers):
    helper = helpers.Helper(str(small / "r"), "aes-256-gcm")
    helper.create()
    old = helpers.content(2 * helpers.CHUNK)
    helper.back_up(old)
    with pytest.raises(NoSpace):
        helper.back_up(helpers.content(10 * helpers.CHUNK, 1))
    assert [point.problem for point in helper.open().points()] == [None]
    assert helper.restore("web01@latest") == old
    assert list((small / "r" / "tmp").iterdir()) == []


def test_read_into_fills_exactly_what_is_asked_for(store):
    store.put("key", b"0123456789")
    target = bytearray(4)
    store.read_into("key", 3, memoryview(target))
    assert target == b"3456"


@pytest.mark.parametrize(("key", "offset"), [("key", 8), ("key", 100), ("other", 0)])
def test_read_into_tells_what_is_not_there(store, key, offset):
    store.put("key", b"0123456789")
    wanted = TruncatedDisk if key == "key" else DiskNotFound
    with pytest.raises(wanted, match=f"/{key}: "):
        store.read_into(key, offset, memoryview(bytearray(4)))
