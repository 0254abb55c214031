# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Eagerly zeroed disks, which vSphere tells from thick ones for virtual machines only."""

from __future__ import annotations

import uuid

import pytest

MIB = 1 << 20
EAGER = "eagerZeroedThick"
UUID = "6000C29b0d3e63a19c4c1e7a1a4bac82"


@pytest.fixture
def wanted():
    path = f"[datastore1] {uuid.uuid4().hex[:12]}/data.vmdk"
    return {"path": path, "size": "4MiB", "disk_type": EAGER}


def test_a_new_uuid_is_set_once(lab, modules, wanted):
    modules.vmdk_create(**wanted)
    wanted["metadata"] = {"uuid": UUID}
    assert modules.vmdk_create(**wanted)["changed"]
    for check_mode in (True, False):
        again = modules.vmdk_create(check_mode=check_mode, **wanted)
        assert not again["changed"]
        assert again["disk"]["disk_type"] == "thick"
        assert "cannot be told" in str(again["warnings"])


def test_one_that_could_not_be_noted_is_made_once(lab, modules, wanted):
    lab.vcenter.rule("PUT /folder", status=400)
    assert modules.vmdk_create(**wanted)["changed"]
    again = modules.vmdk_create(**wanted)
    assert not again["changed"]
    assert "cannot be told" in str(again["warnings"])


def test_it_grows_by_zeroed_blocks_all_the_same(lab, modules, wanted):
    lab.vcenter.rule("PUT /folder", status=400)
    modules.vmdk_create(**wanted)
    grown = modules.vmdk_create(**{**wanted, "size": "8MiB"})
    assert (grown["disk"]["size"], grown["disk"]["allocated"]) == (8 * MIB, 8 * MIB)
    assert "cannot be told" in str(grown["warnings"])


def test_nothing_is_told_where_nobody_asked(lab, modules, wanted):
    modules.vmdk_create(**{**wanted, "disk_type": "thick"})
    assert "warnings" not in modules.vmdk_create(path=wanted["path"], size="4MiB")


def test_a_thin_disk_is_no_eagerly_zeroed_one(lab, modules, wanted):
    modules.vmdk_create(**{**wanted, "disk_type": "thin"})
    assert modules.fail("vmdk_create", **wanted)["error"]["kind"] == "DiskExists"
