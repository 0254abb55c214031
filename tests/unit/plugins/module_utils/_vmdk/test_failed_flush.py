# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes that the kernel loses: it tells of them once, and the next fsync succeeds."""

from __future__ import annotations

import errno
import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskIOError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.header import (
    UNCLEAN_OFFSET,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

MIB = 1 << 20


def _fails(_fd):
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def test_disk_stays_marked_when_it_is_closed(make_disk, monkeypatch):
    path = make_disk("disk.vmdk", "monolithicSparse", MIB)
    with open_disk(path, writable=True) as disk:
        disk.write(0, b"data")
        with monkeypatch.context() as broken, pytest.raises(DiskIOError):
            broken.setattr(os, "fsync", _fails)
            disk.flush()
    assert path.read_bytes()[UNCLEAN_OFFSET] == 1
