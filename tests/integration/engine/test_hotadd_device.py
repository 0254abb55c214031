# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""A disk that is attached to this host and written to is read from the storage itself."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._transport.hotadd import device

SIZE, UUID = 1 << 20, "6000c29" + "0" * 25


@pytest.fixture
def backing(tmp_path):
    path = tmp_path / "disk"
    path.write_bytes(bytes(SIZE))
    return path


@pytest.fixture
def attached(backing, tmp_path):
    """The backing file, as a block device of this host that has the uuid."""
    told = subprocess.run(
        ["losetup", "-f", "--show", str(backing)], check=True, capture_output=True, text=True
    )
    path = told.stdout.strip()
    block = tmp_path / "sys" / "block" / os.path.basename(path)
    (block / "device").mkdir(parents=True)
    (block / "device" / "wwid").write_text(f"naa.{UUID}\n")
    (block / "size").write_text(f"{SIZE // 512}\n")
    roots = device.Roots(str(tmp_path / "sys"), "/dev")
    yield device.HotAddedDisk(Attachment(), UUID, roots, writable=True)
    subprocess.run(["losetup", "-d", path], check=True)


class Attachment:
    """At a proxy that is not there."""

    size = SIZE

    def end(self):
        """Nothing was attached."""

    def require_alone(self):
        """Nobody else can have it."""


def test_what_the_storage_has_not_kept_is_seen(attached, backing):
    with attached:
        attached.write(8192, b"restored" * 512)
        attached.flush()
        assert bytes(read(attached, 8192, 8)) == b"restored"

        with open(backing, "r+b") as file:  # behind the back of this host
            file.seek(8192)
            file.write(b"rotten!!")
            file.flush()
            os.fsync(file.fileno())

        assert bytes(read(attached, 8192, 8)) == b"rotten!!"
