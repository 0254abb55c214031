# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A repository is removed only when nobody loses anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import InvalidRequest
from ansible_collections.vdisk.lifecycle.plugins.module_utils._repository.keep.removal import (
    remove_repository,
)


def test_an_empty_repository_is_removed_with_its_directory(either):
    remove_repository(either.url)
    assert not Path(either.url).exists()


def test_packs_without_a_point_go_too(either):
    either.back_up(b"x" * 1000)
    (manifest,) = Path(either.url).glob("backups/*/*")
    manifest.unlink()
    remove_repository(either.url)
    assert not Path(either.url).exists()


def test_a_repository_with_a_point_stays_whole(either, snapshot):
    either.back_up(b"x" * 1000)
    before = snapshot(either.url)
    with pytest.raises(InvalidRequest, match="1 restore point"):
        remove_repository(either.url)
    assert snapshot(either.url) == before


def test_a_damaged_point_counts_as_one(either):
    either.back_up(b"x")
    (manifest,) = Path(either.url).glob("backups/*/*")
    manifest.write_bytes(b"")
    with pytest.raises(InvalidRequest, match="1 restore point"):
        remove_repository(either.url)


def test_a_stranger_s_file_is_never_deleted(either, snapshot):
    (Path(either.url) / "notes.txt").write_text("where the tapes are")
    before = snapshot(either.url)
    with pytest.raises(InvalidRequest, match=r"notes\.txt"):
        remove_repository(either.url)
    assert snapshot(either.url) == before
