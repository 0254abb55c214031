# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose restore points they are."""

from __future__ import annotations

import time

from ansible_collections.vdisk.lifecycle.plugins.module_utils._job.window.histories import (
    Histories,
)


def point(number, moref, uuid=None, **more):
    source = {"kind": "vm", "moref": moref, "instance_uuid": uuid}
    return {"number": number, "source": source, **more}


def numbers(points, moref, uuid):
    return [each["number"] for each in Histories(points).of(moref, uuid)]


def test_a_machine_that_was_registered_anew_keeps_its_points():
    points = [point(1, "vm-1", "web"), point(2, "vm-1", "other"), point(3, "vm-7", "web")]
    assert numbers(points, "vm-7", "web") == [1, 3]
    assert numbers(points, "vm-9", "web") == [1, 3]


def test_without_a_uuid_the_id_decides_and_the_order_stays():
    points = [point(1, "vm-1", "web"), point(2, "vm-1"), point(3, "vm-2"), point(4, "vm-1", "web")]
    assert numbers(points, "vm-1", None) == [1, 2, 4]
    assert numbers(points, "vm-1", "web") == [1, 2, 4]
    assert numbers(points, "vm-1", "other") == [2]


def test_damaged_ones_and_disks_do_not_count():
    disk = {"number": 3, "source": {"kind": "disk", "path": "/srv/a.vmdk"}}
    points = [point(1, "vm-1"), point(2, "vm-1", problem="damaged"), disk]
    assert numbers(points, "vm-1", None) == [1]


def test_a_year_of_a_thousand_machines_takes_no_time():
    points = [point(n, f"vm-{n % 1000}", f"u{n % 1000}") for n in range(365_000)]
    begun = time.process_time()
    histories = Histories(points)
    assert sum(len(histories.of(f"vm-{n}", f"u{n}")) for n in range(1000)) == len(points)
    assert time.process_time() - begun < 20  # 1 on an idle machine
