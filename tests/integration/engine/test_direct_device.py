# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reading real block devices past the page cache, and keeping others from them meanwhile."""

from __future__ import annotations

import os
import subprocess

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.direct import DirectDevice
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskInUse

CONTENT = os.urandom(5 * (1 << 20) + 1536)  # sectors, but no whole pages


@pytest.fixture
def loop(tmp_path):
    backing = tmp_path / "disk"
    backing.write_bytes(CONTENT)
    told = subprocess.run(
        ["losetup", "-f", "--show", str(backing)], check=True, capture_output=True, text=True
    )
    yield told.stdout.strip()
    subprocess.run(["losetup", "-d", told.stdout.strip()], check=True)


@pytest.mark.parametrize("offset", [0, 1, 4095, len(CONTENT) - 700])
def test_the_content_of_a_block_device(loop, offset):
    with DirectDevice(loop) as device:
        assert device.size == len(CONTENT)
        assert bytes(read(device, offset, device.size - offset)) == CONTENT[offset:]


def test_it_is_nobody_elses_meanwhile(loop):
    device = DirectDevice(loop)
    with pytest.raises(OSError, match="busy"):
        os.close(os.open(loop, os.O_RDONLY | os.O_EXCL))
    device.close()
    os.close(os.open(loop, os.O_RDONLY | os.O_EXCL))


def test_who_has_it_already_may_read_it(loop):
    taken = os.open(loop, os.O_RDWR | os.O_EXCL)
    with DirectDevice(loop, exclusive=False) as device:
        os.pwrite(taken, b"written", 8192)
        assert bytes(read(device, 8192, 7)) == b"written"
    os.close(taken)


def test_what_is_in_use_is_refused(loop):
    taken = os.open(loop, os.O_RDONLY | os.O_EXCL)  # as mount, LVM and multipath do
    try:
        with pytest.raises(DiskInUse, match="in use"):
            DirectDevice(loop)
    finally:
        os.close(taken)
