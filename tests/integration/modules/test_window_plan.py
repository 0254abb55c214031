# Copyright (c) 2026 the vdisk.lifecycle authors
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plans of windows, from what other modules list. The planner itself has unit tests."""

from __future__ import annotations

import itertools

import pytest

GIB = 1 << 30


def vm(name, size=GIB, datastore="fast", **more):
    disk = {"path": f"[{datastore}] {name}/{name}.vmdk", "size": size}
    return {"name": name, "moref": f"vm-{name}", "host": "esx1", "disks": [disk], **more}


def point(name, created, seconds, method="incremental"):
    source = {"kind": "vm", "name": name, "moref": f"vm-{name}"}
    disks = [{"name": "scsi0:0", "method": method}]
    return {"source": source, "created": created, "seconds": seconds, "disks": disks}


def plan(modules, vms, **options):
    window = {"start": "2026-11-23T22:00:00Z", "deadline": "2026-11-24T00:00:00+01:00"}
    proxies = [{"name": "proxy1", "streams": 1}]
    asked = {"proxies": proxies, "margin": 1.0, **window, **options}
    return modules.vmdk_window_plan(vms=vms, **asked)["plan"]


def test_who_needs_it_most_comes_first_as_long_as_it_takes(modules):
    points = [
        point("web", "2026-11-20T22:00:00Z", 1000, "full"),
        point("web", "2026-11-23T21:00:00Z", 100),
        point("db", "2026-11-21T22:00:00Z", 600, "full"),
    ]
    made = plan(modules, [vm("web"), vm("db"), vm("new", 60 * 100 << 20)], restore_points=points)
    assert [(each["name"], each["start"][11:], each["seconds"]) for each in made["slots"]] == [
        ("new", "22:00:00Z", 60),
        ("db", "22:01:00Z", 600),
        ("web", "22:11:00Z", 100),
    ]
    assert [each["basis"] for each in made["slots"]] == [
        "the size of its disks",
        "its last 1 full backups",
        "its last 1 increments",
    ]
    assert [each["overdue"] for each in made["slots"]] == [True, True, False]
    assert made["end"] == "2026-11-23T22:12:40Z"


def test_what_had_no_room_leads_the_next_night(modules):
    points = [point("a", "2026-11-23T00:00:00Z", 2400), point("b", "2026-11-22T00:00:00Z", 2400)]
    first = plan(modules, [vm("a"), vm("b")], restore_points=points)
    assert [each["name"] for each in first["slots"]] == ["b"]
    assert [each["name"] for each in first["left"]] == ["a"]
    assert "would not have ended in time" in first["left"][0]["reason"]
    again = plan(modules, [vm("a"), vm("b")], restore_points=points, missed=first["missed"])
    assert [each["name"] for each in again["slots"]] == ["a"]


def test_what_never_fits_is_told(modules):
    made = plan(modules, [vm("huge", 1 << 45)])
    assert made["left"][0]["never"]
    assert "the whole window has 1:00 h" in made["left"][0]["reason"]


def test_a_proxy_is_only_asked_for_what_it_reaches(modules):
    proxies = [{"name": "proxy1", "datastores": ["slow"]}]
    made = plan(modules, [vm("web"), vm("db", datastore="slow")], proxies=proxies)
    assert [each["name"] for each in made["slots"]] == ["db"]
    assert made["left"][0]["reason"] == "no proxy reaches it"


def test_who_was_read_whole_is_not_shut_out_of_every_window_after_that(modules):
    """The first two backups read all, those that follow only what has changed."""
    points = [
        point("new", "2026-11-22T22:00:00Z", 3000, "full"),
        point("old", "2026-11-21T22:00:00Z", 80_000, "full"),
        point("old", "2026-11-22T00:00:00Z", 70_000),
        *(point("old", f"2026-11-22T0{hour}:00:00Z", 60, "changed") for hour in (1, 2)),
    ]
    made = plan(modules, [vm("old"), vm("new")], restore_points=points, margin=1.5)
    assert {each["name"]: each["seconds"] for each in made["slots"]} == {"old": 90, "new": 3420}


def test_limits_hold(modules):
    fleet = [vm(name) for name in "abc"]
    many = [{"name": "proxy1", "streams": 8}]
    for limits in ({"host": 1}, {"datastore": 1}, {"repository": 1}, {"datastores": {"fast": 1}}):
        made = plan(modules, fleet, proxies=many, limits=limits)
        times = [(each["start"], each["end"]) for each in made["slots"]]
        assert all(end <= start for (_s, end), (start, _e) in itertools.pairwise(times))


def test_a_time_without_zone_is_refused(modules):
    failed = modules.fail(
        "vmdk_window_plan", vms=[], proxies=[], start="2026-11-23 22:00", deadline="later"
    )
    assert "start: '2026-11-23 22:00' is not a time" in failed["msg"]


def test_an_entry_that_is_no_machine_is_refused(modules):
    window = {"start": "2026-11-23T22:00:00Z", "deadline": "2026-11-24T22:00:00Z"}
    failed = modules.fail("vmdk_window_plan", vms=[{"name": "x"}], proxies=[], **window)
    assert "an entry has no moref" in failed["msg"]


def test_an_rpo_of_no_time_is_refused(modules):
    for options in ({"rpo": "0h"}, {"rpos": {"web": "0h"}}):
        window = {"start": "2026-11-23T22:00:00Z", "deadline": "2h", "proxies": [{"name": "a"}]}
        told = modules.fail("vmdk_window_plan", vms=[vm("web")], **window, **options)["msg"]
        assert "an RPO of no time at all cannot be kept" in told


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"limits": {"host": -1}}, "the limit of host is -1"),
        ({"limits": {"datastores": {"fast": -2}}}, "the limit of fast is -2"),
        ({"limits": {"hosts": {"esx1": "many"}}}, "hosts: 'many' of esx1 is no number"),
        ({"risks": {"web": "high"}}, "risks: 'high' of web is no number"),
        ({"risks": {"web": "nan"}}, "the risk of web is nan"),
        ({"rate": "0"}, "nobody can expect anything by that"),
        ({"deadline": "2026-11-22T22:00:00Z"}, "is not after the start"),
    ],
)
def test_numbers_that_would_lose_machines_are_refused(modules, options, told):
    window = {"start": "2026-11-23T22:00:00Z", "deadline": "2h", "proxies": [{"name": "a"}]}
    failed = modules.fail("vmdk_window_plan", vms=[vm("web")], **{**window, **options})
    assert told in failed["msg"]
