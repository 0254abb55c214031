# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Key files: what is taken for one."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import (
    DiskNotFound,
    InvalidRequest,
    NotADisk,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.key_file import (
    read_key_file,
    secrets_of,
)


def key_file(folder, content, mode=0o600):
    path = folder / "key"
    path.write_bytes(content)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize("size", [32, 33, 65536])
def test_every_byte_counts(tmp_path, size):
    content = os.urandom(size - 1) + b"\n"
    assert read_key_file(key_file(tmp_path, content, 0o400)) == content


@pytest.mark.parametrize("size", [0, 31, 65537])
def test_too_small_or_too_large(tmp_path, size):
    with pytest.raises(InvalidRequest, match=r"no key file.*32 to 65536 bytes"):
        read_key_file(key_file(tmp_path, bytes(size)))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o601])
def test_one_that_others_can_use(tmp_path, mode):
    with pytest.raises(InvalidRequest, match=f"mode {mode:04o}.*chmod 0600"):
        read_key_file(key_file(tmp_path, bytes(32), mode))


def test_the_content_is_never_told(tmp_path):
    with pytest.raises(InvalidRequest) as caught:
        read_key_file(key_file(tmp_path, b"hunter2"))
    assert "hunter2" not in str(caught.value) + repr(caught.value.facts())


def test_one_that_is_not_there(tmp_path):
    with pytest.raises(DiskNotFound, match="read the key file"):
        read_key_file(str(tmp_path / "none"))


def test_a_pipe_does_not_hold_the_job(tmp_path):
    os.mkfifo(tmp_path / "pipe", 0o600)
    with pytest.raises(InvalidRequest, match="regular file"):
        read_key_file(str(tmp_path / "pipe"))


def test_a_folder(tmp_path):
    with pytest.raises(NotADisk, match="is a directory"):
        read_key_file(str(tmp_path))


def test_both_may_be_given(tmp_path):
    path = key_file(tmp_path, bytes(32))
    assert secrets_of("word", path) == ("word", bytes(32))
    assert secrets_of(None, None) == ()
