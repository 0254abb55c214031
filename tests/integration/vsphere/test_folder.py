# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of datastores over HTTPS: who is refused is told so, and leaves no sessions behind."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device import errors
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks import folder
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.disks.paths import (
    find_place,
    parse_disk,
)

DESCRIPTOR = "[datastore1] files01/files01.vmdk"


@pytest.fixture
def place(session):
    return find_place(session, parse_disk(DESCRIPTOR))


@pytest.fixture
def files(session, place, trusted, monkeypatch):
    monkeypatch.setattr(folder, "FIRST_PAUSE", 0.01)
    trusted.forget_calls()
    with contextlib.closing(folder.DatastoreFiles(session)) as opened:
        yield opened


def alive(trusted):
    return trusted.state()["sessions"]["alive"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_refusal_in_a_living_session_is_told_at_once(files, place, trusted, status):
    trusted.rule("GET /folder", status=status, times=0)
    with pytest.raises(errors.AccessDenied, match=str(status)) as caught:
        files.read_small(place)
    assert "Datastore.FileManagement" in caught.value.hint
    assert trusted.calls()["GET /folder"] == 1
    assert "Login" not in trusted.calls()
    assert alive(trusted) == 1


def test_a_missing_privilege_to_write_leaves_no_sessions(files, place, trusted):
    trusted.mode(denied=["Datastore.FileManagement"])
    with pytest.raises(errors.AccessDenied, match="403"):
        files.put(place.named("new-flat.vmdk"), 4, lambda: [b"data"])
    assert trusted.calls()["PUT /folder"] == 1
    assert alive(trusted) == 1


def test_an_ended_session_is_healed_once_for_all_threads(files, place, trusted):
    trusted.expire_sessions()
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(lambda _number: files.read_small(place), range(16)))
    assert len(found) == 1
    assert trusted.calls()["Login"] == 1
    assert alive(trusted) == 1


def test_sessions_that_end_at_each_request_end_the_work(files, place, trusted):
    trusted.rule("GET /folder", expire_session=True, times=0)
    with pytest.raises(errors.AccessDenied, match="401"):
        files.read_small(place)
    assert trusted.calls()["GET /folder"] == folder.ATTEMPTS
    assert alive(trusted) <= 1
