# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Repairing an extent whose end is cut off must not put anything where a grain has been."""

from __future__ import annotations

import struct

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.device import read
from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.errors import DiskError
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.check.repair import repair_disk
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.opening.chain import open_disk

SECTOR, GRAIN = 512, 65536
CUT = 3 * SECTOR  # bytes that are missing of the last grain, which is grain 0


@pytest.fixture
def disk(make_disk):
    """Two tables; the second has lost its primary copy, a grain of the first its end."""
    size = 600 * GRAIN
    path = make_disk("d.vmdk", "monolithicSparse", size, {520 * GRAIN: b"b" * GRAIN})
    with open_disk(path, writable=True) as opened:
        opened.write(0, b"a" * GRAIN)
    data = bytearray(path.read_bytes()[:-CUT])
    (directory,) = struct.unpack_from("<Q", data, 56)
    (table,) = struct.unpack_from("<I", data, directory * SECTOR + 4)
    struct.pack_into("<I", data, directory * SECTOR + 4, 0)
    data[table * SECTOR : (table + 4) * SECTOR] = bytes(4 * SECTOR)
    path.write_bytes(data)
    return path


def test_no_table_takes_the_place_of_a_cut_grain(disk):
    repair_disk(disk)
    with open_disk(disk) as opened:
        assert read(opened, 0, GRAIN - CUT) == b"a" * (GRAIN - CUT)
        with pytest.raises(DiskError):
            read(opened, 0, GRAIN)


def test_what_the_other_copy_has_stays_readable(disk):
    repair_disk(disk)
    with open_disk(disk) as opened:
        assert read(opened, 520 * GRAIN, GRAIN) == b"b" * GRAIN
