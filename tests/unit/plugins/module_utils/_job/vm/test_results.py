# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the restore of a machine says it cost, and how the machine differs."""

from __future__ import annotations

from ansible_collections.vdisk.lifecycle.plugins.module_utils._device.transfer import Transfer
from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.vm.restore.results import (
    difference_facts,
    explained,
    total,
    unwanted,
)
from ansible_collections.vdisk.lifecycle.plugins.module_utils._vsphere.vmconfig.compare import (
    Difference,
)


def transfer(**counters):
    return Transfer(transport="nfc", transport_reason="sent", **counters).as_dict()


def test_several_disks_are_added_up():
    one, two = transfer(bytes_total=10, seconds=2.0), transfer(bytes_total=30, seconds=3.0)

    found = total([one, {}, two])

    assert (found["bytes_total"], found["seconds"], found["rate"]) == (40, 5.0, 8)
    assert (found["transport"], found["transport_reason"]) == ("nfc", "sent")


def test_nothing_is_the_sum_of_nothing():
    assert total([])["bytes_total"] == 0


def test_what_was_passed_over_is_told():
    found = explained(transfer(), ["hotadd: not here"])

    assert found["transport_reason"] == "sent; passed over hotadd: not here"


def test_what_nobody_wanted_comes_first_and_is_a_warning():
    wanted = Difference("name", "a", "b", "another name was asked for")
    strange = Difference("memory_mb", 1, 2, None)

    assert [each["path"] for each in difference_facts([wanted, strange])] == ["memory_mb", "name"]
    (warning,) = unwanted([wanted, strange], "web01")
    assert "memory_mb" in warning and "name" not in warning.partition("(")[2]
    assert unwanted([wanted], "web01") == []
