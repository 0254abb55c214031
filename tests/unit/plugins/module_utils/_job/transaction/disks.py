# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small disks, and a transaction that changes them."""

from __future__ import annotations

import os

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import NoSpace
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.progress import Silent
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.access import Access
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.transaction import (
    ending,
    pending,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.extents.layout import DiskSpec
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.life.create import new_disk

SIZE = 1 << 20
ACCESS = Access()
TYPES = ["monolithicSparse", "monolithicFlat", "twoGbMaxExtentSparse"]


def vmdk(path, disk_type="monolithicSparse", replace=False):
    with new_disk(path, DiskSpec(SIZE, disk_type), replace=replace) as disk:
        disk.write(1 << 17, b"\x11" * (1 << 18))
    return str(path)


def raw(folder):
    path = folder / "disk.img"
    path.write_bytes(bytes(100_000) + b"\x11" * 300_000 + bytes(SIZE - 400_000))
    return str(path)


def content(path):
    with ACCESS.open(path) as disk:
        return bytes(read(disk, 0, disk.size))


def begin(*paths, overlay=None):
    return pending.begin(ACCESS, paths, overlay)


def change(path, value=0x77):
    """A transaction that changes 300 bytes; closed in order."""
    begun = begin(path)
    with begun.openers(ACCESS)[path]() as disk:
        disk.write(200_000, bytes([value]) * 300)
    return begun


def changed(path, value=0x77):
    data = bytearray(content(path))
    data[200_000:200_300] = bytes([value]) * 300
    return bytes(data)


def found(path):
    return pending.found(ACCESS, [path])


def commit(path):
    return ending.commit(ACCESS, found(path), Silent())


def cut_off(begun):
    """A commit that ended when it was decided, and nothing was in the disks yet."""

    def fail(*_arguments):
        raise NoSpace("no space left")

    with pytest.MonkeyPatch.context() as patched, pytest.raises(NoSpace):
        patched.setattr(ending, "merge", fail)
        ending.commit(ACCESS, begun, Silent())


def files_of(folder):
    return sorted(name for name in os.listdir(folder) if name != "state")


def refused(path, kind, words):
    """A commit that is refused, and would be foretold to be."""
    before = content(path)
    for attempt in (lambda: ending.check_commit(ACCESS, found(path)), lambda: commit(path)):
        with pytest.raises(kind, match=words):
            attempt()
    assert content(path) == before
    assert found(path).mark.state == "pending"
