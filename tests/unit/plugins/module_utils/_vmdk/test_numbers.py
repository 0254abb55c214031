# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Geometry and content ids."""

from __future__ import annotations

import pytest

from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor import content_id
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vmdk.descriptor.geometry import (
    geometry_for,
)

GIB = 1 << 21


@pytest.mark.parametrize(
    "sectors, adapter, expected",
    [
        (4096, "lsilogic", (2, 64, 32)),  # as ESXi wrote it: vmdk-rs/vmfs_thick.vmdk
        (8192, "ide", (8, 16, 63)),  # as qemu wrote it: dfvfs/ext2.vmdk
        (GIB, "lsilogic", (512, 128, 32)),
        (2 * GIB, "buslogic", (261, 255, 63)),
        (1 << 40, "lsilogic", (65535, 255, 63)),
        (1 << 40, "ide", (16383, 16, 63)),
        (1, "ide", (1, 16, 63)),
    ],
)
def test_geometry(sectors, adapter, expected):
    assert geometry_for(sectors, adapter) == expected


def test_reserved_content_ids_are_never_made(monkeypatch):
    drawn = iter([0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD])
    monkeypatch.setattr(content_id.secrets, "randbits", lambda _bits: next(drawn))
    assert content_id.new_cid() == 0xFFFFFFFD


@pytest.mark.parametrize("text, cid", [("0172e8a4", 0x172E8A4), (" FF ", 255), ("", None)])
def test_parse_cid(text, cid):
    assert content_id.parse_cid(text) == cid
